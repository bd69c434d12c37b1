/** What the options of the general suite mean, and what the estimate and the kept cells say. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { chooseSource, chooseWorks } from '../../bench/general/command.ts';
import { clock, Progress } from '../../bench/general/progress.ts';
import type { Cell } from '../../bench/general/result.ts';
import { CellStore } from '../../bench/general/store.ts';
import { choosePeers, peers } from '../../bench/peers/index.ts';
import { works } from '../../bench/works/index.ts';

test('the source is slow unless asked otherwise, at the latency and bandwidth that are said', () => {
  const plain = { plain: false, quick: false };
  assert.deepEqual(chooseSource(plain), { kind: 'slow', latencyMs: 5, bandwidth: 200e6 });
  assert.deepEqual(chooseSource({ ...plain, quick: true }), { kind: 'slow', latencyMs: 2, bandwidth: 400e6 });
  assert.deepEqual(chooseSource({ ...plain, latency: '0', bandwidth: '50' }), {
    kind: 'slow',
    latencyMs: 0,
    bandwidth: 50e6,
  });
  assert.deepEqual(chooseSource({ ...plain, bandwidth: '1GiB' }), { kind: 'slow', latencyMs: 5, bandwidth: 2 ** 30 });
  assert.deepEqual(chooseSource({ ...plain, plain: true }), { kind: 'plain' });
  assert.throws(() => chooseSource({ ...plain, latency: 'soon' }), /milliseconds/);
});

test('peers are none, all, those installed, or named; a wrong name is told', () => {
  assert.deepEqual(choosePeers('none'), []);
  assert.equal(choosePeers('all').length, peers.length);
  assert.deepEqual(
    choosePeers('juicefs,bindfs').map(({ name }) => name),
    ['JuiceFS', 'bindfs'],
  );
  assert.throws(() => choosePeers('bindfs,nfs'), /no such peer: nfs/);
  const path = process.env.PATH;
  try {
    process.env.PATH = '/nonexistent';
    assert.deepEqual(choosePeers('installed'), []);
  } finally {
    process.env.PATH = path;
  }
});

test('works are chosen by name or part of one, and have distinct names and figures', () => {
  assert.equal(chooseWorks(undefined, undefined).length, works.length);
  assert.deepEqual(
    chooseWorks('epochs', undefined).map(({ name }) => name),
    ['epochs'],
  );
  assert.deepEqual(
    chooseWorks(undefined, 'mapped').map(({ name }) => name),
    ['mapped table', 'mapped model'],
  );
  assert.throws(() => chooseWorks('coffee', undefined), /no such work/);
  assert.equal(new Set(works.map(({ name }) => name)).size, works.length);
  for (const { figures } of works) assert.equal(new Set(figures.map(({ name }) => name)).size, figures.length);
});

test('the documentation has every work, with its figures, and every peer', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/BENCHMARKS.md'), 'utf8');
  for (const { name, title, figures } of works) {
    const listed = figures.map((figure) => `${figure.name} (${figure.unit})`).join(', ');
    assert.ok(text.includes(`| ${name} | ${title} | ${listed} |`), `${name} is not there as it is`);
  }
  for (const { name } of peers) assert.ok(text.includes(`\n| ${name} | `), `${name} is not there`);
});

test('the estimate is the mean of a kind times what is left of it, a guess where nothing is known', () => {
  const progress = new Progress(['a', 'b', 'a', 'b'], () => 10);
  assert.equal(progress.secondsLeft(), 40);
  progress.finished('a', 2);
  assert.equal(progress.secondsLeft(), 22);
  progress.finished('b', undefined); // from before: takes no time and says nothing of the time it takes
  assert.equal(progress.secondsLeft(), 12);
  progress.finished('a', 4);
  progress.finished('b', 30);
  assert.equal(progress.secondsLeft(), 0);
  assert.match(String(progress), /^\[4\/4, 0:00, done\]$/);
  assert.equal(clock(3599.6), '60:00');
});

test('a kept cell is found again for the same settings and versions only, and never one that failed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cells-'));
  try {
    const key = { work: 'w', system: 'overlay', version: '1', settings: '-o ro', round: 1 };
    const cell: Cell = {
      work: 'w',
      system: 'overlay',
      round: 1,
      seconds: 1,
      mountSeconds: 0,
      peakBytes: 0,
      figures: {},
    };
    const store = new CellStore({ latencyMs: 5 }, directory);
    store.keep(key, cell);
    assert.deepEqual(store.find(key), cell);
    assert.equal(store.find({ ...key, round: 2 }), undefined);
    assert.equal(store.find({ ...key, version: '2' }), undefined);
    assert.equal(new CellStore({ latencyMs: 6 }, directory).find(key), undefined);
    store.keep(key, { ...cell, failed: 'no' });
    assert.equal(store.find(key), undefined);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
