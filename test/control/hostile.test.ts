/**
 * A real daemon under clients that mean no good. While each is at it, a reader counts what it gets from the mount; afterwards
 * the daemon answers, has met no defect, and holds nothing for those who have gone.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { eventually, statusOf } from '../cli/support.ts';
import { type Mounted, mountOverlay, noMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { kill, launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { ask, bodyOf, get, hold, post, type Where } from './raw.ts';

const SECONDS = 120;
const FILES = 200;
/** The reader alone, then with each of them, and again: what else the machine does should meet both. */
const ROUNDS = 3;
/** On a busy machine a few rounds can be anything; a mount that is held up stays so. */
const ROUNDS_MOST = 12;
const ROUND_MS = 700;
/**
 * Of the reader's pace alone. Answers may have a fifth of the loop, connections cost too, and the attackers themselves need
 * one of the machine's processors: what is looked for is a mount that stands still.
 */
const PACE_LEAST = 0.1;
/** Garbage of a burst, in the heaps of two threads, is not given back at once; what an attack could hold is far more. */
const RESIDENT_GROWTH_MOST = 192 * 2 ** 20;

let mounted: Mounted;
let reader: ChildProcess | undefined;
let socket: Where;
let tcp: Where;
let pid = 0;
/** Files that the reader did in each tenth of a second. */
const pace: number[] = [];

before(async () => {
  if (noMounts) return;
  const source = temporaryDirectory('source');
  mkdirSync(join(source, 'files'));
  for (let i = 0; i < FILES; i++) writeFileSync(join(source, 'files', `${i}`), Buffer.alloc(4096, i));
  mounted = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'attr-ttl=60,metrics-listen=0'] });
  const status = (await statusOf(mounted.mountpoint)) as unknown as { pid: number; metrics: string };
  pid = status.pid;
  const name = readdirSync('/run/ml-overlay').find((each) => each.endsWith(`-${pid}.sock`));
  socket = { path: join('/run/ml-overlay', name ?? '') };
  tcp = { host: '127.0.0.1', port: Number(new URL(status.metrics).port) };
  reader = launch(process.execPath, [join(import.meta.dirname, 'reader.ts'), join(mounted.mountpoint, 'files')]);
  reader.stdout?.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.trim().split('\n')) pace.push(Number(line));
  });
  const begun = Date.now();
  while (pace.length < 10 && Date.now() - begun < 20_000) await sleep(50);
});

after(() => {
  if (reader) kill(reader);
});

interface Attack {
  stop(): void;
}

/** Does it again as soon as it was done. */
function again(times: number, once: () => Promise<unknown>): Attack {
  let going = true;
  for (let i = 0; i < times; i++) {
    void (async () => {
      while (going) await once();
    })();
  }
  return {
    stop: () => {
      going = false;
    },
  };
}

/** Connections that stay; new ones for those that were cut. */
function holding(count: number, where: Where, bytes: string, drip: string, read = true): Attack {
  const held = new Map<number, ReturnType<typeof hold>>();
  const timer = setInterval(() => {
    for (let i = 0; i < count; i++) {
      const { socket: own } = held.get(i) ?? {};
      if (own === undefined || own.destroyed) held.set(i, hold(where, bytes, read));
      else if (drip !== '' && own.writable) own.write(drip);
    }
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      for (const { socket: own } of held.values()) own.destroy();
    },
  };
}

const request = (line: string, rest = ''): string => `${line} HTTP/1.1\r\nhost: x\r\n${rest}\r\n`;
const nested = '['.repeat(60_000);
const garbage = Buffer.alloc(1 << 20, '\x00\xff\r\nA: ');

