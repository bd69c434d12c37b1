/** The loop, between a file system in memory and a socket that plays the device (a frame a message). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { InitFlag } from '../../src/fuse/abi.ts';
import { Session, type SessionOptions } from '../../src/fuse/session.ts';
import { Errno } from '../../src/sys/errno.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';
import { frame, nul, pack, parseReply, type SentReply, unpack } from './frames.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const open: number[] = [];

afterEach(() => {
  for (const fd of open.splice(0)) sys.close.now(fd);
});

function device(options: Partial<SessionOptions> = {}) {
  const pair = Buffer.alloc(8);
  assert.ok(sys.socketpair.now(AF_UNIX, SOCK_SEQPACKET, 0, pair) >= 0);
  const [ours, theirs] = [pair.readInt32LE(0), pair.readInt32LE(4)];
  sys.fcntl.now(ours, 4, SOCK_NONBLOCK);
  open.push(ours, theirs);
  const fileSystem = (options.fileSystem as MemoryFileSystem | undefined) ?? new MemoryFileSystem();
  const session = new Session({ fd: theirs, log: silentLog, maxReadBytes: 65536, ...options, fileSystem });
  const running = session.run();
  const buffer = Buffer.alloc(1 << 18);
  const receive = async (): Promise<SentReply> => {
    for (let i = 0; i < 2000; i++) {
      const length = sys.read.now(ours, buffer, buffer.length);
      if (length > 0) return parseReply(buffer.subarray(0, length));
      await sleep(1);
    }
    throw new Error('no reply within 2 s');
  };
  const send = (bytes: Buffer): void => assert.equal(sys.write.now(ours, bytes, bytes.length), bytes.length);
  const ask = (bytes: Buffer): Promise<SentReply> => {
    send(bytes);
    return receive();
  };
  const hangUp = (): void => {
    sys.close.now(ours);
    open.splice(open.indexOf(ours), 1);
  };
  const flags = Number(InitFlag.INIT_EXT | InitFlag.MAX_PAGES | InitFlag.BIG_WRITES);
  const init = pack('init_in', { major: 7, minor: 45, max_readahead: 131072, flags, flags2: 1 << 5 });
  return { ask, send, receive, hangUp, session, running, fileSystem, init };
}

describe('a session', () => {
  test('agrees on capabilities, serves, and stops the file system when the device is gone', async () => {
    const { ask, hangUp, session, running, fileSystem, init } = device();
    const reply = await ask(frame('INIT', [init]));
    assert.equal(reply.error, 0);
    const out = unpack('init_out', reply.payload);
    assert.deepEqual([out.major, out.minor, out.max_write], [7, 45, 65536]);
    const capabilities = await session.ready;
    assert.ok(capabilities.on.has('max-pages'));
    assert.ok(fileSystem.kernel !== undefined);
    assert.equal((await ask(frame('LOOKUP', [nul('none')]))).error, -Errno.ENOENT);
    assert.equal((await ask(frame('INIT', [init]))).error, -Errno.EPROTO, 'only once');
    hangUp();
    assert.deepEqual(await running, { reason: 'unmounted' });
    assert.equal(fileSystem.stopped, true);
    const { requests, errors } = session.snapshot();
    assert.deepEqual(requests, { LOOKUP: 1, INIT: 2 });
    assert.deepEqual(errors, { LOOKUP: 1 });
  });

  test('asks a kernel of a newer major to come again, and then agrees', async () => {
    const { ask, hangUp, running, session } = device();
    const first = await ask(frame('INIT', [pack('init_in', { major: 8, minor: 0 })]));
    assert.equal(unpack('init_out', first.payload).major, 7);
    assert.equal((await ask(frame('INIT', [pack('init_in', { major: 7, minor: 40 })]))).error, 0);
    assert.equal((await session.ready).minor, 40);
    hangUp();
    await running;
  });

  test('refuses an old kernel and says so', async () => {
    const { ask, running, session } = device();
    assert.equal((await ask(frame('INIT', [pack('init_in', { major: 7, minor: 20 })]))).error, -Errno.EPROTO);
    const end = await running;
    assert.equal(end.reason, 'failed');
    assert.match(end.error?.message ?? '', /7\.20.*Linux 5\.4/);
    await assert.rejects(session.ready, /7\.20/);
  });

  test('answers a cut INIT and goes on; fails when the file system cannot start', async () => {
    const fileSystem = new MemoryFileSystem();
    fileSystem.start = () => {
      throw new Error('no source');
    };
    const { ask, running, init } = device({ fileSystem });
    assert.equal((await ask(frame('INIT', [Buffer.alloc(8)]))).error, -Errno.EPROTO);
    assert.equal((await ask(frame('INIT', [init]))).error, -Errno.EIO);
    const end = await running;
    assert.deepEqual([end.reason, end.error?.message], ['failed', 'no source']);
  });

  test('ends on DESTROY after it was answered; and before INIT, `ready` is told', async () => {
    const { ask, running, session } = device();
    assert.equal((await ask(frame('DESTROY'))).error, 0);
    assert.equal((await running).reason, 'destroyed');
    await assert.rejects(session.ready, /before INIT/);
  });

  test('sends bytes that come late', async () => {
    const fileSystem = new MemoryFileSystem({ later: () => true });
    fileSystem.addFile('file', 'x'.repeat(50_000));
    const { ask, hangUp, running } = device({ fileSystem });
    const { payload } = await ask(frame('LOOKUP', [nul('file')]));
    const node = unpack('entry_out', payload).nodeid as number;
    const opened = await ask(frame('OPEN', [pack('open_in')], { node }));
    const { fh } = unpack('open_out', opened.payload);
    const read = (size: number, offset = 0) =>
      ask(frame('READ', [pack('read_in', { fh: fh as number, size, offset })], { node }));
    assert.equal((await read(60_000)).payload.toString(), 'x'.repeat(50_000));
    assert.equal((await read(10, 50_000)).payload.length, 0);
    hangUp();
    await running;
  });
});

describe('while it waits for the device, the loop wakes for', () => {
  async function idle<T>(work: (fileSystem: MemoryFileSystem) => Promise<T>): Promise<T> {
    const { ask, hangUp, running, fileSystem, init } = device();
    await ask(frame('INIT', [init]));
    await sleep(20);
    const result = await work(fileSystem);
    hangUp();
    await running;
    return result;
  }
  /** On a busy machine one try says little: the best of five. */
  const best = async (good: number, measure: () => Promise<number>): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 5 && least >= good; tries++) least = Math.min(least, await measure());
    return least;
  };
  const within = async (ms: number, work: () => Promise<unknown>): Promise<void> => {
    const start = performance.now();
    await work();
    const took = performance.now() - start;
    assert.ok(took < ms, `took ${took} ms`);
  };

  test('timers, on time', () =>
    idle(async () => {
      for (const ms of [1, 10, 50]) {
        const took = await best(ms + 100, async () => {
          const start = performance.now();
          await sleep(ms);
          return performance.now() - start;
        });
        assert.ok(took >= ms - 1 && took < ms + 100, `${ms} ms took ${took}`);
      }
    }));

  test('the pool', () => idle(() => within(1000, () => readFile('/proc/self/stat'))));

  test('immediates and promises', () =>
    idle(() =>
      within(1000, async () => new Promise((resolve) => setImmediate(() => Promise.resolve().then(resolve)))),
    ));

  test('child processes and their output', () =>
    idle(() =>
      within(5000, async () => {
        const child = spawn('echo', ['hello']);
        let text = '';
        child.stdout.on('data', (data) => {
          text += data;
        });
        await new Promise((resolve) => child.on('close', resolve));
        assert.equal(text, 'hello\n');
      }),
    ));

  test('signals', () =>
    idle(() =>
      within(1000, async () => {
        const got = new Promise((resolve) => process.once('SIGWINCH', resolve));
        process.kill(process.pid, 'SIGWINCH');
        await got;
      }),
    ));

  test('a server on a Unix socket, connection by connection', () =>
    idle(() =>
      within(2000, async () => {
        const path = join(tmpdir(), `mlo-session-${process.pid}.sock`);
        await rm(path, { force: true });
        const server = createServer((socket) => socket.on('data', (data) => socket.end(`got ${data}`)));
        await new Promise<void>((resolve) => server.listen(path, resolve));
        for (let i = 0; i < 3; i++) {
          const socket = connect(path);
          socket.write(String(i));
          let answer = '';
          for await (const data of socket) answer += data;
          assert.equal(answer, `got ${i}`);
        }
        server.close();
      }),
    ));

  test('native calls on the pool', () =>
    idle((fileSystem) =>
      within(1000, async () => {
        const twice = [fileSystem.kernel!.invalidateData(1, 0, 0), fileSystem.kernel!.invalidateEntry(1, 'name')];
        await Promise.all(twice);
      }),
    ));

  test('and uses no CPU when nothing happens', () =>
    idle(async () => {
      const used = await best(50_000, async () => {
        const before = process.cpuUsage();
        await sleep(500);
        const { user, system } = process.cpuUsage(before);
        return user + system;
      });
      assert.ok(used < 50_000, `${used / 1000} ms of CPU in 500 ms`);
    }));
});

