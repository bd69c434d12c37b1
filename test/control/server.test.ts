/** The control server by itself: who gets in, what is answered, and what is cut. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { json } from '../../src/control/answer.ts';
import { ControlServer } from '../../src/control/http.ts';
import { defaultLimits, type Routes } from '../../src/control/limits.ts';
import { Pace } from '../../src/control/pace.ts';
import { type Serving, serveControl, serveMetrics } from '../../src/control/server.ts';
import { MloError } from '../../src/errors.ts';
import { run } from '../support/run.ts';
import { ask, bodyOf, get, handlersWith, hold, post, type Where } from './raw.ts';

const directory = mkdtempSync(join(tmpdir(), 'mlo-control-'));
const path = join(directory, 'c.sock');
const here: Where = { path };
let serving: Serving | undefined;

async function serve(own: Parameters<typeof handlersWith>[0] = {}): Promise<void> {
  serving = await serveControl(path, handlersWith(own));
}

/** The same with other limits. */
async function serveRoutes(routes: Routes, limits: Partial<typeof defaultLimits>): Promise<ControlServer> {
  const control = new ControlServer(routes, { ...defaultLimits, ...limits });
  await new Promise<void>((resolve) => {
    control.server.listen(path, resolve);
  });
  serving = control;
  return control;
}

function connectionsOf({ server }: ControlServer): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

afterEach(() => {
  serving?.close();
  serving = undefined;
  rmSync(path, { force: true });
});
after(() => rmSync(directory, { recursive: true, force: true }));

test('the socket never has another mode than 0600, whatever the umask', async () => {
  // Looks as often as it can while sockets come and go.
  const flag = new SharedArrayBuffer(4);
  const looking = new Worker(
    `const { statSync } = require('node:fs');
     const { workerData, parentPort } = require('node:worker_threads');
     const seen = new Set();
     const flag = new Int32Array(workerData.flag);
     parentPort.postMessage('looking');
     while (Atomics.load(flag, 0) === 0) {
       const found = statSync(workerData.path, { throwIfNoEntry: false });
       if (found) seen.add(found.mode & 0o7777);
     }
     parentPort.postMessage([...seen]);`,
    { eval: true, workerData: { path, flag } },
  );
  const said = (): Promise<unknown> => new Promise((resolve) => looking.once('message', resolve));
  await said();
  const umask = process.umask(0);
  try {
    for (let i = 0; i < 8; i++) {
      await serve();
      serving?.close();
    }
  } finally {
    process.umask(umask);
  }
  Atomics.store(new Int32Array(flag), 0, 1);
  assert.deepEqual(await said(), [0o600]);
  await looking.terminate();
  await serve();
  assert.deepEqual(readdirSync(directory), ['c.sock'], 'nothing else is left in the directory');
});

const notRoot: string | false = process.getuid?.() === 0 ? false : 'needs root, to be another user';

test('another user cannot connect, even where the directory is open', { skip: notRoot }, async () => {
  await serve();
  chmodSync(directory, 0o755);
  const program = 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])';
  const other = await run('python3', ['-c', program, path], { user: 65534 });
  assert.match(other.stderr, /PermissionError/);
  assert.equal((await run('python3', ['-c', program, path])).status, 0, 'root can');
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('only what is served is served, by its method and exact path', async () => {
  await serve();
  for (const served of ['/status', '/stats', '/metrics', '/history', '/ready', '/stats?x=1']) {
    assert.equal((await get(here, served)).status, 200, served);
  }
  const elsewhere = [
    '/',
    '//stats',
    '/stats/',
    '/STATS',
    '/../../etc/passwd',
    '/..%2f..%2fetc%2fpasswd',
    '/stats/../../etc/passwd',
    '/%73tats',
    '/constructor',
    '/__proto__',
    '/toString',
    `/${'a'.repeat(5000)}`,
  ];
  for (const other of elsewhere) {
    const heard = await get(here, other);
    assert.equal(heard.status, 404, other);
    assert.ok(!heard.text.includes('root:'));
  }
  assert.equal((await get(here, 'http://daemon/stats')).status, 400, 'no proxy');
  assert.equal((await get(here, '*')).status, 400);
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    const heard = await ask(here, `${method} /stats HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`);
    assert.equal(heard.status, 405, method);
  }
  assert.equal((await get(here, '/unmount')).status, 405, 'nothing is changed by GET');
  const head = await ask(here, 'HEAD /stats HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.ok(head.status === 200 && head.text.endsWith('\r\n\r\n'));
});

