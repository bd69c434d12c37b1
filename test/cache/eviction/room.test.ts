/** The cache on a real disk when it is full: who goes, who must not, and that the size holds at every moment. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import { type Cache, type CacheOptions, type ContentKey, openCache } from '../../../src/cache/index.ts';
import { silentLog } from '../../../src/telemetry/log.ts';
import { objectFiles, pause, readRange, TrueSource, temporaryDirectory, truth, untilComplete } from '../support.ts';

const FILE = 64 * 1024;
const ROOM = 16;

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  return openCache({ directory, sizeBytes: ROOM * FILE, storeId: 'test:/', log: silentLog, ...options });
}

const keyOf = (path: string, size = FILE): ContentKey => ({ file: path, version: 'v', size });
const reader = (path: string): { path(): string } => ({ path: () => path });

/** Reads a file as the overlay does, by its path; true: all of it came from the cache. */
async function read(cache: Cache, path: string, size = FILE): Promise<boolean> {
  const key = keyOf(path, size);
  const source = new TrueSource(key);
  const refused = (): string => JSON.stringify(cache.snapshot().refused);
  const before = refused();
  const content = cache.acquire(key, reader(path));
  if (content === undefined) return false;
  assert.ok((await readRange(content, source, 0, size)).equals(source.content), path);
  // On a busy machine its way to the disk can look like rest.
  for (let tries = 0; tries < 400 && !content.complete && !content.stale && refused() === before; tries++)
    await pause(5);
  content.release();
  await rest(cache);
  return source.reads === 0;
}

/** Until nothing is under way: what was read is kept after its reader has it. */
async function rest(cache: Cache): Promise<void> {
  let last = '';
  for (let tries = 0, same = 0; tries < 2000; tries++) {
    const { usedBytes, heldBytes, evictions, refused } = cache.snapshot();
    const state = JSON.stringify([usedBytes, heldBytes, evictions, refused]);
    same = state === last ? same + 1 : 0;
    if (same === 3) return;
    last = state;
    await pause(5);
  }
  assert.fail('the cache did not come to rest');
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2000; tries++) {
    if (condition()) return;
    await pause(10);
  }
  assert.fail(what);
}

async function readMany(cache: Cache, paths: readonly string[]): Promise<number> {
  let hits = 0;
  for (const path of paths) if (await read(cache, path)) hits++;
  return hits;
}

const paths = (count: number, directory: string): string[] =>
  Array.from({ length: count }, (_, at) => `${directory}/${at}`);

function onDisk(directory: string): number {
  return objectFiles(directory).reduce((sum, file) => {
    return sum + (fs.statSync(file, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }, 0);
}

test('what goes is removed from the disk, and the size is never overshot, however many read at once', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory, { policy: 'lru' });
  const all = paths(100, 'd');
  let reading = true;
  const watched = (async () => {
    for (; reading; await pause(1)) {
      assert.ok(cache.snapshot().usedBytes <= ROOM * FILE);
      assert.ok(onDisk(directory) <= ROOM * FILE);
    }
  })();
  for (let at = 0; at < all.length; at += 10) {
    await Promise.all(all.slice(at, at + 10).map((path) => read(cache, path)));
    await rest(cache); // what is on its way to the disk cannot go
  }
  reading = false;
  await watched;
  await rest(cache);
  const { usedBytes, objects, evictions, evictedBytes, heldBytes } = cache.snapshot();
  assert.ok(evictions > 100 / 2, `${evictions} evictions`);
  assert.equal(evictedBytes, evictions * FILE);
  assert.deepEqual([usedBytes, objects, heldBytes], [ROOM * FILE, ROOM, 0]);
  assert.equal(objectFiles(directory).length, ROOM);
  await cache.shutdown();
});

