/** The cache on a real disk with a real index: what it keeps, what it refuses, and that it never gives a wrong byte. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { mock, test } from 'node:test';
import fc from 'fast-check';
import { type Cache, CacheError, type CacheOptions, type ContentKey, openCache } from '../../src/cache/index.ts';
import { IndexDatabase } from '../../src/cache/index-db.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import {
  CHUNK,
  fill,
  objectFiles,
  pause,
  readRange,
  TrueSource,
  temporaryDirectory,
  truth,
  untilComplete,
} from './support.ts';

const KEY: ContentKey = { file: '17', version: 'v1', size: 10 * CHUNK + 123 };

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  return openCache({
    directory,
    sizeBytes: 64 << 20,
    chunkBytes: CHUNK,
    storeId: 'test:/',
    log: silentLog,
    ...options,
  });
}

/** What is read is kept after its reader has it. */
async function untilKept(cache: Cache, key: ContentKey, bytes: number): Promise<void> {
  for (let tries = 0; cache.presentBytes(key) < bytes; tries++) {
    assert.ok(tries < 2000, 'what was read is kept');
    await pause(5);
  }
}

test('a file is read from the source once and then from the tier', async () => {
  const cache = await open(temporaryDirectory());
  const source = await fill(cache, KEY);
  assert.equal(source.bytes, KEY.size, 'the source was asked for every byte once');
  const content = cache.acquire(KEY)!;
  const into = Buffer.alloc(KEY.size);
  assert.equal(content.readNow(into, KEY.size, 0), KEY.size);
  assert.ok(into.equals(source.content));
  assert.equal(content.readNow(into, 100, KEY.size - 10), 10, 'a read across the end is short');
  assert.equal(content.readNow(into, 100, KEY.size), 0);
  content.release();
  await cache.shutdown();
});

test('of an empty file nothing stays, and it is served where there is no room', async () => {
  const cache = await open(temporaryDirectory());
  const empty = (file: number): ContentKey => ({ file: `empty ${file}`, version: 'v', size: 0 });
  for (let file = 0; file < 100; file++) {
    const content = cache.acquire(empty(file))!;
    assert.ok(content.complete);
    assert.equal(content.readNow(Buffer.alloc(10), 10, 0), 0);
    assert.equal(cache.snapshot().completeObjects, 1);
    content.release();
  }
  const { objects, completeObjects, objectsInMemory } = cache.snapshot();
  assert.deepEqual([objects, completeObjects, objectsInMemory], [0, 0, 0]);
  await fill(cache, KEY);
  const held = cache.acquire(KEY)!;
  await cache.resize('', CHUNK); // less than what is in use
  const content = cache.acquire(empty(0))!;
  assert.equal(content.readNow(Buffer.alloc(10), 10, 0), 0);
  content.release();
  held.release();
  await cache.shutdown();
});

test('sixty-four readers of the same bytes are one fetch', async () => {
  const cache = await open(temporaryDirectory());
  const source = new TrueSource(KEY);
  let opened = (): void => {};
  source.gate = new Promise((resolve) => {
    opened = resolve;
  });
  const content = cache.acquire(KEY)!;
  const reads = Array.from({ length: 64 }, (_, i) => readRange(content, source, i * 100, 5000));
  opened();
  for (const [i, bytes] of (await Promise.all(reads)).entries()) {
    assert.ok(bytes.equals(source.content.subarray(i * 100, i * 100 + 5000)));
  }
  assert.equal(source.bytes, KEY.size);
  assert.equal(source.reads, 1);
  content.release();
  await cache.shutdown();
});

test('a large file is fetched in the chunks that are read, and completed by others', async () => {
  const cache = await open(temporaryDirectory());
  const key = { file: '5', version: 'v', size: 3 << 20 };
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  assert.ok(
    (await readRange(content, source, 2 * CHUNK + 5, 10)).equals(
      source.content.subarray(2 * CHUNK + 5, 2 * CHUNK + 15),
    ),
  );
  assert.equal(source.bytes, CHUNK);
  const across = await readRange(content, source, CHUNK - 100, 5 * CHUNK);
  assert.ok(across.equals(source.content.subarray(CHUNK - 100, 6 * CHUNK - 100)), 'put together from tier and source');
  assert.equal(content.complete, false);
  for (let at = 0; at < key.size; at += 1 << 20) await readRange(content, source, at, 1 << 20);
  await untilComplete(content);
  assert.equal(source.bytes, key.size, 'no byte was asked for twice');
  content.release();
  await cache.shutdown();
});