const attacks: Record<string, () => Attack> = {
  'slow headers': () => holding(200, socket, 'GET /stats HTTP/1.1\r\n', 'x: y\r\n'),
  'slow bodies': () => holding(200, socket, `${request('POST /set', 'content-length: 60000\r\n')}{`, ' '),
  'nothing at all': () => holding(500, socket, '', ''),
  'answers that nobody reads': () => holding(200, socket, request('GET /history?seconds=86400'), '', false),
  'the same over TCP': () => holding(200, tcp, request('GET /metrics'), '', false),
  'statistics without a pause': () => again(32, () => get(socket, '/stats')),
  'metrics without a pause, over TCP': () => again(32, () => get(tcp, '/metrics')),
  'thousands of requests in one piece': () => again(4, () => ask(socket, request('GET /stats').repeat(10_000), 2000)),
  'a megabyte of headers': () =>
    again(4, () => ask(socket, request('GET /stats', `a: ${'b'.repeat(1 << 20)}\r\n`), 2000)),
  garbage: () => again(4, () => ask(socket, garbage, 2000)),
  'deep JSON': () => again(8, () => post(socket, '/set', nested)),
  'a body without end': () =>
    again(4, () =>
      ask(
        socket,
        `${request('POST /set', 'transfer-encoding: chunked\r\n')}${`ffff\r\n${' '.repeat(65_535)}\r\n`.repeat(64)}`,
        2000,
      ),
    ),
};

/** Files that the reader does in some time. */
async function filesIn(ms: number): Promise<number> {
  const from = pace.length;
  await sleep(ms);
  return pace.slice(from).reduce((sum, count) => sum + count, 0);
}

const residentBytes = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024;

/** Of the daemon; its files come and go with the reader. */
function sockets(): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}

for (const [name, begin] of Object.entries(attacks)) {
  test(`the mount is not slowed by ${name}`, { skip: noMounts }, async (t) => {
    await withWatchdog(mounted, SECONDS, async () => {
      const [socketsBefore, residentBefore] = [sockets(), residentBytes()];
      let [alone, attacked] = [0, 0];
      const slowed = (): boolean => attacked < PACE_LEAST * alone;
      for (let round = 0; round < ROUNDS || (round < ROUNDS_MOST && slowed()); round++) {
        alone += await filesIn(ROUND_MS);
        const attack = begin();
        attacked += await filesIn(ROUND_MS);
        const answered = await get(socket, '/ready');
        attack.stop();
        assert.ok([200, 503, 0].includes(answered.status), `${answered.status}`);
        await eventually(`${socketsBefore} sockets again`, () => sockets() <= socketsBefore);
      }
      t.diagnostic(`${attacked} files, and ${alone} alone`);
      assert.ok(!slowed(), `${attacked} files in the time of ${alone}`);
      const growth = residentBytes() - residentBefore;
      assert.ok(growth < RESIDENT_GROWTH_MOST, `${growth >> 20} MiB more`);
      const { problems, mountpoint } = bodyOf(await get(socket, '/stats')) as unknown as StatsDocument;
      assert.equal(problems.defects, 0);
      assert.equal(mountpoint, mounted.mountpoint);
    });
  });
}

test('another user does not get in', { skip: noMounts }, async () => {
  const connect = 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])';
  const { path } = socket as { path: string };
  const other = await run('python3', ['-c', connect, path], { user: ORDINARY_USER });
  assert.match(other.stderr, /PermissionError/);
});

test('over TCP nothing can be changed or seen but metrics and readiness', { skip: noMounts }, async () => {
  for (const path of ['/stats', '/status', '/history', '/']) assert.equal((await get(tcp, path)).status, 404, path);
  for (const path of ['/unmount', '/set', '/trace', '/warmup'])
    assert.equal((await post(tcp, path, '{}')).status, 404, path);
  assert.equal((await get(tcp, '/ready')).status, 200);
  const listening = readFileSync('/proc/net/tcp', 'latin1');
  const port = (tcp as { port: number }).port.toString(16).toUpperCase().padStart(4, '0');
  assert.match(listening, new RegExp(`: 0100007F:${port} `), 'on the loopback address');
});

test('it unmounts as any other', { skip: noMounts }, async () => {
  if (reader) kill(reader);
  await sleep(200);
  await mounted.unmount();
});