test('what goes wrong is told with code and remedy', async () => {
  await serve({
    set: async () => {
      throw new MloError('MLO_OPTION', 'attr-ttl cannot change', 'mount anew');
    },
    status: () => {
      throw new TypeError('a bug');
    },
    ready: async () => ({ ready: false, why: 'the source does not answer' }),
  });
  const refused = await post(here, '/set', '{"attr-ttl":"3"}');
  assert.equal(refused.status, 409);
  assert.deepEqual(bodyOf(refused), { code: 'MLO_OPTION', message: 'attr-ttl cannot change', remedy: 'mount anew' });
  const defect = await get(here, '/status');
  assert.equal(defect.status, 500);
  assert.equal(bodyOf(defect).code, 'MLO_DEFECT');
  const unready = await get(here, '/ready');
  assert.equal(unready.status, 503);
  assert.equal(bodyOf(unready).why, 'the source does not answer');
});

test('a body must be a JSON object of at most 64 KiB', async () => {
  await serve();
  assert.deepEqual(bodyOf(await post(here, '/set', '{"a":"b"}')), { a: 'b' });
  for (const wrong of ['[]', '3', 'null', '{', '"', '{"a":3}', '\0', '['.repeat(60_000)]) {
    assert.equal((await post(here, '/set', wrong)).status, 400, wrong.slice(0, 10));
  }
  assert.equal((await post(here, '/set', `{"a":"${'b'.repeat(70_000)}"}`)).status, 413);
  const claimed = await ask(here, 'POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999\r\n\r\n{');
  assert.equal(claimed.status, 413);
  const chunk = `1000\r\n${' '.repeat(4096)}\r\n`;
  const chunked = `POST /set HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(100)}0\r\n\r\n`;
  const cut = await ask(here, chunked);
  assert.ok(cut.status === 413 || cut.status === 0, `${cut.status}`);
  for (const seconds of ['0', '-1', '1e3', 'NaN', '', '99999999999', '0x10', '1.5']) {
    assert.equal((await get(here, `/history?seconds=${seconds}`)).status, 400, seconds);
  }
  assert.deepEqual(bodyOf(await get(here, '/history?seconds=60')), { seconds: 60 });
});

test('what is no HTTP, or has no end, is cut', async () => {
  await serve();
  const cut = [
    'nonsense\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET / HTTP/9.9\r\n\r\n',
    `GET /stats HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`,
    `GET /stats HTTP/1.1\r\n${'a: b\r\n'.repeat(5000)}\r\n`,
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
    'POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n',
    'POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
    'GET /stats HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    'CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n',
  ];
  for (const bytes of cut) {
    const heard = await ask(here, bytes, 3000);
    assert.notEqual(heard.error, 'open', bytes.slice(0, 30));
    assert.notEqual(heard.status, 200, bytes.slice(0, 30));
  }
  assert.equal((await get(here, '/stats')).status, 200);
});

