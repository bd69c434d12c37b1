/** Several tiers as one cache: what is kept where, what moves, that no tier takes more than it may, and what a tier that fails costs. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import { type Cache, type CacheOptions, type ContentKey, openCache } from '../../src/cache/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { dice } from './eviction/workloads.ts';
import { objectFiles, pause, readRange, TrueSource, temporaryDirectory, truth } from './support.ts';

const FILE = 64 * 1024;
const MIB = 1024 * 1024;
/** Files that the fast tier has room for: 1 MiB of them. */
const FAST = 16;

const needsRoot = process.getuid?.() === 0 ? false : 'a tmpfs of one’s own needs root';

interface Stage {
  fast: string;
  slow: string;
}

function stage(): Stage {
  return { fast: temporaryDirectory(), slow: temporaryDirectory() };
}

function open({ fast, slow }: Stage, options: Partial<CacheOptions> = {}, slowBytes = 8 * MIB): Promise<Cache> {
  const slower = [{ directory: slow, sizeBytes: slowBytes }];
  return openCache({ directory: fast, sizeBytes: MIB, slower, storeId: 'test:/', log: silentLog, ...options });
}

const keyOf = (path: string, size = FILE): ContentKey => ({ file: path, version: 'v', size });
const paths = (count: number, directory = 'd'): string[] =>
  Array.from({ length: count }, (_, at) => `${directory}/${at}`);

/** Reads a file as the overlay does, and every byte of it must be right; how often the source was asked for that. */
async function read(cache: Cache, path: string, size = FILE): Promise<number> {
  const key = keyOf(path, size);
  const source = new TrueSource(key);
  const content = cache.acquire(key, { path: () => path });
  if (content === undefined) return 1;
  for (let at = 0; at < size; at += MIB) {
    const length = Math.min(MIB, size - at);
    const bytes = await readRange(content, source, at, length);
    assert.ok(bytes.equals(source.content.subarray(at, at + length)), path);
  }
  await rest(cache, () => content.complete || content.stale);
  content.release();
  return source.reads;
}

async function readAll(cache: Cache, all: readonly string[], size = FILE): Promise<number> {
  let asked = 0;
  for (const path of all) asked += await read(cache, path, size);
  return asked;
}

/** Until what was read is kept, or will not be. */
async function rest(cache: Cache, done: () => boolean): Promise<void> {
  const refused = cache.snapshot().refused;
  for (let tries = 0; tries < 400 && !done(); tries++) {
    if (tries > 4 && JSON.stringify(cache.snapshot().refused) !== JSON.stringify(refused)) return;
    await pause(5);
  }
}

async function until(what: string, done: () => boolean): Promise<void> {
  for (let tries = 0; tries < 3000; tries++) {
    if (done()) return;
    await pause(10);
  }
  assert.fail(`not within 30 s: ${what}`);
}

/** Until nothing moves any more. */
async function settled(cache: Cache): Promise<void> {
  let last = '';
  for (let tries = 0, same = 0; tries < 3000 && same < 10; tries++) {
    const now = JSON.stringify(cache.snapshot().tiers);
    same = now === last ? same + 1 : 0;
    last = now;
    await pause(20);
  }
}

const tierOf = (cache: Cache, at: number) => cache.snapshot().tiers[at]!;

test('the fastest tier fills first, what has no room there goes to the next, and all of it is hit again', async () => {
  const cache = await open(stage());
  assert.equal(await readAll(cache, paths(3 * FAST)), 3 * FAST);
  const { tiers, usedBytes, sizeBytes, objects, completeObjects } = cache.snapshot();
  assert.deepEqual(
    tiers.map(({ bytes }) => bytes),
    [FAST * FILE, 2 * FAST * FILE],
  );
  assert.deepEqual([usedBytes, sizeBytes, objects, completeObjects], [3 * MIB, 9 * MIB, 3 * FAST, 3 * FAST]);
  assert.equal(await readAll(cache, paths(3 * FAST)), 0);
  assert.deepEqual(
    cache.snapshot().tiers.map(({ hits }) => hits),
    [FAST, 2 * FAST],
  );
  assert.equal(cache.snapshot().evictions, 0);
  await cache.shutdown();
});

test('a large file leaves a fast tier to many small ones', async () => {
  const cache = await open(stage());
  await read(cache, 'large', MIB / 4 + 1);
  await read(cache, 'small', MIB / 4);
  assert.deepEqual(
    cache.snapshot().tiers.map(({ bytes }) => bytes),
    [MIB / 4, MIB / 4 + 1],
  );
  await cache.shutdown();
});

