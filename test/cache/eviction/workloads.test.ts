/**
 * Workloads whose best is known, or can be had from MIN: the default is within a point of the best of all policies, or is
 * the best. Sentences of docs/EVICTION.md.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedPolicies } from '../../../src/cache/eviction/simulated-policies.ts';
import { dice, FILE, KIB, ratio, Script, shuffled, zipf } from './workloads.ts';

const others = Object.keys(simulatedPolicies).filter((name) => name !== 'mix' && name !== 'belady');

interface Wanted {
  /** Events before that are not counted. */
  from?: number;
  /** What the default hits, at least. */
  least?: number;
  /** All files have one size: then MIN is a bound. */
  oneSize?: boolean;
}

function defaultWins(script: Script, capacityBytes: number, { from = 0, least = 0, oneSize = true }: Wanted): void {
  const mix = ratio(script, 'mix', capacityBytes, from);
  assert.ok(mix >= least - 1e-9, `mix hits ${mix}`);
  for (const other of others) {
    const its = ratio(script, other, capacityBytes, from);
    assert.ok(mix >= its - 0.01, `mix hits ${mix}, ${other} ${its}`);
  }
  if (!oneSize) return;
  const bound = ratio(script, 'belady', capacityBytes);
  for (const name of ['mix', ...others]) {
    const its = ratio(script, name, capacityBytes);
    assert.ok(its <= bound + 1e-9, `${name} hits ${its}, and MIN ${bound}`);
  }
}

const N = 1000;

for (const share of [0.25, 0.5, 0.75]) {
  test(`epochs with ${share} of the data: fixed order, shuffled, by class`, () => {
    for (const kind of ['fixed', 'shuffled', 'by class']) {
      const script = new Script();
      const random = dice(1);
      const path = (at: number): string => (kind === 'by class' ? `train/n${at % 40}/${at}.jpg` : `d/${at}.jpg`);
      const files = script.files(N, path);
      script.all(files);
      const from = script.here;
      for (let epoch = 0; epoch < 5; epoch++) script.all(kind === 'fixed' ? files : shuffled(files, random));
      defaultWins(script, share * N * FILE, { from, least: share });
      const keep = ratio(script, 'epoch-keep', share * N * FILE, from);
      assert.ok(Math.abs(keep - share) < 1e-9, `epoch-keep reaches the bound: ${keep}`);
      if (kind === 'fixed') assert.equal(ratio(script, 'lru', share * N * FILE, from), 0, 'and LRU nothing');
    }
  });
}

test('two jobs with a data set each of 0.75 of the cache: both have their share', () => {
  const script = new Script();
  const random = dice(2);
  const [a, b] = [script.files(N, (at) => `a/${at}.jpg`), script.files(N, (at) => `b/${at}.jpg`)];
  script.both(a, b);
  const from = script.here;
  for (let epoch = 0; epoch < 4; epoch++) script.both(shuffled(a, random), shuffled(b, random));
  defaultWins(script, (N / 0.75) * FILE, { from, least: 0.66 });
});

test('a second job that comes when the cache is full gets its share, and the first keeps its own', () => {
  const script = new Script();
  const random = dice(2);
  const [a, b] = [script.files(N, (at) => `a/${at}.jpg`), script.files(N, (at) => `b/${at}.jpg`)];
  const both = (): void => script.both(shuffled(a, random), shuffled(b, random));
  for (let epoch = 0; epoch < 3; epoch++) script.all(shuffled(a, random));
  for (let epoch = 0; epoch < 3; epoch++) both();
  const from = script.here;
  for (let epoch = 0; epoch < 3; epoch++) both();
  defaultWins(script, (N / 0.75) * FILE, { from, least: 0.66 });
  // Each by itself: then its reads alone count.
  const capacity = (N / 0.75) * FILE;
  for (const own of [a, b]) {
    const alone = new Script();
    Object.assign(alone, { workload: script.workload, nowMs: script.nowMs });
    const until = alone.here;
    alone.all(own);
    assert.ok(ratio(alone, 'mix', capacity, until) >= 0.9 * (2 / 3), 'of a fair share of hits');
  }
});

test('a job that moves to a second data set: the first goes', () => {
  for (const share of [0.5, 1.3]) {
    const script = new Script();
    const random = dice(3);
    const [a, b] = [script.files(N, (at) => `a/${at}.jpg`), script.files(N, (at) => `b/${at}.jpg`)];
    for (let epoch = 0; epoch < 3; epoch++) script.all(shuffled(a, random), 100);
    const from = script.here;
    for (let epoch = 0; epoch < 5; epoch++) script.all(shuffled(b, random), 100);
    // The first epoch of b hits nothing.
    defaultWins(script, share * N * FILE, { from, least: 0.78 * Math.min(1, share) });
  }
});

test('two data sets by turns (training, evaluation): neither pushes out the other for good', () => {
  const script = new Script();
  const random = dice(8);
  const [a, b] = [script.files(N, (at) => `train/${at}.jpg`), script.files(N / 4, (at) => `eval/${at}.jpg`)];
  const turn = (): void => {
    script.all(shuffled(a, random), 25);
    script.all(shuffled(b, random), 25);
  };
  for (let epoch = 0; epoch < 3; epoch++) turn();
  const from = script.here;
  for (let epoch = 0; epoch < 4; epoch++) turn();
  defaultWins(script, 0.5 * N * 1.25 * FILE, { from, least: 0.49 });
});

test('a scan beside a hot set, in epochs and by popularity', () => {
  for (const kind of ['epochs', 'zipf']) {
    const script = new Script();
    const hot = script.files(400, (at) => `hot/${at}.bin`);
    const scan = script.files(8000, (at) => `scan/${Math.floor(at / 100)}/${at}.dat`);
    const popular = zipf(400, 0.8, dice(4));
    for (const [at, item] of scan.entries()) {
      script.read(item);
      if (at % 4 === 0) script.read(hot[kind === 'zipf' ? popular() : (at / 4) % 400]!);
    }
    defaultWins(script, 500 * FILE, {});
  }
});

test('serving: few models, many opens', () => {
  const script = new Script();
  const size = (at: number): number => ((at % 3) + 1) * 200 * 1024 * KIB;
  const models = script.files(12, (at) => `models/m${at}/model.safetensors`, size);
  const popular = zipf(12, 1, dice(5));
  for (let open = 0; open < 2000; open++) script.read(models[popular()]!, 1000);
  defaultWins(script, 1600 * 1024 * KIB, { oneSize: false });
});

for (const [count, kept, exponent] of [
  [5000, 500, 0.9],
  [5000, 500, 0.7],
  [20_000, 2000, 1],
] as const) {
  test(`Zipf with exponent ${exponent}: ${kept} of ${count} files fit`, () => {
    const script = new Script();
    const random = dice(6);
    const files = shuffled(
      script.files(count, (at) => `z/${at}`),
      random,
    );
    const popular = zipf(count, exponent, random);
    for (let read = 0; read < 60_000; read++) script.read(files[popular()]!);
    defaultWins(script, kept * FILE, {});
  });
}

test('Zipf with files of 4 KiB to 1 MiB', () => {
  const script = new Script();
  const random = dice(6);
  const files = script.files(
    3000,
    (at) => `z/${at}`,
    () => Math.floor(4 * KIB * 2 ** (random() * 8)),
  );
  const popular = zipf(3000, 0.9, random);
  for (let read = 0; read < 60_000; read++) script.read(files[popular()]!);
  defaultWins(script, 150e6, { oneSize: false });
});