test('a connection has one request; more of them are not even looked at', async () => {
  let asked = 0;
  await serve({
    stats: () => {
      asked++;
      return {};
    },
  });
  await ask(here, 'GET /stats HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(10_000));
  assert.ok(asked <= 1, `${asked} answers were made`);
});

test('who sends slowly, or nothing, is cut; who waits for a long answer is not', async () => {
  const slow: Routes = {
    'GET /slow': async () => {
      await sleep(900);
      return json({ done: true });
    },
    'POST /set': (_, body) => json(body),
  };
  await serveRoutes(slow, { requestMs: 300 });
  const silent = hold(here);
  const dripping = hold(here, 'GET /slow HTTP/1.1\r\n');
  const halfBody = hold(here, 'POST /set HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
  const drip = setInterval(() => {
    for (const { socket } of [dripping, halfBody]) if (!socket.destroyed) socket.write('a: b\r\n');
  }, 50);
  const waiting = get(here, '/slow');
  for (const { closed } of [silent, dripping, halfBody]) {
    const ms = await Promise.race([closed, sleep(5000, Number.POSITIVE_INFINITY, { ref: false })]);
    assert.ok(ms > 200 && ms < 5000, `${ms} ms`);
  }
  clearInterval(drip);
  assert.deepEqual(bodyOf(await waiting), { done: true });
});

test('too many connections: the oldest goes, and a new one is served', async () => {
  const control = await serveRoutes({ 'GET /ok': () => json({}) }, { connections: 10, requestMs: 60_000 });
  const held = Array.from({ length: 50 }, () => hold(here, 'GET /ok HTTP/1.1\r\n'));
  await sleep(200);
  const open = await connectionsOf(control);
  assert.ok(open <= 10, `${open} are open`);
  assert.equal((await get(here, '/ok')).status, 200);
  for (const { socket } of held) socket.destroy();
});

test('answers that nobody reads are held for some time, and up to some bytes', async () => {
  const big = 'x'.repeat(2 ** 20);
  let made = 0;
  const route = () => {
    made++;
    return json({ big });
  };
  const limits = { unreadBytes: 4 * 2 ** 20, answerMs: 3000, connections: 100 };
  const control = await serveRoutes({ 'GET /big': route }, limits);
  const held = Array.from({ length: 50 }, () => hold(here, 'GET /big HTTP/1.1\r\nhost: x\r\n\r\n', false));
  for (const end = Date.now() + 20_000; made < 50 && Date.now() < end; ) await sleep(10);
  assert.equal(made, 50);
  const open = await connectionsOf(control);
  assert.ok(open >= 1 && open <= 4, `${open} of 1 MiB each are held`);
  for (const end = Date.now() + 20_000; (await connectionsOf(control)) > 0 && Date.now() < end; ) await sleep(50);
  assert.equal(await connectionsOf(control), 0, 'what is not read in time is let go');
  assert.equal((await get(here, '/big')).status, 200, 'who reads is served');
  for (const { socket } of held) socket.resume();
  for (const { closed } of held) await closed;
});

test('after each answer the loop is left alone for four times as long as it took', async () => {
  const cpuMs = (): number => process.threadCpuUsage().user / 1000;
  let busyMs = 0;
  let freeMs = 0;
  let endedMs = Number.NaN;
  const work = (): void => {
    if (!Number.isNaN(endedMs)) freeMs += performance.now() - endedMs;
    const begunMs = cpuMs();
    while (cpuMs() - begunMs < 5);
    busyMs += cpuMs() - begunMs;
    endedMs = performance.now();
  };
  const pace = new Pace();
  const first = performance.now();
  await pace.run(work);
  assert.ok(busyMs >= 5 && performance.now() - first < 500, 'one alone waits for nobody');
  await Promise.all(Array.from({ length: 20 }, () => pace.run(work)));
  assert.ok(freeMs > 3.5 * (busyMs - 5), `${freeMs} ms free, ${busyMs} ms busy`);
  await assert.rejects(
    pace.run(() => {
      throw new TypeError('a bug');
    }),
    TypeError,
  );
});

test('on TCP there are metrics and readiness, and nothing else', async () => {
  const metrics = await serveMetrics('127.0.0.1', 0, handlersWith());
  serving = metrics;
  assert.match(metrics.url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  assert.ok(metrics.loopback);
  const tcp = { host: '127.0.0.1', port: Number(new URL(metrics.url).port) };
  const heard = await get(tcp, '/metrics');
  assert.ok(heard.status === 200 && heard.text.endsWith('\r\n\r\na 1\n'));
  assert.equal((await get(tcp, '/ready')).status, 200);
  for (const control of ['/stats', '/status', '/history']) assert.equal((await get(tcp, control)).status, 404, control);
  for (const control of ['/unmount', '/set']) assert.equal((await post(tcp, control, '{}')).status, 404, control);
  await assert.rejects(serveMetrics('127.0.0.1', tcp.port, handlersWith()), { code: 'MLO_SYSTEM' });
  const open = await serveMetrics('0.0.0.0', 0, handlersWith());
  assert.ok(!open.loopback);
  open.close();
});
