/**
 * The daemon is killed at random moments under load, what lies on the cache's disk is damaged: whatever
 * happened, every byte that is read afterwards is the source's, what was synced through the mount is at the source, and the
 * cache is still of use. (What works on the mounts is programs/crash.py, the rounds are crash-rounds.ts.)
 *
 * MLO_CRASH_ROUNDS and MLO_DAMAGE_ROUNDS make it longer; MLO_CRASH_SEED repeats a run.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pick, type Random, randomFrom, toIndex, toObject } from '../cache/damages.ts';
import { objectFiles } from '../cache/support.ts';
import { noMounts } from '../support/mounts.ts';
import { type Ending, type Epoch, Life, type Verified } from './crash-rounds.ts';

const CRASH_ROUNDS = Number(process.env.MLO_CRASH_ROUNDS ?? 4);
const DAMAGE_ROUNDS = Number(process.env.MLO_DAMAGE_ROUNDS ?? 2);
const SEED = Number(process.env.MLO_CRASH_SEED ?? Date.now() % 1e9);
/** So many rounds go on with one source and one cache. */
const ROUNDS_OF_A_LIFE = 10;
const ALL_FITS = 256 << 20;
/** What is kept is in the index within this time. */
const INDEX_LAG_MS = 1500;
/** About half of what there is. */
const HALF_FITS = 8 << 20;

class Sum {
  rounds = 0;
  bytes = 0;
  acknowledged = 0;
  stillBytes = 0;
  stillFromStore = 0;
  evictions = 0;
  damagedChunks = 0;
  givenUp = 0;
  readonly steps: Record<string, number> = {};
  readonly mountedMs: number[] = [];
  readonly done: Record<string, number> = {};

  count(what: string, by = 1, of = this.done): void {
    of[what] = (of[what] ?? 0) + by;
  }

  add({ bytes, acknowledged, damagedChunks, evictions }: Verified): void {
    this.rounds++;
    this.bytes += bytes;
    this.acknowledged += acknowledged;
    this.damagedChunks += damagedChunks;
    this.evictions += evictions;
  }

  ended({ mountedMs, givenUp }: Life): void {
    this.mountedMs.push(...mountedMs);
    this.givenUp += givenUp;
  }

  /** Of what never changes, the share that came from the cache in rounds that began with what another had left there; NaN: none did. */
  get kept(): number {
    return 1 - this.stillFromStore / this.stillBytes;
  }

  toString(): string {
    const ms = this.mountedMs.sort((a, b) => a - b).map(Math.round);
    return [
      `${this.rounds} rounds: ${this.bytes} bytes compared and ${this.acknowledged} synced records looked up, none wrong`,
      `of files that did not change ${(this.kept * 100).toFixed(1)} % were still there`,
      `${this.evictions} evictions, ${this.damagedChunks} damaged chunks found`,
      `mounting took ${ms[ms.length >> 1]} ms (median), ${ms.at(-1)} ms at most; ${this.givenUp} given up`,
      JSON.stringify(this.done),
      JSON.stringify(this.steps),
    ].join('; ');
  }
}

/** Rounds over several lives, each with a new source and a new cache. */
async function rounds(
  count: number,
  sizeBytes: number,
  salt: number,
  body: (life: Life, random: Random, first: boolean, sum: Sum) => Promise<void>,
): Promise<Sum> {
  const sum = new Sum();
  for (let done = 0; done < count; done += ROUNDS_OF_A_LIFE) {
    const random = randomFrom(SEED + salt + done);
    const life = new Life(random, sizeBytes);
    try {
      for (let round = done; round < Math.min(count, done + ROUNDS_OF_A_LIFE); round++) {
        await body(life, random, round === done, sum).catch((error: Error) => {
          throw new Error(`round ${round} of seed ${SEED}: ${error.message}`, { cause: error });
        });
      }
    } finally {
      await life.end();
      sum.ended(life);
    }
  }
  return sum;
}