test('what is read again moves up, and what has to leave for it is below, not gone', async () => {
  const cache = await open(stage(), { policy: 'lru' });
  await readAll(cache, paths(FAST));
  await readAll(cache, ['hot/a', 'hot/b']);
  assert.equal(tierOf(cache, 1).bytes, 2 * FILE);
  await readAll(cache, ['hot/a', 'hot/b']);
  await until('both have moved up', () => tierOf(cache, 0).promotions === 2);
  await settled(cache);
  const [fast, slow] = cache.snapshot().tiers;
  assert.equal(fast!.bytes, FAST * FILE, 'no more than it may have');
  assert.deepEqual([slow!.demotions, slow!.demotedBytes], [2, 2 * FILE], 'two made room for them');
  assert.equal(cache.snapshot().evictions, 0);
  const before = fast!.hits;
  assert.equal(await readAll(cache, [...paths(FAST), 'hot/a', 'hot/b']), 0, 'nothing is fetched again');
  assert.ok(tierOf(cache, 0).hits > before);
  await settled(cache);
  assert.equal(cache.snapshot().objects, FAST + 2, 'what two tiers have is one');
  await cache.shutdown();
});

test('read once an epoch, nothing moves: no item is worth more than another', async () => {
  const cache = await open(stage());
  for (let epoch = 0; epoch < 4; epoch++) await readAll(cache, paths(3 * FAST));
  await settled(cache);
  assert.deepEqual(
    cache.snapshot().tiers.map(({ promotions, demotions }) => promotions + demotions),
    [0, 0],
  );
  await cache.shutdown();
});

test('a tier that is made smaller hands down what it has too much', async () => {
  const directories = stage();
  const cache = await open(directories, { sizeBytes: 2 * MIB, policy: 'lru' });
  await readAll(cache, paths(2 * FAST));
  await cache.resize(directories.fast, MIB);
  const [fast, slow] = cache.snapshot().tiers;
  assert.deepEqual([fast!.bytes, slow!.bytes, slow!.demotions], [MIB, MIB, FAST]);
  assert.equal(await readAll(cache, paths(2 * FAST)), 0);
  await cache.shutdown();
});

test('who was given an object keeps it when that moves; the next is given the copy', async () => {
  const cache = await open(stage(), { policy: 'lru' });
  await readAll(cache, paths(FAST));
  await read(cache, 'hot');
  const key = keyOf('hot');
  const held = cache.acquire(key, { path: () => 'hot' })!;
  const fd = held.expose();
  assert.ok(fd >= 0);
  await until('it has moved up', () => tierOf(cache, 0).promotions === 1);
  const again = cache.acquire(key, { path: () => 'hot' })!;
  const other = again.expose();
  assert.ok(other >= 0);
  assert.notEqual(fs.fstatSync(fd).ino + fs.fstatSync(fd).dev, fs.fstatSync(other).ino + fs.fstatSync(other).dev);
  cache.drop('hot');
  for (const given of [fd, other]) {
    const bytes = Buffer.alloc(FILE);
    assert.equal(fs.readSync(given, bytes, 0, FILE, 0), FILE);
    assert.ok(bytes.equals(truth('hot', 'v', FILE)));
    fs.closeSync(given);
  }
  held.release();
  again.release();
  await until('both are gone', () => cache.snapshot().heldBytes === 0);
  assert.equal(cache.presentBytes(key), 0);
  await cache.shutdown();
});

test('one that only waits for the next open is let go when it has moved', async () => {
  const cache = await open(stage(), { policy: 'lru' });
  await readAll(cache, paths(FAST));
  await read(cache, 'hot');
  const content = cache.acquire(keyOf('hot'), { path: () => 'hot' })!;
  let letGo = false;
  content.park(() => {
    letGo = true;
    content.release();
  });
  await until('it is let go', () => letGo);
  assert.equal(tierOf(cache, 0).promotions, 1);
  await cache.shutdown();
});

