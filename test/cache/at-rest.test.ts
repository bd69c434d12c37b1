/** Objects that nobody uses are rows of the index again, and are what they were when somebody does. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { mock, test } from 'node:test';
import { type Cache, type CacheOptions, type ContentKey, openCache } from '../../src/cache/index.ts';
import { IndexDatabase } from '../../src/cache/index-db.ts';
import { NumberQueue } from '../../src/cache/number-queue.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { fill, indexOf, objectFiles, pause, readRange, TrueSource, temporaryDirectory, truth } from './support.ts';

const SIZE = 8192;
const FILES = 160;
const AWAKE = 10;

// What else is dirty on the disk may keep an unmount from syncing in its time; what matters here is that it did.
mock.method(sys.syncfs, 'later', async () => 0);

const keyOf = (file: number, version = 'v'): ContentKey => ({ file: String(1000 + file), version, size: SIZE });
const reader = (file: number): { path(): string } => ({ path: () => `d/${file}.bin` });

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  return openCache({ directory, sizeBytes: 64 << 20, storeId: 'test:/', log: silentLog, awakeMost: AWAKE, ...options });
}

/** Reads a file as a whole; true: nothing had to be asked of the source. */
async function read(cache: Cache, file: number, version = 'v'): Promise<boolean> {
  const key = keyOf(file, version);
  const source = new TrueSource(key);
  const content = cache.acquire(key, reader(file))!;
  assert.ok((await readRange(content, source, 0, SIZE)).equals(truth(key.file, version, SIZE)), key.file);
  content.release();
  return source.reads === 0;
}

/** All are there, and nearly all of them at rest. */
async function untilAtRest(cache: Cache, files = FILES): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { objects, completeObjects, objectsInMemory } = cache.snapshot();
    if (objects === files && completeObjects === files && objectsInMemory <= AWAKE + 5) return;
    await pause(100);
  }
  assert.fail(JSON.stringify(cache.snapshot()));
}

async function filled(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = await open(directory, options);
  await Promise.all(Array.from({ length: FILES }, (_, file) => fill(cache, keyOf(file))));
  await untilAtRest(cache);
  return cache;
}

test('what rests is there, counts, and is served without the source and without a check', async () => {
  const cache = await filled(temporaryDirectory());
  assert.equal(cache.snapshot().usedBytes, FILES * SIZE);
  for (let file = 0; file < FILES; file++) {
    assert.ok(cache.has(keyOf(file)) && cache.keeps(keyOf(file).file));
    assert.equal(cache.presentBytes(keyOf(file)), SIZE);
    assert.ok(!cache.has(keyOf(file, 'other')) && !cache.keeps(`${file}`));
  }
  for (let round = 0; round < 2; round++) {
    for (let file = 0; file < FILES; file++) assert.ok(await read(cache, file), `${file}`);
  }
  const { objects, usedBytes, checkedChunks } = cache.snapshot();
  assert.deepEqual([objects, usedBytes, checkedChunks], [FILES, FILES * SIZE, 0]);
  await cache.shutdown();
});

test('another version of what rests takes its place, and so does nothing', async () => {
  const directory = temporaryDirectory();
  const cache = await filled(directory);
  for (let file = 0; file < FILES; file += 4) assert.ok(!(await read(cache, file, 'new')));
  for (let file = 1; file < FILES; file += 4) cache.drop(keyOf(file).file);
  assert.equal(await cache.give(keyOf(2).file), SIZE);
  assert.equal(await cache.give(keyOf(2).file), 0);
  await untilAtRest(cache, FILES - FILES / 4 - 1);
  for (let file = 0; file < FILES; file += 4) {
    assert.ok(!cache.has(keyOf(file)));
    assert.ok(await read(cache, file, 'new'));
  }
  for (let file = 3; file < FILES; file += 4) assert.ok(await read(cache, file));
  assert.equal(objectFiles(directory).length, FILES - FILES / 4 - 1);
  await cache.shutdown();
});

test('what rests is found by the next run, and counts as synced', async () => {
  const directory = temporaryDirectory();
  await (await filled(directory)).shutdown();
  const cache = await open(directory, { bootId: 'another' });
  await cache.loaded;
  for (let file = 0; file < FILES; file++) assert.ok(await read(cache, file), `${file}`);
  await untilAtRest(cache);
  for (let file = 0; file < FILES; file++) assert.ok(await read(cache, file), `${file}, after it rested again`);
  assert.equal(cache.snapshot().checkedChunks, FILES, 'each was checked once');
  await cache.shutdown();
});

/** A full cache, and the ids of those that rest and are to be synced. */
async function filledAndQueue(directory: string): Promise<{ cache: Cache; queue: NumberQueue }> {
  const { push } = NumberQueue.prototype;
  const pushes = mock.method(NumberQueue.prototype, 'push', push).mock;
  const cache = await filled(directory);
  pushes.restore();
  return { cache, queue: pushes.calls[0]!.this as NumberQueue };
}