/** `restMs`: between the reading of everything and the load under which the daemon ends. */
async function crashRound(life: Life, random: Random, first: boolean, sum: Sum, restMs = 0): Promise<void> {
  await life.begin();
  const found = await life.verify();
  sum.add(found);
  if (!first) {
    sum.stillBytes += found.stillBytes;
    sum.stillFromStore += found.stillFromStore;
  }
  assert.equal(found.damagedChunks, 0, 'the end of a process damages nothing');
  await sleep(restMs);
  const ending = pick<Ending>(random, ['killed', 'killed', 'killed', 'killed while stopping', 'stopped by force']);
  const { steps, refused } = await life.loadAndEnd(ending, { warming: random(4) === 0 });
  sum.count(ending);
  for (const what of refused) sum.count(what);
  for (const [who, count] of Object.entries(steps)) sum.count(who, count, sum.steps);
  await life.ask('change');
}

function say(t: TestContext, sum: Sum): void {
  t.diagnostic(`seed ${SEED}: ${sum}`);
}

// S3.1, S3.2, S9.4, S9.7
test(`${Math.ceil(CRASH_ROUNDS / 2)} rounds of kill -9 under load: no wrong byte, and what was kept is kept`, {
  skip: noMounts,
}, async (t) => {
  const count = Math.ceil(CRASH_ROUNDS / 2);
  // What the first round brings is what all others expect to find: it is in the index before its daemon ends.
  const round: typeof crashRound = (life, random, first, of) =>
    crashRound(life, random, first, of, first ? INDEX_LAG_MS : 0);
  const sum = await rounds(count, ALL_FITS, 0, round);
  say(t, sum);
  assert.equal(sum.evictions, 0);
  if (count > 1) assert.ok(sum.kept >= 0.9, `${sum.kept} of what never changed was still there`);
});

// S3.1, S3.2, S9.4, S9.7
test(`${Math.floor(CRASH_ROUNDS / 2)} rounds of kill -9 under load with a cache that holds half: no wrong byte`, {
  skip: noMounts,
}, async (t) => {
  const sum = await rounds(Math.floor(CRASH_ROUNDS / 2), HALF_FITS, 1e6, crashRound);
  say(t, sum);
});

/** The share of what never changes that did not come from the store. */
function hitRatio({ stillBytes, stillFromStore }: Epoch): number {
  return 1 - stillFromStore / stillBytes;
}

// S9.4
test('what a cache of half the data hits in an epoch is the same after kill -9', { skip: noMounts }, async (t) => {
  const life = new Life(randomFrom(SEED), HALF_FITS);
  try {
    const ratios: number[] = [];
    for (const again of [false, true]) {
      await life.begin(['-o', 'disable=keep-cache,disable=push-pages,disable=passthrough']); // each read is to be seen
      for (let epoch = 0; epoch < (again ? 2 : 3); epoch++) ratios.push(hitRatio(await life.epoch()));
      await sleep(INDEX_LAG_MS);
      await life.mount!.killDaemon();
    }
    const [first, , before, after, later] = ratios;
    t.diagnostic(`hit: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; the last two after kill -9`);
    assert.ok(first! <= 0 && before! > 0.3, `${before} hit before it`);
    assert.ok(after! >= before! - 0.1, `${after} hit after it, ${before} before`);
    assert.ok(later! >= before! - 0.1, `${later} hit in the second epoch after it, ${before} before`);
  } finally {
    await life.end();
  }
});

async function damageRound(life: Life, random: Random, _first: boolean, sum: Sum): Promise<void> {
  await life.begin();
  sum.add(await life.verify());
  const ending = pick<Ending>(random, ['killed', 'killed', 'unmounted']);
  if (ending === 'unmounted') await life.watched(() => life.mount!.unmount());
  else await life.loadAndEnd(ending);
  sum.count(ending);
  const files = objectFiles(life.cache);
  for (let count = random(8); count > 0 && files.length > 0; count--) {
    const what = pick(random, Object.keys(toObject));
    const file = files.splice(random(files.length), 1)[0]!;
    if (files.length === 0) break;
    toObject[what]!(file, random, files);
    sum.count(`object ${what}`);
  }
  if (random(3) > 0 && existsSync(life.index)) {
    const what = pick(random, Object.keys(toIndex));
    toIndex[what]!(life.index, random);
    sum.count(`index ${what}`);
  }
  if (random(2) === 0) await life.ask('change');
}

// S1.5, S9.4
test(`${DAMAGE_ROUNDS} rounds of damage to objects and index cost no wrong byte`, { skip: noMounts }, async (t) => {
  const sum = await rounds(DAMAGE_ROUNDS + 1, ALL_FITS, 2e6, damageRound); // the damage of the last is not looked at
  say(t, sum);
});