test('damage does not travel: a chunk that is not what it was is not moved, and fetched again', async () => {
  const directories = stage();
  const first = await open(directories, { policy: 'lru' });
  await readAll(first, paths(FAST));
  await read(first, 'hot');
  await first.shutdown();
  const [file] = objectFiles(directories.slow);
  const fd = fs.openSync(file!, 'r+');
  fs.writeSync(fd, Buffer.from([truth('hot', 'v', FILE)[77]! ^ 1]), 0, 1, 77);
  fs.closeSync(fd);

  const cache = await open(directories, { policy: 'lru' });
  await cache.loaded;
  const content = cache.acquire(keyOf('hot'), { path: () => 'hot' })!; // asks for it to be moved
  await until('the damage is found', () => cache.snapshot().damagedChunks === 1);
  content.release();
  await settled(cache);
  assert.equal(tierOf(cache, 0).promotions, 0);
  assert.equal(cache.has(keyOf('hot')), false);
  assert.equal(await read(cache, 'hot'), 1);
  await cache.shutdown();
});

test('nothing is moved while readers wait, or hardly anything', async () => {
  const cache = await open(stage(), { policy: 'lru' });
  await readAll(cache, paths(FAST));
  const hot = paths(20, 'hot');
  await readAll(cache, hot);
  const key = keyOf('slow/source');
  const source = new TrueSource(key);
  const gate = Promise.withResolvers<void>();
  source.gate = gate.promise;
  const waiting = cache.acquire(key)!;
  const late = waiting.read(FILE, 0, source);
  const sinceMs = performance.now();
  for (const path of hot) cache.acquire(keyOf(path), { path: () => path })!.release();
  await pause(700);
  const { promotions } = tierOf(cache, 0);
  const patience = 1 + (performance.now() - sinceMs) / 1000; // one piece a second, so that it comes to an end at all
  assert.ok(promotions <= patience, `${promotions} moved beside a reader that waits`);
  gate.resolve();
  const outcome = await late;
  assert.ok(typeof outcome === 'object');
  outcome.release?.();
  waiting.release();
  await until('the rest moves when nobody waits', () => tierOf(cache, 0).promotions >= 10);
  await cache.shutdown();
});

test('in a tier that is full, what a faster one has as well goes first, and for good', async () => {
  const cache = await open(stage(), { policy: 'lru' }, 2 * MIB);
  await readAll(cache, [...paths(FAST), ...paths(8, 'old'), ...paths(8, 'hot')]);
  await readAll(cache, paths(8, 'hot'));
  await until('they have moved up', () => tierOf(cache, 0).promotions === 8);
  await settled(cache);
  assert.equal(tierOf(cache, 1).bytes, 24 * FILE, 'eight old, eight that moved up, eight that made room');
  await readAll(cache, paths(16, 'new'));
  const { tiers, evictions } = cache.snapshot();
  assert.equal(tiers[1]!.bytes, 2 * MIB);
  assert.equal(evictions, 0, 'the doubles made room, not what was read longest ago');
  assert.equal(await readAll(cache, [...paths(8, 'hot'), ...paths(8, 'old')]), 0);
  await cache.shutdown();
});

test('an empty file moves nowhere, and holds up nothing', async () => {
  const said: string[] = [];
  const log = { ...silentLog, error: (fields: object) => said.push(JSON.stringify(fields)) };
  const stages = stage();
  const cache = await open(stages, { log, policy: 'lru' }, 2 * MIB);
  const held = paths(FAST).map((path) => cache.acquire(keyOf(path))!);
  await readAll(cache, paths(FAST));
  await cache.resize(stages.fast, MIB / 2); // less than what is in use: nothing new goes there
  const empty: ContentKey = { file: 'empty', version: 'v', size: 0 };
  const waiting = cache.acquire(empty)!;
  for (const content of held) content.release();
  await cache.resize(stages.fast, MIB);
  cache.acquire(empty)!.release();
  await pause(100);
  assert.equal(tierOf(cache, 0).promotions, 0);
  waiting.park(() => waiting.release()); // it waits for the next open, and may go for others
  const before = cache.snapshot().evictions;
  await readAll(cache, paths(4 * FAST, 'e'));
  assert.ok(cache.snapshot().evictions > before);
  assert.deepEqual(said, []);
  waiting.release();
  await cache.shutdown();
});

test('what is pinned is kept in the last tier, and never goes for its double', async () => {
  const cache = await open(stage(), { policy: 'lru', rules: { pin: ['kept'], neverCache: ['never'] } }, 2 * MIB);
  await readAll(cache, paths(4, 'kept'));
  assert.equal(tierOf(cache, 1).bytes, 4 * FILE);
  assert.equal(cache.snapshot().pinnedBytes, 4 * FILE);
  await readAll(cache, paths(4, 'kept'));
  await until('a copy is above', () => tierOf(cache, 0).promotions === 4);
  await readAll(cache, paths(90, 'd'));
  assert.equal(await readAll(cache, paths(4, 'kept')), 0);
  assert.equal(cache.snapshot().pinnedBytes, 4 * FILE);
  assert.equal(await read(cache, 'never/a'), 1);
  assert.deepEqual(cache.snapshot().refused.neverCache, 1, 'counted once');
  await cache.shutdown();
});