test('what rests over and over is among those to be synced once', async () => {
  const directory = temporaryDirectory();
  const { cache, queue } = await filledAndQueue(directory);
  for (let round = 0; round < 10; round++) {
    for (let file = 0; file < FILES; file++) await read(cache, file);
    await untilAtRest(cache);
  }
  assert.ok(queue.size <= FILES, `${queue.size}`);
  await cache.shutdown();
  const again = await open(directory, { bootId: 'another' });
  await again.loaded;
  assert.equal(again.snapshot().completeObjects, FILES, 'all count as synced');
  await again.shutdown();
});

test('those that are gone do not hold up the syncing of what rests', async () => {
  const { cache, queue } = await filledAndQueue(temporaryDirectory());
  for (let file = 0; file < FILES; file++) cache.drop(keyOf(file).file);
  const waiting = queue.size;
  assert.ok(waiting > 40, `${waiting}`);
  for (let tries = 0; tries < 100 && queue.size === waiting; tries++) await pause(100);
  assert.equal(queue.size, 0);
  await cache.shutdown();
});

test('where there is no room what rests goes, and its space is what it was', async () => {
  for (const policy of ['lru', 'mix', 'cost-aware'] as const) {
    const directory = temporaryDirectory();
    const cache = await filled(directory, { sizeBytes: FILES * SIZE, policy });
    await cache.resize(directory, (FILES * SIZE) / 2);
    const { usedBytes, objects, evictions } = cache.snapshot();
    assert.deepEqual([usedBytes, objects, evictions], [(FILES * SIZE) / 2, FILES / 2, FILES / 2], policy);
    assert.equal(objectFiles(directory).length, FILES / 2);
    let there = 0;
    for (let file = 0; file < FILES; file++) if (cache.has(keyOf(file)) && (await read(cache, file))) there++;
    assert.equal(there, FILES / 2);
    await cache.shutdown();
  }
});

test('a row that is damaged while it rests is a file to be fetched', async () => {
  const directory = temporaryDirectory();
  const cache = await filled(directory);
  const db = new DatabaseSync(indexOf(directory));
  db.exec('PRAGMA busy_timeout = 5000; UPDATE objects SET sums = 1 WHERE CAST(file AS INTEGER) % 2 = 0');
  db.close();
  let fetched = 0;
  for (let file = 0; file < FILES; file++) if (!(await read(cache, file))) fetched++;
  assert.ok(fetched >= FILES / 2 - AWAKE - 5 && fetched <= FILES / 2, `${fetched}`);
  await untilAtRest(cache);
  assert.equal(cache.snapshot().usedBytes, FILES * SIZE);
  assert.equal(objectFiles(directory).length, FILES);
  await cache.shutdown();
});

/** Once, as where a disk does not answer in time. */
function failOnce(method: 'get' | 'find' | 'slice'): void {
  const failing = mock.method(IndexDatabase.prototype, method, () => {
    failing.restore();
    throw Object.assign(new Error('disk I/O error'), { errcode: 266 });
  }).mock;
}

test('a row that cannot be read once costs its own file', async () => {
  const cache = await filled(temporaryDirectory());
  let fetched = 0;
  failOnce('get');
  for (let file = 0; file < FILES; file++) if (!(await read(cache, file))) fetched++;
  assert.ok(fetched <= 1, `${fetched}`);
  await untilAtRest(cache);
  assert.equal(cache.snapshot().usedBytes, FILES * SIZE);
  await cache.shutdown();
});

test('an index of an earlier run that cannot be read for a moment is read all the same', async () => {
  const directory = temporaryDirectory();
  await (await filled(directory)).shutdown();
  failOnce('slice');
  const cache = await open(directory);
  failOnce('find');
  assert.ok(!(await read(cache, 0)));
  await cache.loaded;
  for (let file = 0; file < FILES; file++) assert.ok(await read(cache, file), `${file}`);
  await untilAtRest(cache);
  assert.equal(cache.snapshot().usedBytes, FILES * SIZE);
  assert.equal(objectFiles(directory).length, FILES);
  await cache.shutdown();
});

test('a cache directory that vanishes leaves nothing at rest', async () => {
  const directory = temporaryDirectory();
  const cache = await filled(directory);
  const place = path.dirname(indexOf(directory));
  fs.rmSync(place, { recursive: true });
  for (let tries = 0; tries < 300 && cache.snapshot().objects > AWAKE; tries++) {
    await read(cache, tries % FILES);
    await pause(100);
  }
  for (let file = 0; file < FILES; file++) await read(cache, file);
  await untilAtRest(cache);
  assert.equal(cache.snapshot().usedBytes, FILES * SIZE);
  for (let file = 0; file < FILES; file++) assert.ok(await read(cache, file));
  await cache.shutdown();
});
