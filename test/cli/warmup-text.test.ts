/** What `warmup` makes of paths, and what it says of its progress. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { linesOf, Places } from '../../src/cli/warmup-paths.ts';
import { clock, Forecast, progressLine, summary } from '../../src/cli/warmup-progress.ts';
import { MloError } from '../../src/errors.ts';
import type { WarmupProgress } from '../../src/overlay/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'mlo-warmup-text-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const mount = (mountpoint: string) => ({ device: '0:1', mountpoint, type: 'fuse.ml-overlay', source: '/s' });

test('a path lies below the innermost mount, also through links that lead there', () => {
  symlinkSync('/nowhere/ml', join(directory, 'link'));
  symlinkSync('link/data', join(directory, 'twice'));
  symlinkSync('loop', join(directory, 'loop'));
  const places = new Places([mount('/nowhere/ml'), mount('/nowhere/ml/in/ner')]);
  const of = (path: string): string => {
    const { mountpoint, below } = places.of(path);
    return `${mountpoint} ${below}`;
  };
  assert.equal(of('/nowhere/ml'), '/nowhere/ml ');
  assert.equal(of('/nowhere/ml/'), '/nowhere/ml ');
  assert.equal(of('/nowhere/ml/a/b'), '/nowhere/ml a/b');
  assert.equal(of('/nowhere/ml/a/c'), '/nowhere/ml a/c');
  assert.equal(of('/nowhere/ml/a'), '/nowhere/ml a');
  assert.equal(of('/nowhere/ml/b/../c'), '/nowhere/ml c');
  assert.equal(of('/nowhere/ml/in'), '/nowhere/ml in');
  assert.equal(of('/nowhere/ml/in/x'), '/nowhere/ml in/x');
  assert.equal(of('/nowhere/ml/in/ner'), '/nowhere/ml/in/ner ');
  assert.equal(of('/nowhere/ml/in/ner/x/y'), '/nowhere/ml/in/ner x/y');
  assert.equal(of(join(directory, 'link/x')), '/nowhere/ml x');
  assert.equal(of(join(directory, 'twice/y')), '/nowhere/ml data/y');
  for (const path of ['/nowhere', '/nowhere/mlx', '/nowhere/ml/../x', join(directory, 'loop/x'), '/']) {
    assert.throws(
      () => of(path),
      (error) => error instanceof MloError && error.code === 'MLO_NOT_MOUNTED',
      path,
    );
  }
});

test('a list has a path a line, in bytes', async () => {
  const list = join(directory, 'list');
  writeFileSync(list, Buffer.from(`/a\n\n/b c\n${'/x'.repeat(50_000)}\n/\xe9`, 'latin1'));
  const lines: string[] = [];
  for await (const line of linesOf(list)) lines.push(line);
  assert.deepEqual(lines, ['/a', '/b c', '/x'.repeat(50_000), '/\xe9']);
  await assert.rejects(linesOf(join(directory, 'none')).next(), /cannot read .*none/);
});

function progress(own: Partial<WarmupProgress['files']>, bytes: Partial<WarmupProgress['bytes']>): WarmupProgress {
  const none = { found: 0, done: 0, whole: 0, partly: 0, none: 0, fetched: 0, evicted: 0, inUse: 0, pinned: 0 };
  return {
    id: 1,
    action: 'fetch',
    state: 'running',
    seconds: 2,
    listed: true,
    files: { ...none, skipped: 0, failed: 0, ...own },
    bytes: { found: 0, cached: 0, fetched: 0, evicted: 0, pinned: 0, ...bytes },
    pinnedBy: [],
    errors: [],
  };
}

test('the remaining time: as many bytes as are left of files like those met, at the rate of late', () => {
  const forecast = new Forecast();
  const at = (done: number, fetched: number) =>
    progress({ found: 1000, done, none: done, fetched: done }, { found: fetched, fetched });
  assert.equal(forecast.take(at(0, 0), 0).secondsLeft, undefined, 'nothing is known yet');
  const { rate, share, secondsLeft } = forecast.take(at(100, 100e6), 1000);
  assert.deepEqual([rate, share, secondsLeft], [100e6, 0.1, 9]);
  for (let second = 2; second <= 20; second++) forecast.take(at(100 + second, 100e6 + second * 1e6), second * 1000);
  assert.equal(Math.round(forecast.take(at(121, 121e6), 21_000).rate / 1e5), 10, 'of the last 10 s');
  const growing = { ...at(100, 100e6), listed: false };
  assert.equal(new Forecast().take(growing, 0).share, undefined, 'not all files are known');
});

test('what is cached already is no work that is left', () => {
  const forecast = new Forecast();
  forecast.take(progress({ found: 10 }, {}), 0);
  const half = progress({ found: 10, done: 10, whole: 5, none: 5 }, { found: 1000, cached: 500, fetched: 400 });
  const { secondsLeft, share } = forecast.take(half, 1000);
  assert.deepEqual([secondsLeft, share], [0.25, 0.9]);
});

test('what is said', () => {
  const now = progress({ found: 40, done: 10, none: 10, fetched: 10, failed: 1 }, { found: 1 << 20, fetched: 1 << 20 });
  assert.equal(
    progressLine(now, { rate: 2 ** 20, share: 0.25, secondsLeft: 65 }),
    '[#####...............] 10 of 40 files, 1 MiB, 1 MiB/s, 1:05 left, 1 failed',
  );
  assert.equal(
    progressLine({ ...now, listed: false }, { rate: 0, share: undefined, secondsLeft: undefined }),
    '10 of 40+ files, 1 MiB, 0 B/s, 1 failed',
  );
  assert.equal(summary(now), '10 files, 1 MiB: 0 were cached, 10 brought (1 MiB in 2 s, 512 KiB/s); 1 failed');
  assert.equal(clock(7209), '2:00:09');
});
