/**
 * Damage to what lies on the cache's disk, of every kind and at random: whatever was done, every byte that is read through
 * the cache is the source's, the cache opens, and its space is counted right. MLO_DAMAGE_ROUNDS rounds (short unless said),
 * MLO_DAMAGE_SEED to repeat one.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { type Cache, type ContentKey, openCache } from '../../src/cache/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { pick, type Random, randomFrom, toIndex, toObject } from './damages.ts';
import { CHUNK, fill, objectFiles, pause, readRange, TrueSource, temporaryDirectory, untilIdle } from './support.ts';

const ROUNDS = Number(process.env.MLO_DAMAGE_ROUNDS ?? 12);
const SEED = Number(process.env.MLO_DAMAGE_SEED ?? Date.now() % 1e9);

function open(directory: string, bootId = 'boot'): Promise<Cache> {
  return openCache({ directory, sizeBytes: 64 << 20, chunkBytes: CHUNK, storeId: 'test:/', log: silentLog, bootId });
}

function indexOf(directory: string): string {
  return path.join(directory, fs.readdirSync(directory)[0]!, 'index.sqlite');
}

const keys: ContentKey[] = Array.from({ length: 24 }, (_, i) => ({
  file: String(i),
  version: i % 5 === 0 ? 'w' : 'v',
  size: [1, 700, CHUNK, CHUNK + 1, 5 * CHUNK + 17, 30_000, (1 << 20) + 3 * CHUNK + 5][i % 7]!,
}));

/** Fills some files whole and some in part, and hands some to the kernel. */
async function prepare(directory: string, random: Random): Promise<void> {
  const cache = await open(directory);
  for (const key of keys) {
    if (random(4) > 0) await fill(cache, key);
    else await readSome(cache, key, random, 1);
    const content = cache.acquire(key)!;
    if (random(3) === 0) {
      const fd = content.expose();
      if (fd >= 0) fs.closeSync(fd);
    }
    content.release();
  }
  await cache.shutdown();
}

/** Random reads of a file, each held against the truth. Returns how many bytes were compared. */
async function readSome(cache: Cache, key: ContentKey, random: Random, reads: number): Promise<number> {
  const source = new TrueSource(key);
  const content = cache.acquire(key);
  let compared = 0;
  if (content === undefined) return 0;
  for (let i = 0; i < reads; i++) {
    const offset = random(key.size);
    const length = pick(random, [1, 100, CHUNK, 3 * CHUNK + 1, key.size]);
    const bytes = await readRange(content, source, offset, length);
    const right = bytes.equals(source.content.subarray(offset, offset + length));
    assert.ok(right, `file ${key.file}: ${length} bytes at ${offset} are not the source's`);
    compared += bytes.length;
  }
  const exposed = random(2) === 0 ? content.expose() : -1;
  if (exposed >= 0) {
    const bytes = Buffer.alloc(key.size + 1);
    const count = fs.readSync(exposed, bytes, 0, key.size + 1, 0);
    fs.closeSync(exposed);
    assert.ok(bytes.subarray(0, count).equals(source.content), `file ${key.file} as the kernel was given it`);
    compared += count;
  }
  content.release();
  return compared;
}

/** What can be damaged while it is in use and told: a file cut short. */
function truncateUnderIt(directory: string, random: Random): void {
  for (const file of objectFiles(directory)) {
    if (random(3) > 0) continue;
    try {
      fs.truncateSync(file, random(fs.statSync(file).size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // it was found damaged meanwhile, and removed
    }
  }
}

// S9.4
test(`${ROUNDS} rounds of damage to objects and index cost no wrong byte (seed ${SEED})`, async (t) => {
  const seen = { compared: 0, checked: 0, damaged: 0, kept: 0 };
  const done = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const random = randomFrom(SEED + round);
    const directory = temporaryDirectory();
    await prepare(directory, random);
    const files = objectFiles(directory);
    const told: string[] = [];
    for (let i = random(6); i > 0; i--) {
      const file = pick(random, files);
      if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) continue;
      const what = pick(random, Object.keys(toObject));
      toObject[what]!(
        file,
        random,
        files.filter((other) => fs.existsSync(other) && fs.statSync(other).isFile()),
      );
      told.push(`object ${what}`);
    }
    if (random(3) > 0) {
      const what = pick(random, Object.keys(toIndex));
      toIndex[what]!(indexOf(directory), random);
      told.push(`index ${what}`);
    }
    for (const what of told) done.set(what, (done.get(what) ?? 0) + 1);
    try {
      const cache = await open(directory, random(5) === 0 ? 'another boot' : 'boot');
      const late = random(2) === 0;
      if (late) await pause(40); // rows by slices, else by key
      for (let i = 0; i < 60; i++) {
        seen.compared += await readSome(cache, pick(random, keys), random, 1 + random(4));
        if (i === 30 && random(3) === 0) {
          await pause(20); // writes under way may end: what is cut short is told by its length
          truncateUnderIt(directory, random);
          told.push('truncated while in use');
        }
      }
      await untilIdle(cache);
      const { checkedChunks, damagedChunks, usedBytes, hits } = cache.snapshot();
      seen.checked += checkedChunks;
      seen.damaged += damagedChunks;
      if (hits > 0) seen.kept++;
      assert.ok(usedBytes >= 0 && usedBytes <= 64 << 20, `${usedBytes} bytes in use`);
      for (const key of keys) cache.drop(key.file);
      for (let i = 0; i < 26; i++) cache.drop(String(i)); // the keys that rows were given
      for (let i = 0; i < 500 && cache.snapshot().usedBytes !== 0; i++) await pause(10); // writes under way end
      assert.equal(cache.snapshot().objects, 0);
      assert.equal(cache.snapshot().usedBytes, 0, 'all space is free again');
      await cache.shutdown();
    } catch (error) {
      throw new Error(`seed ${SEED + round} (${told.join(', ')}): ${(error as Error).message}`, { cause: error });
    }
    fs.rmSync(directory, { recursive: true });
  }
  t.diagnostic(
    `${ROUNDS} rounds: ${seen.compared} bytes compared, none wrong; ${seen.checked} chunks checked, ${seen.damaged} damaged; ` +
      `something was kept in ${seen.kept}; ${[...done].map(([what, count]) => `${what} ${count}`).join(', ')}`,
  );
});