// S1.4
test('what was read from a file that changed meanwhile is handed out and not kept', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  const source = new TrueSource(KEY);
  source.changed = true;
  const content = cache.acquire(KEY)!;
  assert.equal((await readRange(content, source, 0, 100)).length, 100);
  for (let i = 0; i < 100 && !content.stale; i++) await pause(5);
  assert.ok(content.stale);
  content.release();
  assert.equal(cache.has(KEY), false);
  assert.equal(cache.snapshot().usedBytes, 0);
  assert.deepEqual(objectFiles(directory), []);
  await cache.shutdown();
});

test('what was read when nobody could say whether the file is what it was is not kept; what was kept before stays', async () => {
  const key = { ...KEY, file: 'large', size: 4 << 20 };
  const cache = await open(temporaryDirectory());
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  const first = (await content.fill(1 << 20, 0, source)) as number;
  assert.ok(first >= 1 << 20);
  source.silent = true;
  assert.ok((await readRange(content, source, 2 << 20, 100)).equals(source.content.subarray(2 << 20, (2 << 20) + 100)));
  assert.equal(await content.fill(1 << 20, 2 << 20, source), -Errno.EIO);
  assert.equal(content.stale, false);
  assert.equal(cache.presentBytes(key), first);
  source.silent = false;
  assert.equal(first + ((await content.fill(key.size, 0, source)) as number), key.size);
  assert.ok(content.complete);
  content.release();
  await cache.shutdown();
});

test('a read that ends early, of a file of which nothing more can be found out, is an error', async () => {
  const cache = await open(temporaryDirectory());
  const source = new TrueSource({ ...KEY, size: 5000 });
  source.silent = true;
  const content = cache.acquire(KEY)!;
  await assert.rejects(readRange(content, source, 0, 20_000), /-5/);
  assert.equal(content.stale, false);
  content.release();
  await cache.shutdown();
});

test('a file that became shorter is read to its new end, and its object given up', async () => {
  const cache = await open(temporaryDirectory());
  const source = new TrueSource({ ...KEY, size: 5000 });
  source.changed = true;
  const content = cache.acquire(KEY)!;
  assert.equal((await readRange(content, source, 0, 20_000)).length, 5000);
  await pause(20);
  assert.ok(content.stale);
  content.release();
  await cache.shutdown();
});

// S1.2
test('a source that ends a read early and says the file is what it was lies: that is an error, and nothing is kept', async () => {
  const cache = await open(temporaryDirectory());
  const content = cache.acquire(KEY)!;
  await assert.rejects(readRange(content, new TrueSource({ ...KEY, size: 5000 }), 0, 20_000), /-5/);
  const honest = new TrueSource(KEY);
  assert.ok(
    (await readRange(content, honest, 0, KEY.size)).equals(honest.content),
    'once it tells the truth all is well',
  );
  content.release();
  await cache.shutdown();
});

// S1.5, S3.7
test('another version of a file replaces the object, whose holders keep its bytes', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await fill(cache, KEY);
  const old = cache.acquire(KEY)!;
  const next = { ...KEY, version: 'v2' };
  await fill(cache, next);
  assert.equal(cache.has(KEY), false);
  assert.ok(cache.has(next));
  const into = Buffer.alloc(KEY.size);
  assert.equal(old.readNow(into, KEY.size, 0), KEY.size);
  assert.ok(into.equals(truth(KEY.file, 'v1', KEY.size)));
  old.release();
  for (let tries = 0; tries < 2000 && cache.snapshot().usedBytes !== KEY.size; tries++) await pause(5);
  assert.equal(objectFiles(directory).length, 1);
  assert.equal(cache.snapshot().usedBytes, KEY.size);
  await cache.shutdown();
});

