/**
 * The machine stops under load: of the cache's disk only what was written to it is left, and another boot finds it. What the
 * index says is synced must be, what it does not must not count, and nobody reads a wrong byte.
 * MLO_STOP_ROUNDS makes it longer; from 6 on some rounds wait until objects are synced that are at rest.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cachesIn, checkCache, contentsOf } from '../../src/cache/upkeep.ts';
import { type Random, randomFrom } from '../cache/damages.ts';
import { LoopDisk, noLoopDisk } from '../support/loop-disk.ts';
import { noMounts } from '../support/mounts.ts';
import { Life } from './crash-rounds.ts';

const ROUNDS = Number(process.env.MLO_STOP_ROUNDS ?? 2);
const SEED = Number(process.env.MLO_CRASH_SEED ?? Date.now() % 1e9);
const CACHE_BYTES = 128 << 20;
/** Objects are synced when they were left alone for 35 s. */
const REST_MS = 45_000;

/** What is kept is in the index within this time. */
const INDEX_LAG_MS = 1500;

/** The kernel writes back in an order of its own: here the index's log comes before the objects that it tells of. */
function syncLog(index: string): void {
  const fd = openSync(`${index}-wal`, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

/** As if what wrote the index had run in another boot. */
function anotherBoot(index: string, round: number): void {
  const db = new DatabaseSync(index);
  db.prepare("UPDATE meta SET value = ? WHERE key = 'boot'").run(`boot ${round}`);
  db.close();
}

interface Found {
  synced: number;
  unsynced: number;
  /** Objects that do not count, and of which something is lost. */
  lost: number;
}

/** Holds every object the index calls synced against its checksums. */
function checkSynced(life: Life): Found {
  const found: Found = { synced: 0, unsynced: 0, lost: 0 };
  for (const cache of cachesIn(life.cache)) {
    const contents = contentsOf(cache);
    assert.equal(contents.unusable, undefined, 'the index is torn');
    assert.equal(contents.damagedRows, 0);
    const synced = contents.rows.filter((row) => row.synced === 1);
    const unsynced = contents.rows.filter((row) => row.synced === 0);
    const { damaged } = checkCache(cache, { ...contents, rows: synced }, () => {});
    const wrong = damaged.filter(({ what }) => what !== 'missing'); // one that was removed: its row goes after it
    assert.deepEqual(wrong, [], 'the index says that it was synced');
    assert.ok(damaged.length <= synced.length / 2, `${damaged.length} of ${synced.length} synced objects are missing`);
    found.synced += synced.length;
    found.unsynced += unsynced.length;
    found.lost += checkCache(cache, { ...contents, rows: unsynced }, () => {}).damaged.length;
    cache.close();
  }
  return found;
}

function syncedAny(life: Life): boolean {
  const caches = cachesIn(life.cache);
  const any = caches.some((cache) => contentsOf(cache).rows.some((row) => row.synced === 1));
  for (const cache of caches) cache.close();
  return any;
}

/** An unmount syncs all of it, unless the disk has too much else to write for the time that it may take. */
async function unmountSynced(life: Life): Promise<void> {
  await life.mount!.unmount();
  for (let tries = 1; tries < 5 && !syncedAny(life); tries++) {
    await life.begin();
    await life.mount!.unmount();
  }
}

async function round(life: Life, disk: LoopDisk, random: Random, number: number): Promise<Found & { hits: number }> {
  await life.begin();
  if (number % 3 === 1) {
    await life.mount!.killDaemon(); // before anything was read: what is left out by another boot stays out
    await life.begin();
  }
  const { damagedChunks, stillBytes, stillFromStore } = await life.verify();
  assert.equal(damagedChunks, 0, 'what counts is whole');
  if (ROUNDS >= 6 && number % 3 === 2) await sleep(REST_MS);
  else if (random(2) === 0 || number === 0) {
    await unmountSynced(life);
    await life.ask('change'); // while nobody has a lease
    await life.begin();
  }
  await life.verify();
  await sleep(INDEX_LAG_MS); // rows of what is not synced are in the index
  await life.loadAndEnd('killed', {
    before: () => {
      syncLog(life.index);
      disk.stop();
    },
  });
  const ended = await life.mount!.command(['umount', life.mountpoint], 30);
  assert.equal(ended.status, 0, ended.stderr);
  await disk.start();
  const found = existsSync(life.index) ? checkSynced(life) : { synced: 0, unsynced: 0, lost: 0 };
  if (existsSync(life.index)) anotherBoot(life.index, number);
  return { ...found, hits: 1 - stillFromStore / stillBytes };
}

// S9.4
test(`after each of ${ROUNDS} stops of the machine what the index calls synced is whole, and nothing else counts`, {
  skip: noMounts || noLoopDisk,
}, async (t: TestContext) => {
  const random = randomFrom(SEED);
  const disk = new LoopDisk(2 * CACHE_BYTES);
  const life = new Life(random, CACHE_BYTES, disk.directory);
  const sum = { synced: 0, unsynced: 0, lost: 0 };
  const hits: string[] = [];
  try {
    for (let number = 0; number < ROUNDS; number++) {
      const found = await round(life, disk, random, number).catch((error: Error) => {
        throw new Error(`round ${number} of seed ${SEED}: ${error.message}`, { cause: error });
      });
      sum.synced += found.synced;
      sum.unsynced += found.unsynced;
      sum.lost += found.lost;
      hits.push(found.hits.toFixed(2));
    }
    await life.begin();
    await life.verify();
  } finally {
    await life.end();
    disk.remove();
  }
  assert.ok(sum.synced > 0, 'something was synced');
  assert.ok(sum.unsynced > 0 && sum.lost > 0, 'something was not, and is lost');
  t.diagnostic(
    `seed ${SEED}: ${sum.synced} synced objects whole; ${sum.unsynced} not synced, ${sum.lost} of them not whole; of files that ` +
      `did not change hit: ${hits.join(' ')}`,
  );
});