test('what somebody reads stays; and what is dropped under its readers counts until they are done', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory, { policy: 'lru' });
  await readMany(cache, paths(ROOM, 'd'));
  const held = cache.acquire(keyOf('d/0'), reader('d/0'))!;
  await readMany(cache, paths(2 * ROOM, 'other'));
  assert.ok(cache.has(keyOf('d/0')), 'it was read longest ago, and is in use');
  cache.drop('d/0');
  await rest(cache);
  const { usedBytes, heldBytes } = cache.snapshot();
  assert.deepEqual([usedBytes, heldBytes], [ROOM * FILE, FILE], 'its space is not free');
  const source = new TrueSource(keyOf('d/0'));
  assert.ok((await readRange(held, source, 0, FILE)).equals(truth('d/0', 'v', FILE)));
  assert.equal(source.reads, 0, 'its bytes are there');
  held.release();
  await until('its space is free', () => cache.snapshot().usedBytes === (ROOM - 1) * FILE);
  assert.equal(cache.snapshot().heldBytes, 0);
  await cache.shutdown();
});

test('what is only held for the next open is let go when its space is wanted', async () => {
  const cache = await open(temporaryDirectory(), { policy: 'lru' });
  await readMany(cache, paths(ROOM, 'd'));
  const parked = cache.acquire(keyOf('d/0'), reader('d/0'))!;
  const inUse = cache.acquire(keyOf('d/1'), reader('d/1'))!;
  let asked = 0;
  parked.park(() => {
    asked++;
    parked.release();
  });
  inUse.park(() => assert.fail('it is in use again'));
  inUse.park(undefined);
  await readMany(cache, paths(ROOM, 'other'));
  assert.equal(asked, 1);
  assert.ok(!cache.has(keyOf('d/0')) && cache.has(keyOf('d/1')));
  inUse.release();
  assert.equal(cache.snapshot().heldBytes, 0);
  await cache.shutdown();
});

test('pins stay, what is never to be cached is not, and both are counted', async () => {
  const rules = { pin: ['models', '*.keep'], neverCache: ['**/tmp/**', 'models/secret'] };
  const cache = await open(temporaryDirectory(), { policy: 'lru', rules });
  const pinned = ['models/a', 'models/deep/b', 'd/x.keep'];
  await readMany(cache, pinned);
  await readMany(cache, ['a/tmp/b/c', 'models/secret', 'models/secret']);
  await readMany(cache, paths(3 * ROOM, 'd'));
  assert.equal(await readMany(cache, pinned), pinned.length);
  const { pinnedBytes, refused, usedBytes } = cache.snapshot();
  assert.deepEqual([pinnedBytes, refused.neverCache], [pinned.length * FILE, 3]);
  assert.equal(usedBytes, ROOM * FILE);
  assert.ok(!cache.has(keyOf('a/tmp/b/c')) && !cache.has(keyOf('models/secret')));
  await readMany(cache, paths(2 * ROOM, 'models'));
  assert.ok(cache.snapshot().usedBytes <= ROOM * FILE, 'more is pinned than fits');
  assert.ok(cache.snapshot().refused.noRoom > 0);
  await cache.shutdown();
});

test('a smaller size is kept to: what is worth least goes', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory, { policy: 'lru', sizeBytes: 2 * ROOM * FILE });
  await readMany(cache, paths(2 * ROOM, 'd'));
  await cache.resize(directory, ROOM * FILE);
  await until('it has shrunk', () => cache.snapshot().usedBytes === ROOM * FILE);
  assert.ok(!cache.has(keyOf('d/0')) && cache.has(keyOf(`d/${2 * ROOM - 1}`)));
  await cache.shutdown();
  const smaller = await open(directory, { policy: 'lru', sizeBytes: 2 * ROOM * FILE });
  assert.equal(smaller.snapshot().usedBytes, ROOM * FILE);
  await smaller.shutdown();
});

test('mounted anew with less room than before, it takes no more than it has', async () => {
  const directory = temporaryDirectory();
  const before = await open(directory, { sizeBytes: 2 * ROOM * FILE });
  await readMany(before, paths(2 * ROOM, 'd'));
  await before.shutdown();
  const cache = await open(directory);
  await until('it has shrunk', () => cache.snapshot().usedBytes === ROOM * FILE);
  assert.equal(objectFiles(directory).length, ROOM);
  await cache.shutdown();
});

test('mix, the default: what a daemon before this one kept is not pushed out by a scan', async () => {
  const directory = temporaryDirectory();
  const before = await open(directory);
  assert.equal(before.snapshot().policy, 'mix');
  await readMany(before, paths(ROOM, 'train'));
  await before.shutdown();
  const cache = await open(directory);
  await readMany(cache, paths(2 * ROOM, 'scan'));
  assert.equal(await readMany(cache, paths(ROOM, 'train')), ROOM);
  const { evictions, refused } = cache.snapshot();
  assert.deepEqual([evictions, refused.noRoom], [0, 2 * ROOM]);
  await cache.shutdown();
});

