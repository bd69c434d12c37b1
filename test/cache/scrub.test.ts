/** What is kept is read and checked when nobody else reads. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { mock, test } from 'node:test';
import { type Cache, type CacheOptions, openCache } from '../../src/cache/index.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, fill, objectFiles, pause, readRange, TrueSource, temporaryDirectory } from './support.ts';

const keys = Array.from({ length: 12 }, (_, i) => ({ file: `f${i}`, version: 'v', size: 100_000 + i * 777 }));
const bytes = keys.reduce((sum, { size }) => sum + size, 0);
const FAST = 64 << 20;

// What else is dirty on the disk may keep an unmount from syncing in its time; what matters here is that it did.
mock.method(sys.syncfs, 'later', async () => 0);

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const always = { directory, sizeBytes: 64 << 20, chunkBytes: CHUNK, storeId: 'test:/', log: silentLog };
  return openCache({ ...always, scrubBytesPerSecond: FAST, scrubQuietMs: 0, ...options });
}

async function filled(): Promise<string> {
  const directory = temporaryDirectory();
  const cache = await open(directory, { scrubBytesPerSecond: 0 });
  for (const key of keys) await fill(cache, key);
  assert.equal(cache.snapshot().scrub.state, 'off');
  await cache.shutdown();
  return directory;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1500 && !condition(); i++) await pause(20);
  assert.ok(condition(), `not within 30 s: ${what}`);
}

test('a scrub finds what is damaged and gone before it is needed, and then rests', async () => {
  const directory = await filled();
  const [first, second] = objectFiles(directory);
  const content = fs.readFileSync(first!);
  content[CHUNK * 3 + 7]! ^= 4;
  fs.writeFileSync(first!, content);
  const gone = fs.readFileSync(second!);
  fs.rmSync(second!);
  const lines: string[] = [];
  const log = { ...silentLog, warn: (_: object, line: string) => lines.push(line) };
  const cache = await open(directory, { log });
  await until('a pass', () => cache.snapshot().scrub.passes === 1);
  const { scrub, checkedChunks, damagedChunks, objects, usedBytes } = cache.snapshot();
  assert.equal(scrub.state, 'resting');
  assert.equal(scrub.done, 1);
  assert.equal(scrub.damagedChunks, 1);
  assert.equal(objects, keys.length - 1);
  assert.equal(usedBytes, bytes - CHUNK - gone.length);
  assert.ok(checkedChunks > 200 && damagedChunks >= 1);
  assert.deepEqual(lines.sort(), [
    'a cached chunk is damaged; it is fetched again',
    'a cached object is damaged or gone; it is fetched again',
  ]);
  for (const key of keys) {
    const source = new TrueSource(key);
    const content = cache.acquire(key)!;
    assert.ok((await readRange(content, source, 0, key.size)).equals(source.content), key.file);
    content.release();
  }
  // What the scrub has checked is trusted; of the damaged file, what it checked after the damage.
  assert.equal(cache.snapshot().checkedChunks, checkedChunks + 3);
  await cache.shutdown();
  const again = await open(directory);
  await until('rest', () => again.snapshot().scrub.state === 'resting');
  assert.equal(again.snapshot().scrub.checkedBytes, 0, 'the day is not over');
  await again.shutdown();
});

test('a scrub goes on after a restart where it was', async () => {
  const directory = await filled();
  const slow = await open(directory, { scrubBytesPerSecond: 500_000 });
  await until('half a pass', () => slow.snapshot().scrub.checkedBytes > bytes / 2);
  const { scrub } = slow.snapshot();
  assert.equal(scrub.state, 'running');
  assert.ok(scrub.done > 0.3 && scrub.done < 1, `${scrub.done}`);
  await slow.shutdown();
  const cache = await open(directory);
  await until('a pass', () => cache.snapshot().scrub.passes === 1);
  const { checkedBytes } = cache.snapshot().scrub;
  assert.ok(checkedBytes > 0 && checkedBytes < bytes * 0.7, `${checkedBytes} of ${bytes} in the second run`);
  await cache.shutdown();
});

test('a scrub waits while the mount reads, and can be switched on and off', async () => {
  const directory = await filled();
  const cache = await open(directory, { scrubQuietMs: 3_600_000 });
  const content = cache.acquire(keys[0]!)!;
  await readRange(content, new TrueSource(keys[0]!), 0, 1000);
  content.release();
  await until('it waits', () => cache.snapshot().scrub.state === 'paused');
  assert.equal(cache.snapshot().scrub.checkedBytes, 0);
  cache.setScrubRate(0);
  assert.equal(cache.snapshot().scrub.state, 'off');
  await cache.shutdown();
});

test('a scrub leaves small files the rows that they were', async () => {
  const directory = temporaryDirectory();
  const small = Array.from({ length: 200 }, (_, i) => ({ file: `s${i}`, version: 'v', size: 1000 + i }));
  const first = await open(directory, { scrubBytesPerSecond: 0 });
  for (const key of small) await fill(first, key);
  await first.shutdown();
  const cache = await open(directory);
  await until('a pass', () => cache.snapshot().scrub.passes === 1);
  const { objects, completeObjects, objectsInMemory, checkedChunks, usedBytes } = cache.snapshot();
  assert.deepEqual([objects, completeObjects, checkedChunks], [200, 200, 200]);
  assert.ok(objectsInMemory <= 64, `${objectsInMemory} in memory`);
  assert.equal(
    usedBytes,
    small.reduce((sum, { size }) => sum + size, 0),
  );
  await cache.shutdown();
});