test('a version that is gone is gone from every tier', async () => {
  const cache = await open(stage(), { policy: 'lru' });
  await readAll(cache, [...paths(FAST), 'hot', 'hot']);
  await until('it has moved up', () => tierOf(cache, 0).promotions === 1);
  await settled(cache);
  const { objects } = cache.snapshot();
  const content = cache.acquire({ ...keyOf('hot'), version: 'w' })!;
  assert.equal(content.complete, false);
  assert.equal(cache.presentBytes(keyOf('hot')), 0);
  content.release();
  await until('its space is free', () => cache.snapshot().objects === objects - 1);
  await cache.shutdown();
});

test('the next run finds what two tiers have, and counts it once', async () => {
  const directories = stage();
  const first = await open(directories, { policy: 'lru' });
  await readAll(first, [...paths(FAST), 'hot', 'hot']);
  await until('it has moved up', () => tierOf(first, 0).promotions === 1);
  await settled(first);
  const { objects, usedBytes } = first.snapshot();
  await first.shutdown();
  const second = await open(directories, { policy: 'lru' });
  await second.loaded;
  await until('doubles are known', () => second.snapshot().objects === objects);
  assert.equal(second.snapshot().usedBytes, usedBytes);
  await second.shutdown();
});

test('what an earlier run left in two tiers goes first as well', async () => {
  const directories = stage();
  const first = await open(directories, { policy: 'lru' }, 2 * MIB);
  await readAll(first, [...paths(FAST), ...paths(8, 'old'), ...paths(8, 'hot')]);
  await readAll(first, paths(8, 'hot'));
  await until('they have moved up', () => tierOf(first, 0).promotions === 8);
  await settled(first);
  const { objects } = first.snapshot();
  await first.shutdown();
  const second = await open(directories, { policy: 'lru' }, 2 * MIB);
  await second.loaded;
  await until('doubles are known', () => second.snapshot().objects === objects);
  await readAll(second, paths(16, 'new'));
  assert.equal(tierOf(second, 1).bytes, 2 * MIB);
  assert.equal(second.snapshot().evictions, 0);
  assert.equal(await readAll(second, [...paths(8, 'hot'), ...paths(8, 'old')]), 0);
  await second.shutdown();
});

test('the next run finds what each tier has', async () => {
  const directories = stage();
  const first = await open(directories);
  await readAll(first, paths(3 * FAST));
  await first.shutdown();
  const second = await open(directories);
  assert.equal(second.snapshot().usedBytes, 3 * MIB);
  assert.equal(await readAll(second, paths(3 * FAST)), 0, 'also before its rows are loaded');
  await second.shutdown();
});