// S3.7
test('an exposed object is a file of its own that nothing changes', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await fill(cache, KEY);
  const content = cache.acquire(KEY)!;
  const fd = content.expose();
  assert.ok(fd >= 0);
  assert.throws(() => fs.writeSync(fd, 'x'), /EBADF/, 'it cannot be written through');
  await fill(cache, { ...KEY, version: 'v2' });
  const bytes = Buffer.alloc(KEY.size);
  fs.readSync(fd, bytes, 0, KEY.size, 0);
  assert.ok(bytes.equals(truth(KEY.file, 'v1', KEY.size)));
  fs.closeSync(fd);
  content.release();
  await cache.shutdown();
});

test('a full cache keeps what it has and takes nothing more', async () => {
  const cache = await open(temporaryDirectory(), { sizeBytes: 1 << 20 });
  for (let i = 0; i < 40; i++) {
    const key = { file: String(i), version: 'v', size: 100_000 };
    const content = cache.acquire(key);
    if (content === undefined) continue;
    await readRange(content, new TrueSource(key), 0, key.size);
    await untilComplete(content);
    content.release();
  }
  const { usedBytes, refused } = cache.snapshot();
  assert.equal(usedBytes, 1_000_000);
  assert.deepEqual(refused, { noRoom: 30, disk: 0, neverCache: 0 });
  assert.ok(cache.has({ file: '0', version: 'v', size: 100_000 }));
  await cache.shutdown();
});

test('of a file larger than the room a part is kept, and the rest read from the source', async () => {
  const cache = await open(temporaryDirectory(), { sizeBytes: 1 << 20 });
  const key = { file: 'big', version: 'v', size: 4 << 20 };
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < key.size; at += 256 << 10) {
      const bytes = await readRange(content, source, at, 256 << 10);
      assert.ok(bytes.equals(source.content.subarray(at, at + (256 << 10))));
    }
    await untilKept(cache, key, 1 << 20);
  }
  assert.ok(cache.snapshot().usedBytes <= 1 << 20);
  assert.ok(cache.snapshot().hitBytes >= 1 << 19);
  content.release();
  await cache.shutdown();
});

test('what has arrived is read at once, before it is kept, and not when the source has changed', async () => {
  for (const changed of [false, true]) {
    const cache = await open(temporaryDirectory());
    const source = new TrueSource(KEY);
    const asked = Promise.withResolvers<boolean>();
    source.unchanged = () => asked.promise;
    const content = cache.acquire(KEY)!;
    const into = Buffer.alloc(KEY.size);
    const arrived = Promise.withResolvers<void>();
    const filled = content.fill(KEY.size, 0, source, { arrived: () => arrived.resolve() });
    assert.equal(content.readNow(into, KEY.size, 0), -Errno.EAGAIN, 'on its way');
    await arrived.promise;
    assert.equal(content.complete, false);
    assert.equal(content.readNow(into, KEY.size, 0), KEY.size);
    assert.ok(into.equals(source.content));
    assert.equal(content.readNow(into, 1000, KEY.size - 100), 100, 'short at the end');
    assert.ok(into.subarray(0, 100).equals(source.content.subarray(KEY.size - 100)));
    asked.resolve(!changed);
    await filled;
    assert.equal(content.complete, !changed);
    assert.equal(content.readNow(into, 100, 0), changed ? -Errno.EAGAIN : 100);
    assert.deepEqual([source.reads, source.bytes], [1, KEY.size]);
    content.release();
    await cache.shutdown();
  }
});

test('of a chunk that finds no room only the pages that are asked for are read', async () => {
  const cache = await open(temporaryDirectory(), { sizeBytes: 1 << 20, chunkBytes: 256 << 10 });
  const key = { file: 'table', version: 'v', size: (4 << 20) + 100 };
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  await readRange(content, source, 0, 1 << 20);
  await untilKept(cache, key, 1 << 20);
  const asked = async (offset: number, length: number): Promise<number> => {
    const before = source.bytes;
    const bytes = await readRange(content, source, offset, length);
    assert.ok(bytes.equals(source.content.subarray(offset, offset + length)));
    return source.bytes - before;
  };
  assert.equal(await asked(3 << 20, 4096), 4096);
  assert.equal(await asked((3 << 20) + 5000, 8192), 3 * 4096, 'bytes that lie in three pages');
  assert.equal(await asked(4 << 20, 100), 100, 'the end of the file');
  assert.equal(await asked(768 << 10, 512 << 10), 256 << 10, 'beside what is kept');
  const before = source.bytes;
  assert.equal(await content.fill(256 << 10, 2 << 20, source), -Errno.ENOSPC);
  assert.equal(source.bytes, before, 'nothing is brought that nobody waits for and nobody keeps');
  assert.equal(cache.snapshot().usedBytes, 1 << 20);
  content.release();
  await cache.shutdown();
});

