/** Calls through an io_uring: they return what the pool's return, however many there are, and keep nobody from ending. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import * as sys from '../../src/sys/libc.ts';
import { O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from '../../src/sys/open-flags.ts';
import { beginIoUring, ioUringWorkers } from '../../src/sys/uring-calls.ts';
import { temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';

const AT_FDCWD = -100;
const STATX_SIZE = 0x200;
const STATX_SIZE_AT = 40;
const S_IFIFO = 0o010000;
/** One worker is left beside those that hang. */
const WORKERS = 8;

/** What a sequence of calls returns, the numbers of descriptors apart. */
async function sequence(directory: string): Promise<unknown[]> {
  const results: unknown[] = [];
  const path = sys.cstring(join(directory, 'file'));
  const open = (flags: number) => sys.openat.later(AT_FDCWD, path, flags, 0o640);
  results.push(await open(O_RDONLY));
  const fd = await open(O_RDWR | O_CREAT | O_EXCL);
  assert.ok(fd > 0);
  results.push(await open(O_RDWR | O_CREAT | O_EXCL));
  const data = Buffer.from('the bytes of a file');
  results.push(await sys.pwrite.later(fd, data, data.length, 5));
  results.push(await sys.ftruncate.later(fd, 30));
  results.push(await sys.fallocate.later(fd, 0, 0, 40));
  results.push(await sys.fsync.later(fd), await sys.fdatasync.later(fd));
  const into = Buffer.alloc(64, '.');
  results.push(await sys.pread.later(fd, into, 64, 3), into.toString('latin1'));
  results.push(await sys.pread.later(fd, into, 10, 1000));
  const stat = Buffer.alloc(256);
  results.push(await sys.statx.later(AT_FDCWD, path, 0, STATX_SIZE, stat), stat.readBigUInt64LE(STATX_SIZE_AT));
  results.push(await sys.statx.later(AT_FDCWD, sys.cstring(join(directory, 'none')), 0, STATX_SIZE, stat));
  results.push(await sys.close.later(fd), await sys.close.later(fd), await sys.pread.later(fd, into, 1, 0));
  results.push(await sys.unlinkat.later(AT_FDCWD, path, 0), await sys.unlinkat.later(AT_FDCWD, path, 0));
  results.push(await sys.pread.later(-1, into, 1, 0));
  return results;
}

function fifo(): Buffer {
  const path = sys.cstring(join(temporaryDirectory('fifo'), 'fifo'));
  assert.equal(sys.mknodat.now(AT_FDCWD, path, S_IFIFO | 0o600, 0), 0);
  return path;
}

const onPool = await sequence(temporaryDirectory('pool'));
const why = beginIoUring(WORKERS);
const skip = why ?? false;

test('each call returns what it returns from the pool', { skip }, async () => {
  assert.equal(ioUringWorkers(), WORKERS);
  assert.ok(sys.pread.diverted && sys.openat.diverted && !sys.getdents64.diverted);
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 10)) assert.ok(sys.pwrite.diverted);
  assert.deepEqual(await sequence(temporaryDirectory('ring')), onPool);
});

test('more calls than the queues have room for all return what is theirs', { skip }, async () => {
  const path = join(temporaryDirectory('many'), 'file');
  const content = Buffer.from(Uint32Array.from({ length: 4096 }, (_, index) => index).buffer);
  writeFileSync(path, content);
  const fd = sys.openat.now(AT_FDCWD, sys.cstring(path), O_RDONLY, 0);
  const read = async (index: number): Promise<void> => {
    const into = Buffer.alloc(4);
    assert.equal(await sys.pread.later(fd, into, 4, 4 * index), 4);
    assert.equal(into.readUInt32LE(0), index);
  };
  for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 4096 }, (_, index) => read(index)));
  sys.closeNow(fd);
});

test('what hangs holds up nothing while a worker is left, and returns when it can', { skip }, async () => {
  const path = fifo();
  let returned = 0;
  const hanging = Array.from({ length: WORKERS - 1 }, async () => {
    const fd = await sys.openat.later(AT_FDCWD, path, O_RDONLY, 0);
    returned++;
    return fd;
  });
  const directory = temporaryDirectory('beside');
  assert.deepEqual(await sequence(directory), onPool);
  assert.equal(returned, 0);
  const writer = sys.openat.now(AT_FDCWD, path, O_WRONLY | O_NONBLOCK, 0);
  for (const fd of [writer, ...(await Promise.all(hanging))]) assert.equal(sys.closeNow(fd), 0);
});

test('memory that a call works on is there until it has ended', { skip }, async () => {
  const directory = temporaryDirectory('memory');
  const paths = Array.from({ length: 32 }, (_, index) => join(directory, String(index)));
  const write = async (path: string, index: number): Promise<void> => {
    const fd = await sys.openat.later(AT_FDCWD, sys.cstring(path), O_WRONLY | O_CREAT, 0o600);
    const written = sys.pwrite.later(fd, new Uint8Array(1 << 20).fill(index), 1 << 20, 0); // nobody else has it
    for (let garbage = 0; garbage < 4; garbage++) new Uint8Array(1 << 20).fill(255);
    assert.equal(await written, 1 << 20);
    await sys.close.later(fd);
  };
  await Promise.all(paths.map(write));
  for (const [index, path] of paths.entries()) {
    assert.ok(readFileSync(path).every((byte) => byte === index));
  }
});

const program = (body: string): string[] => [
  '--input-type=module',
  '--eval',
  `import * as sys from '${new URL('../../src/sys/libc.ts', import.meta.url)}';
   import { beginIoUring } from '${new URL('../../src/sys/uring-calls.ts', import.meta.url)}';
   const why = beginIoUring(2);
   ${body}`,
];

test('a process ends when nothing is under way, and not before', { skip }, async () => {
  const path = join(temporaryDirectory('ends'), 'file');
  const body = `
    const fd = await sys.openat.later(${AT_FDCWD}, sys.cstring('${path}'), ${O_WRONLY | O_CREAT}, 0o600);
    void sys.pwrite.later(fd, Buffer.from('written'), 7, 0).then(() => sys.fsync.later(fd)).then(() => console.log('done'));`;
  const ended = await run(process.execPath, program(body), { seconds: 30 });
  assert.deepEqual([ended.status, ended.stdout.trim()], [0, 'done'], ended.stderr);
  assert.equal(readFileSync(path, 'latin1'), 'written');
});

test('a process can leave while a call hangs', { skip }, async () => {
  const path = fifo().toString('latin1').slice(0, -1);
  const body = `
    void sys.openat.later(${AT_FDCWD}, sys.cstring('${path}'), ${O_RDONLY}, 0);
    setTimeout(() => process.exit(7), 100);`;
  const ended = await run(process.execPath, program(body), { seconds: 30 });
  assert.equal(ended.status, 7, ended.stderr);
});

test('where there can be no ring it says why, and the pool makes the calls', async () => {
  const directory = temporaryDirectory('worker');
  mkdirSync(join(directory, 'inner'));
  const [, , body] = program(`
    import { parentPort } from 'node:worker_threads';
    const stat = Buffer.alloc(256);
    const path = sys.cstring('${join(directory, 'inner')}');
    parentPort.postMessage([why, await sys.statx.later(${AT_FDCWD}, path, 0, ${STATX_SIZE}, stat)]);`);
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body ?? '')}`));
  const [reason, result] = await new Promise<[string, number]>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  assert.match(reason, /EOPNOTSUPP/);
  assert.equal(result, 0);
});