test('any order of reads, changes, drops and sizes: the bytes are right and no tier has more than it may', async () => {
  const directories = stage();
  const cache = await open(directories, { policy: 'lru', chunkBytes: 16 * 1024 }, 2 * MIB);
  const random = dice(7);
  const any = (count: number): number => Math.floor(random() * count);
  const versions = new Map<number, number>();
  const least = [MIB, 2 * MIB];
  let watching = true;
  const watch = (async () => {
    while (watching) {
      for (const [at, directory] of [directories.fast, directories.slow].entries()) {
        const { bytes, sizeBytes } = tierOf(cache, at);
        assert.ok(bytes <= Math.max(sizeBytes, least[at]!), `tier ${at} has ${bytes} of ${sizeBytes}`);
        const blocks = objectFiles(directory).reduce((sum, file) => {
          return sum + (fs.statSync(file, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
        }, 0);
        assert.ok(blocks <= least[at]! + 64 * 1024, `${blocks} bytes on the disk of tier ${at}`);
      }
      await pause(5);
    }
  })();
  const reader = async (): Promise<void> => {
    for (let turn = 0; turn < 150; turn++) {
      const file = any(60);
      const size = 16 * 1024 * (1 + (file % 9));
      const key = { file: `f${file}`, version: `v${versions.get(file) ?? 0}`, size };
      if (any(30) === 0) versions.set(file, (versions.get(file) ?? 0) + 1);
      else if (any(40) === 0) cache.drop(key.file);
      else if (any(60) === 0) await cache.resize(directories.fast, any(2) === 0 ? MIB / 2 : MIB);
      else {
        const source = new TrueSource(key);
        const content = cache.acquire(key, { path: () => `d/${file}` });
        if (content === undefined) continue;
        const from = any(size);
        const bytes = await readRange(content, source, from, size - from);
        assert.ok(bytes.equals(source.content.subarray(from)), `${key.file} ${key.version}`);
        if (any(4) === 0) await pause(3);
        content.release();
      }
    }
  };
  await Promise.all([reader(), reader(), reader(), reader()]);
  watching = false;
  await watch;
  await settled(cache);
  const { tiers } = cache.snapshot();
  assert.ok(tiers[0]!.promotions > 0 && tiers[1]!.demotions > 0, 'objects moved both ways');
  await cache.shutdown();
});

test('a tier that is gone costs what only it had, and is named with what to do', async () => {
  const directories = stage();
  const lines: string[] = [];
  const log = {
    ...silentLog,
    error: (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`),
  };
  const cache = await open(directories, { log });
  await readAll(cache, paths(2 * FAST));
  fs.rmSync(directories.fast, { recursive: true });
  await until('it is noticed', () => cache.snapshot().health !== 'ok');
  const { health, tiers } = cache.snapshot();
  assert.ok(health.startsWith(`${directories.fast}: `), health);
  assert.match(health, /set aside, reads go on without it: see that/);
  assert.equal(tiers[1]!.health, 'ok');
  await readAll(cache, paths(2 * FAST)); // every byte is looked at
  assert.equal(await readAll(cache, paths(2 * FAST)), 0, 'the other tier took over');
  await until('it is back, empty', () => cache.snapshot().health === 'ok');
  await readAll(cache, paths(3 * FAST));
  assert.ok(tierOf(cache, 0).bytes > 0, 'it is filled again');
  assert.equal(lines.filter((line) => line.includes('set aside')).length, 1, lines.join('\n'));
  await cache.shutdown();
});

test('in memory: what only it has is copied below, and the next run finds that', { skip: needsRoot }, async () => {
  const slow = temporaryDirectory();
  const directories = { fast: 'memory', slow };
  const first = await open(directories);
  await readAll(first, paths(3 * FAST, 'd'));
  assert.equal(tierOf(first, 0).path, 'mem');
  await until('all of it is below', () => tierOf(first, 1).objects === 3 * FAST);
  assert.deepEqual([first.snapshot().objects, tierOf(first, 0).bytes], [3 * FAST, MIB]);
  await first.shutdown();
  const second = await open(directories);
  assert.equal(tierOf(second, 0).bytes, 0);
  assert.equal(await readAll(second, paths(3 * FAST, 'd')), 0);
  await until('memory has its share again', () => tierOf(second, 0).promotions === FAST);
  await second.shutdown();
});

test('in memory a byte takes a page, and sizes hold to the page', { skip: needsRoot }, async () => {
  const cache = await openCache({ directory: 'memory', sizeBytes: MIB, storeId: 'test:/', log: silentLog });
  const small = paths(400, 'small');
  await readAll(cache, small, 5000);
  const { usedBytes, completeObjects, health } = cache.snapshot();
  assert.deepEqual([usedBytes, completeObjects, health], [MIB, MIB / 8192, 'ok'], 'two pages each, and no ENOSPC');
  await cache.resize('mem', 2 * MIB);
  await readAll(cache, small, 5000);
  assert.equal(cache.snapshot().completeObjects, (2 * MIB) / 8192, 'and more when it may');
  await cache.shutdown();
});

test('in memory no more is begun at once than there are pages for: what has none is begun below, and all is kept', {
  skip: needsRoot,
}, async () => {
  const cache = await open({ fast: 'memory', slow: temporaryDirectory() });
  const files = paths(200, 'small');
  const readers = files.map((path) => {
    const key = keyOf(path, 5000);
    return { source: new TrueSource(key), content: cache.acquire(key, { path: () => path })! };
  });
  await Promise.all(readers.map(({ content, source }) => readRange(content, source, 0, 5000)));
  await until('all of it is kept', () => readers.every(({ content }) => content.complete));
  for (const { content } of readers) content.release();
  await until('and lies below', () => tierOf(cache, 1).objects === files.length);
  const [memory, below] = cache.snapshot().tiers;
  assert.deepEqual([memory!.bytes, memory!.objects, below!.objects], [MIB, MIB / 8192, files.length]);
  await cache.shutdown();
});