test('mix: in the first epoch after a restart what was kept of a data set too large is hit, not pushed out by the rest', async () => {
  const directory = temporaryDirectory();
  const before = await open(directory);
  const all = paths(2 * ROOM, 'train');
  for (const hits of [0, ROOM, ROOM]) assert.equal(await readMany(before, all), hits);
  await before.shutdown();
  const cache = await open(directory);
  const mixed = paths(ROOM, 'train').flatMap((kept, at) => [kept, all[ROOM + at]!]);
  for (let epoch = 0; epoch < 3; epoch++) assert.equal(await readMany(cache, mixed), ROOM, `epoch ${epoch}`);
  assert.equal(cache.snapshot().evictions, 0);
  await cache.shutdown();
});

test('mix: a large file read once takes what is free, and pushes nothing out', async () => {
  const cache = await open(temporaryDirectory());
  await readMany(cache, [...paths(ROOM / 2, 'train'), ...paths(ROOM / 2, 'train')]);
  const size = 2 * ROOM * FILE;
  await read(cache, 'checkpoint.pt', size);
  const { usedBytes, evictions } = cache.snapshot();
  assert.ok(usedBytes <= ROOM * FILE);
  assert.equal(evictions, 0);
  await readMany(cache, paths(ROOM, 'train'));
  assert.equal(await readMany(cache, paths(ROOM, 'train')), ROOM, 'and goes when the data set wants its place');
  await cache.shutdown();
});

/** Reads files one after the other, and waits once at the end; how many came from the cache. */
async function readAll(cache: Cache, paths: readonly string[], size: number): Promise<number> {
  let hits = 0;
  for (const path of paths) {
    const key = keyOf(path, size);
    const source = new TrueSource(key);
    const content = cache.acquire(key, reader(path))!;
    assert.ok((await readRange(content, source, 0, size)).equals(source.content), path);
    await untilComplete(content);
    content.release();
    if (source.reads === 0) hits++;
  }
  await rest(cache);
  return hits;
}

for (const policy of ['mix', 'lru', 'cost-aware', 'epoch-keep'] as const) {
  test(`a full cache of rows that nobody asks for makes room, and a smaller one is soon as small (${policy})`, async () => {
    const directory = temporaryDirectory();
    const small = 8192;
    const many = 160;
    const first = await open(directory, { sizeBytes: many * small, policy });
    await readAll(first, paths(many, 'old'), small);
    assert.equal(first.snapshot().usedBytes, many * small);
    await first.shutdown();

    const cache = await open(directory, { sizeBytes: many * small, policy });
    await cache.loaded;
    await cache.resize(directory, (many * small) / 2);
    await until('half the size', () => cache.snapshot().usedBytes <= (many * small) / 2);
    const { objects, completeObjects, evictions, usedBytes } = cache.snapshot();
    assert.deepEqual([objects, completeObjects, evictions], [many / 2, many / 2, many / 2]);
    await until('the files are gone', () => objectFiles(directory).length === many / 2);
    assert.equal(usedBytes, objects * small);
    // Those that are left are right, row or object.
    const left = paths(many, 'old').filter((path) => cache.has(keyOf(path, small)));
    assert.deepEqual([left.length, await readAll(cache, left, small)], [many / 2, many / 2]);
    await cache.shutdown();
  });
}

test('with lru, what an earlier daemon kept goes before what this one has read', async () => {
  const directory = temporaryDirectory();
  const small = 8192;
  const room = { sizeBytes: 160 * small, policy: 'lru' as const };
  const first = await open(directory, room);
  await readAll(first, paths(160, 'old'), small);
  await first.shutdown();
  const cache = await open(directory, room);
  await cache.loaded;
  await readAll(cache, paths(100, 'new'), small);
  for (const path of paths(100, 'new')) assert.ok(cache.has(keyOf(path, small)), path);
  assert.equal(cache.snapshot().evictions, 100);
  await cache.shutdown();
});