test('the last of the room takes a part of what is read at once', async () => {
  const cache = await open(temporaryDirectory(), { sizeBytes: (1 << 20) + (600 << 10), chunkBytes: 256 << 10 });
  const key = { file: 'shard', version: 'v', size: 4 << 20 };
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  await readRange(content, source, 0, 1 << 20);
  await untilKept(cache, key, 1 << 20);
  const bytes = await readRange(content, source, 1 << 20, 1 << 20);
  assert.ok(bytes.equals(source.content.subarray(1 << 20, 2 << 20)));
  await untilKept(cache, key, (1 << 20) + (512 << 10));
  assert.equal(source.bytes, 2 << 20, 'every byte was asked for once');
  content.release();
  await cache.shutdown();
});

test('a second daemon on the same directory is refused and told who holds it', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await assert.rejects(
    open(directory),
    (error) => error instanceof CacheError && error.code === 'busy' && error.message.includes(String(process.pid)),
  );
  await cache.shutdown();
  await (await open(directory)).shutdown();
});

test('a directory that cannot be used is named, with a remedy', async () => {
  const file = path.join(temporaryDirectory(), 'file');
  fs.writeFileSync(file, '');
  await assert.rejects(
    open(file),
    (error) => error instanceof CacheError && error.message.includes(file) && error.remedy !== '',
  );
  await assert.rejects(open(temporaryDirectory(), { sizeBytes: 100 }), /holds nothing/);
});

for (const [name, damage] of [
  ['truncated', (file: string) => fs.truncateSync(file, 5)],
  ['deleted', (file: string) => fs.unlinkSync(file)],
] as const) {
  // S9.4
  test(`an object that was ${name} while nobody looked is fetched again`, async () => {
    const directory = temporaryDirectory();
    const first = await open(directory);
    await fill(first, KEY);
    await first.shutdown();
    for (const file of objectFiles(directory)) damage(file);
    const cache = await open(directory);
    const source = new TrueSource(KEY);
    const content = cache.acquire(KEY)!;
    assert.ok((await readRange(content, source, 0, KEY.size)).equals(source.content));
    content.release();
    await fill(cache, KEY);
    assert.ok(cache.has(KEY));
    await cache.shutdown();
  });
}

// S9.4
test('a partly cached file that is cut short while it is open does not grow again with zeros', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  const key = { file: 'big', version: 'v', size: 3 << 20 };
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  await readRange(content, source, 0, 1 << 20);
  await untilKept(cache, key, 1 << 20);
  fs.truncateSync(objectFiles(directory)[0]!, 5000);
  await readRange(content, source, 2 << 20, 1 << 20); // what is stored of this would lengthen the file
  await pause(100);
  assert.ok((await readRange(content, source, 0, 1 << 20)).equals(source.content.subarray(0, 1 << 20)));
  content.release();
  await fill(cache, key);
  await cache.shutdown();
});

// S9.4
test('of a large file a damaged chunk is fetched again, and nothing else', async () => {
  const directory = temporaryDirectory();
  const key = { file: 'big', version: 'v', size: 3 << 20 };
  const first = await open(directory);
  await fill(first, key);
  await first.shutdown();
  const fd = fs.openSync(objectFiles(directory)[0]!, 'r+');
  fs.writeSync(fd, 'damage', 100 * CHUNK + 5);
  fs.closeSync(fd);
  const lines: string[] = [];
  const log = { ...silentLog, warn: (_: object, line: string) => lines.push(line) };
  const cache = await open(directory, { log });
  const content = cache.acquire(key)!;
  const source = new TrueSource(key);
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < key.size; at += 1 << 20) {
      assert.ok((await readRange(content, source, at, 1 << 20)).equals(source.content.subarray(at, at + (1 << 20))));
    }
    await untilComplete(content);
  }
  assert.equal(source.bytes, CHUNK);
  const { checkedChunks, damagedChunks, usedBytes } = cache.snapshot();
  assert.equal(damagedChunks, 1);
  assert.equal(usedBytes, key.size);
  // Each chunk is checked once; those checked before the damage was found once more.
  assert.ok(checkedChunks >= key.size / CHUNK && checkedChunks <= key.size / CHUNK + 110, `${checkedChunks} checks`);
  assert.deepEqual(lines, ['a cached chunk is damaged; it is fetched again']);
  content.release();
  await cache.shutdown();
});