test('where both have something in every turn, neither the device nor libuv is left out', async () => {
  const { ask, send, receive, hangUp, running, session, init } = device();
  await ask(frame('INIT', [init]));
  const served: number[] = [];
  let slicing = true;
  const slice = (): void => {
    served.push(session.snapshot().requests.LOOKUP ?? 0);
    if (slicing) setImmediate(slice);
  };
  slice();
  await sleep(20);
  const many = 150;
  try {
    for (let i = 0; i < many; i++) send(frame('LOOKUP', [nul('none')]));
    for (let i = 0; i < many; i++) assert.equal((await receive()).error, -Errno.ENOENT);
  } finally {
    slicing = false;
    hangUp();
  }
  await running;
  const steps = served.map((count, index) => count - (served[index - 1] ?? 0));
  assert.equal(served.at(-1), many);
  assert.ok(Math.max(...steps) < many, `${Math.max(...steps)} requests between two slices`);
});

test('a defect that gets out of a turn does not keep the next one from coming', async () => {
  const askedMs: number[] = [];
  const observer = {
    asked: (): void => {
      askedMs.push(performance.now());
      if (askedMs.length === 1) throw new Error('a defect');
    },
    answered: () => {},
  };
  const { ask, send, hangUp, running, init } = device({ observer });
  await ask(frame('INIT', [init]));
  await sleep(20);
  const caught: string[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => caught.push(String(error)));
  try {
    for (let i = 0; i < 2; i++) send(frame('LOOKUP', [nul('none')]));
    const sentMs = performance.now();
    await sleep(300); // nothing else wakes the loop meanwhile
    assert.deepEqual(caught, ['Error: a defect']);
    assert.equal(askedMs.length, 2);
    assert.ok(askedMs[1]! - sentMs < 200, `${askedMs[1]! - sentMs} ms`);
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
    hangUp();
  }
  await running;
});

test('notifications go out whole, and none after the end', async () => {
  const { ask, receive, hangUp, running, fileSystem, init } = device({ disable: new Set(['passthrough']) });
  await ask(frame('INIT', [init]));
  const kernel = fileSystem.kernel!;
  assert.equal(kernel.passthrough, false);
  assert.equal(kernel.registerBacking(0), -Errno.EOPNOTSUPP);
  const next = async () => {
    try {
      return await receive();
    } catch (error) {
      return error as Error; // a notification is no reply: its "error" is a code above 0
    }
  };
  kernel.invalidateAttributes(5);
  assert.match(String(await next()), /error 2/);
  await kernel.invalidateData(5, 4096, 8192);
  assert.match(String(await next()), /error 2/);
  await kernel.invalidateEntry(1, 'name');
  assert.match(String(await next()), /error 3/);
  hangUp();
  await running;
  kernel.invalidateAttributes(5);
  await kernel.invalidateEntry(1, 'name');
});
