/** What the tables of the general suite say of a result, checked on figures whose ratios are known. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { boundsOf } from '../../bench/general/bounds.ts';
import { markerOf, report, timesAsFast, writeReport } from '../../bench/general/report.ts';
import type { Cell, Result } from '../../bench/general/result.ts';
import { holds } from '../../bench/support/bounds.ts';

function cell(system: string, round: number, rate: number, seconds: number, over: Partial<Cell> = {}): Cell {
  const taken = (value: number) => ({ value, cpuSeconds: 0.5, residentBytes: 2 ** 27 });
  const figures = { cold: taken(rate), started: taken(seconds) };
  return { work: 'w', system, round, seconds: 1, mountSeconds: 0.2, peakBytes: 2 ** 27, figures, ...over };
}

function result(cells: Cell[], over: Partial<Result> = {}): Result {
  const system = (name: string) => ({ name, version: '1.0', settings: 'some', because: '' });
  return {
    suite: 'general',
    machine: { date: '2026-01-02T03:04:05Z', processors: 2, kernel: '6.18', commit: 'abc' },
    fileSystem: 'ext4',
    quick: false,
    rounds: 3,
    source: { kind: 'slow', latencyMs: 5, bandwidth: 200e6 },
    sizes: { files: 10 },
    reader: 'own reader',
    module: 'torch',
    dropped: true,
    systems: ['source', 'native disk', 'overlay'].map(system),
    works: [
      {
        name: 'w',
        title: 'A work',
        figures: [
          { name: 'cold', unit: 'MB/s', how: 'fresh', link: 200, least: 0.5 },
          { name: 'started', unit: 's', how: 'by a process', link: undefined, least: undefined },
        ],
      },
    ],
    cells,
    unable: [],
    disturbed: [],
    ...over,
  };
}

const good = [
  cell('source', 1, 90, 4),
  cell('source', 2, 100, 4),
  cell('source', 3, 110, 4),
  cell('native disk', 1, 1000, 1),
  cell('overlay', 1, 150, 2),
  cell('overlay', 2, 140, 2),
  cell('overlay', 3, 190, 2),
];

test('a ratio says how many times as fast, for rates and for seconds', () => {
  const some = result(good);
  const [cold, started] = some.works[0]!.figures;
  assert.equal(timesAsFast(some, 'w', 'overlay', cold!, 'source'), 1.5);
  assert.equal(timesAsFast(some, 'w', 'overlay', started!, 'source'), 2);
  assert.equal(timesAsFast(some, 'w', 'rclone', cold!, 'source'), undefined);
});

test('the table holds medians, spreads, ratios and the narrower bound', () => {
  const text = report(result(good));
  assert.match(text, /\| overlay +\| 150 ±33 %, ×1\.50 \|/);
  assert.match(text, /\| source +\| +100 ±20 % \|/);
  assert.match(text, /\*bound\* +\| +200 \(link\) \| +1\.00 \(native disk\)/);
  assert.match(text, /One run, 3 rounds, 2026-01-02, commit abc/);
});

test('a failure and a peer that is absent are told, not left out', () => {
  const failed = cell('overlay', 3, 1, 1, { failed: 'it broke', figures: {} });
  const text = report(
    result([...good.slice(0, 6), failed], { unable: [{ system: 'weed', work: undefined, why: 'absent' }] }),
  );
  assert.match(text, /^- weed: absent\.$/m);
  assert.match(text, /^- overlay, w: failed: it broke$/m);
});

test('the loose bounds hold, and miss where the overlay is slow, fails, or yields nothing', () => {
  const misses = (cells: Cell[]) =>
    boundsOf(result(cells))
      .filter((bound) => holds(bound) === false)
      .map(({ what }) => what);
  assert.deepEqual(misses(good), []);
  const slow = good.map((one) => (one.system === 'overlay' ? cell('overlay', one.round, 49, 2) : one));
  assert.deepEqual(misses(slow), ['w, cold: overlay / source']);
  const broken = [...good.slice(0, 4), cell('overlay', 1, 1, 1, { failed: 'x', figures: {} })];
  assert.deepEqual(misses(broken), ['w, cold: overlay / source', 'overlay: cells that failed']);
  const large = good.map((one) => ({ ...one, peakBytes: 2 ** 30 }));
  assert.deepEqual(misses(large), ['overlay: resident memory']);
});

test('a figure that nobody took bounds nothing', () => {
  const without = good.map((one) => ({ ...one, figures: { started: one.figures.started! } }));
  assert.deepEqual(
    boundsOf(result(without)).map(({ what }) => what),
    ['overlay: cells that failed', 'overlay: resident memory'],
  );
});

test('a report goes between its markers and nowhere else', () => {
  const directory = mkdtempSync(join(tmpdir(), 'report-'));
  try {
    const path = join(directory, 'doc.md');
    writeFileSync(
      path,
      'before\n<!-- bench: slow -->\nold\n<!-- /bench -->\nafter\n<!-- bench: plain -->\n<!-- /bench -->\n',
    );
    assert.equal(markerOf(result([])), 'slow');
    writeReport(path, 'slow', 'new\n');
    writeReport(path, 'slow', 'newer\n');
    const text = readFileSync(path, 'utf8');
    assert.equal(
      text,
      'before\n<!-- bench: slow -->\n\nnewer\n\n<!-- /bench -->\nafter\n<!-- bench: plain -->\n<!-- /bench -->\n',
    );
    assert.throws(() => writeReport(path, 'quick slow', 'x'), /no place/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