// S9.4
test('what an earlier run left is checked before the kernel is given it, and the reader does not wait for that', async () => {
  const directory = temporaryDirectory();
  const key = { file: 'big', version: 'v', size: 3 << 20 };
  const first = await open(directory);
  await fill(first, key);
  await first.shutdown();
  const cache = await open(directory);
  const content = cache.acquire(key)!;
  assert.equal(content.expose(), -11, 'the daemon serves it');
  const source = new TrueSource(key);
  assert.ok(
    (await readRange(content, source, 70_000, 1 << 20)).equals(source.content.subarray(70_000, 70_000 + (1 << 20))),
  );
  let fd = -11;
  for (let i = 0; i < 500 && fd === -11; i++) {
    await pause(5);
    fd = content.expose();
  }
  assert.ok(fd >= 0, `${fd}`);
  fs.closeSync(fd);
  assert.equal(cache.snapshot().checkedChunks, key.size / CHUNK, 'each chunk once');
  content.release();
  await cache.shutdown();
  const again = await open(directory);
  const object = objectFiles(directory)[0]!;
  const bytes = fs.readFileSync(object);
  bytes[key.size - 1]! ^= 1;
  fs.writeFileSync(object, bytes);
  const damaged = again.acquire(key)!;
  for (let i = 0; i < 500 && !damaged.stale; i++) {
    assert.equal(damaged.expose(), -11);
    await pause(5);
  }
  assert.ok(damaged.stale, 'an object the kernel may hold is replaced as a whole');
  damaged.release();
  await fill(again, key);
  await again.shutdown();
});

test('a file that is asked for before its row was loaded is found by its key, and space is counted from the start', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  const files = Array.from({ length: 40 }, (_, i) => ({ file: `f${i}`, version: 'v', size: 5000 + i }));
  for (const key of files) await fill(first, key);
  const { usedBytes } = first.snapshot();
  await first.shutdown();
  const cache = await open(directory);
  assert.equal(cache.snapshot().usedBytes, usedBytes, 'at once');
  assert.equal(cache.snapshot().objects, 40);
  assert.ok(cache.has(files[39]!) && cache.has(files[0]!));
  const next = { ...files[7]!, version: 'w' };
  const content = cache.acquire(next)!;
  await readRange(content, new TrueSource(next), 0, next.size);
  await untilComplete(content);
  content.release();
  cache.drop('f8');
  await cache.loaded;
  assert.ok(cache.has(next) && !cache.has(files[7]!) && !cache.has(files[8]!) && cache.has(files[9]!));
  assert.equal(cache.snapshot().objects, 39);
  for (let i = 0; i < 500 && cache.snapshot().usedBytes !== usedBytes - 5008; i++) await pause(10); // until the files are gone
  assert.equal(cache.snapshot().usedBytes, usedBytes - 5008);
  await cache.shutdown();
});

test('what an earlier run kept stays rows of the index until it is asked for', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  const files = Array.from({ length: 300 }, (_, i) => ({ file: `f${i}`, version: 'v', size: 3000 + i }));
  for (const key of files) await fill(first, key);
  assert.deepEqual([first.snapshot().completeObjects, first.snapshot().objectsInMemory], [300, 300]);
  await first.shutdown();
  const cache = await open(directory);
  await cache.loaded;
  const before = cache.snapshot();
  assert.deepEqual([before.objects, before.completeObjects], [300, 300]);
  assert.ok(before.objectsInMemory <= 64, `${before.objectsInMemory} in memory: a choice for the policy`);
  for (const key of files) assert.ok(cache.has(key) && cache.presentBytes(key) === key.size);
  assert.equal(cache.snapshot().objectsInMemory, before.objectsInMemory, 'to look is not to ask for it');
  for (const key of files.slice(100, 200)) {
    const source = new TrueSource(key);
    const content = cache.acquire(key)!;
    assert.ok((await readRange(content, source, 0, key.size)).equals(source.content));
    content.release();
    assert.equal(source.reads, 0, 'from the cache');
  }
  const after = cache.snapshot();
  assert.equal(after.objectsInMemory, before.objectsInMemory + 100);
  assert.deepEqual([after.objects, after.completeObjects, after.usedBytes], [300, 300, before.usedBytes]);
  await cache.shutdown();
});

// S9.2
test('a cache directory deleted under the daemon costs no read, and is made again', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await fill(cache, KEY);
  fs.rmSync(directory, { recursive: true });
  const other = { file: '99', version: 'v', size: 50_000 };
  const source = new TrueSource(other);
  const content = cache.acquire(other);
  if (content !== undefined) {
    assert.ok((await readRange(content, source, 0, other.size)).equals(source.content));
    content.release();
  }
  for (let i = 0; i < 150 && cache.snapshot().health === 'ok'; i++) await pause(20);
  assert.match(cache.snapshot().health, /since/);
  for (let i = 0; i < 400 && cache.snapshot().health !== 'ok'; i++) await pause(20);
  assert.equal(cache.snapshot().health, 'ok', 'it is tried again');
  await fill(cache, other);
  assert.ok(cache.has(other));
  await cache.shutdown();
});

// S1.5
test('a deleted cache directory is made again, also where that fails in the middle', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await fill(cache, KEY);
  const failing = mock.method(IndexDatabase, 'open', () => {
    failing.restore();
    throw new Error('not now');
  }).mock;
  fs.rmSync(directory, { recursive: true });
  for (let i = 0; i < 250 && cache.snapshot().health === 'ok'; i++) await pause(20);
  assert.match(cache.snapshot().health, /since/);
  for (let i = 0; i < 800 && cache.snapshot().health !== 'ok'; i++) await pause(20);
  assert.equal(failing.callCount(), 1);
  assert.equal(cache.snapshot().health, 'ok', 'it is tried again');
  await fill(cache, KEY);
  assert.ok(cache.has(KEY));
  await assert.rejects(open(directory), { code: 'busy' });
  await cache.shutdown();
});

test('it gives the bytes of the version asked for, whatever happened before', async () => {
  const aStep = fc.record({
    file: fc.constantFrom('1', '2', '3'),
    version: fc.constantFrom('a', 'b'),
    size: fc.constantFrom(0, 1, CHUNK, 3 * CHUNK + 7, (1 << 20) + 5 * CHUNK),
    offset: fc.nat((1 << 20) + 6 * CHUNK),
    length: fc.constantFrom(1, 100, CHUNK, 5 * CHUNK, 300_000),
    next: fc.constantFrom('', '', '', 'drop', 'restart', 'truncate', 'delete', 'change', 'wait'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { maxLength: 25 }), async (steps) => {
      const directory = temporaryDirectory();
      let cache = await open(directory, { sizeBytes: 1 << 21 });
      for (const step of steps) {
        const key = { file: step.file, version: step.version, size: step.size };
        const source = new TrueSource(key);
        source.changed = step.next === 'change';
        const content = cache.acquire(key);
        if (content !== undefined) {
          const bytes = await readRange(content, source, step.offset, step.length);
          const expected = source.content.subarray(step.offset, step.offset + step.length);
          assert.ok(bytes.equals(expected), `${JSON.stringify(step)}: ${bytes.length} wrong bytes`);
          content.release();
        }
        if (step.next === 'wait') await pause(5);
        if (step.next === 'drop') cache.drop(step.file);
        if (step.next === 'truncate' || step.next === 'delete') {
          await cache.shutdown();
          const [file] = objectFiles(directory);
          if (file !== undefined && step.next === 'truncate') fs.truncateSync(file, 1);
          else if (file !== undefined) fs.unlinkSync(file);
          cache = await open(directory, { sizeBytes: 1 << 21 });
        }
        if (step.next === 'restart') {
          await cache.shutdown();
          cache = await open(directory, { sizeBytes: 1 << 21 });
        }
        assert.ok(cache.snapshot().usedBytes <= 1 << 21);
      }
      await cache.shutdown();
    }),
    { numRuns: Number(process.env.MLO_MODEL_RUNS ?? 40), seed: Number(process.env.MLO_MODEL_SEED ?? 20_261_121) },
  );
});
