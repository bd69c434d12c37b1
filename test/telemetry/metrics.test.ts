/** Every number is declared once, and what is declared is told under the names that Prometheus expects. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { metrics } from '../../src/telemetry/metrics.ts';
import { prometheusText } from '../../src/telemetry/prometheus.ts';
import { LISTED_MAX, mostOf } from '../../src/telemetry/stats.ts';
import { READ, sampleDocument, sampleTimes } from './sample.ts';
import { missing, undeclared } from './walk.ts';

const rows = new Map([['READ', READ]]);
const text = (): string => prometheusText(sampleDocument(), sampleTimes(), rows);

function told(series: string): number {
  const line = text()
    .split('\n')
    .find((each) => each.startsWith(`${series} `));
  assert.ok(line !== undefined, `no ${series}`);
  return Number(line.slice(series.length + 1));
}

test('a key that nobody declared is found out, as is a declared one that is not there', () => {
  assert.deepEqual(undeclared(sampleDocument()), []);
  assert.deepEqual(missing(sampleDocument()), []);
  const document = sampleDocument() as unknown as Record<string, Record<string, unknown>>;
  document.cache!.secret = 1;
  document.cache!.hits = { nested: 2 };
  assert.deepEqual(undeclared(document), ['cache.hits.nested', 'cache.secret']);
  assert.deepEqual(missing(document), ['cache.hits']);
  assert.deepEqual(undeclared({ trace: null, reads: { fromCache: null }, nothing: null }), ['nothing']);
});

test('names and keys are declared once, and follow the conventions', () => {
  for (const field of ['key', 'name'] as const) {
    const all = metrics.flatMap((metric) => metric[field] ?? []);
    assert.equal(new Set(all).size, all.length, `${field}s are not unique`);
  }
  for (const { name, kind, unit, label, key } of metrics) {
    if (name === undefined) continue;
    assert.match(name, /^(ml_overlay|process)_[a-z0-9_]+$/);
    assert.equal(name.endsWith('_total'), kind === 'counter', name);
    const base = name.replace(/_total$/, '');
    if (unit === 'bytes' || unit === 'seconds') assert.ok(base.endsWith(`_${unit}`), `${name} is in ${unit}`);
    if (unit === 'ratio') assert.ok(base.endsWith('_ratio'), name);
    assert.notEqual(unit, 'ms', `${name}: Prometheus counts in seconds`);
    if (key !== undefined) assert.equal(/\*|\[\]/.test(key), label !== undefined, `${name} needs a label for ${key}`);
  }
});

test('each tier of the cache is a series of its own', () => {
  assert.equal(told('ml_overlay_cache_tier_used_bytes{tier="/nvme/ml"}'), 4096);
  assert.equal(told('ml_overlay_cache_tier_promotions_total{tier="/nvme/ml"}'), 1);
});

const noPromtool: string | false =
  spawnSync('promtool', ['--version']).status === 0 ? false : 'no promtool (Debian: apt-get install prometheus)';

test('promtool finds nothing wrong with the text', { skip: noPromtool }, () => {
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text(), encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  assert.equal(checked.stdout + checked.stderr, '');
  const broken = spawnSync('promtool', ['check', 'metrics'], { input: 'a_total{b="c} 1\n', encoding: 'utf8' });
  assert.notEqual(broken.status, 0, 'promtool finds errors');
});

test('the text tells what the document has', () => {
  assert.equal(told('ml_overlay_cache_hits_total'), 3);
  assert.equal(told('ml_overlay_stall_ratio'), 0.31);
  assert.equal(told('ml_overlay_store_requests_by_kind_total{kind="read"}'), 3);
  assert.equal(told('ml_overlay_operations_total{operation="OPEN"}'), 10);
  assert.equal(told('ml_overlay_data_set_opens_total{data_set="imagenet/train-0"}'), 2000);
  assert.equal(told('process_cpu_seconds_total'), 1.5);
  assert.ok(!text().includes('prefetch_accuracy'), 'what is not known is left out');
  assert.ok(text().includes('mountpoint="/mnt/ml \\"a\\\\b\\"\\n"} 1\n'), 'labels are escaped');
  for (const line of text().trim().split('\n')) assert.match(line, /^(# (HELP|TYPE) )?[a-z_]+(\{.*\})?( .+)?$/);
});

test('buckets of a histogram hold all that is below their end', () => {
  const bucket = (le: string): number =>
    told(`ml_overlay_operation_duration_seconds_bucket{operation="READ",le="${le}"}`);
  assert.deepEqual(
    ['0.000016', '0.000064', '0.000256', '0.004096', '0.016384', '16.777216', '+Inf'].map(bucket),
    [1, 1, 2, 2, 3, 3, 4],
  );
  assert.equal(told('ml_overlay_operation_duration_seconds_count{operation="READ"}'), 4);
  const sum = told('ml_overlay_operation_duration_seconds_sum{operation="READ"}');
  assert.ok(Math.abs(sum - 120.01011) < 1e-6, `${sum} s`);
  assert.ok(!prometheusText(sampleDocument()).includes('_bucket'), 'without telemetry there are no times');
});

test('data sets told to Prometheus, and lists of the document, have an end: the most used stay', () => {
  const lines = prometheusText(sampleDocument(1, 200)).split('\n');
  const series = lines.filter((line) => line.startsWith('ml_overlay_data_set_opens_total{'));
  assert.equal(series.length, 50);
  assert.ok(series.some((line) => line.includes('train-199"')));
  const kept = mostOf(sampleDocument(LISTED_MAX + 10).processes, ({ opens }) => opens);
  assert.equal(kept.length, LISTED_MAX);
  assert.equal(kept[0]?.opens, LISTED_MAX + 9);
});

test('docs/METRICS.md is made from the table (scripts/make-docs.ts --check)', () => {
  execFileSync(process.execPath, ['scripts/make-docs.ts', '--check'], {
    cwd: `${import.meta.dirname}/../..`,
    stdio: 'pipe',
  });
});

test('the examples for Prometheus and Grafana name what there is, and promtool takes them', () => {
  const root = join(import.meta.dirname, '../..');
  const names = metrics.flatMap(({ name }) => name ?? []);
  const texts = ['prometheus-rules.yml', 'grafana-dashboard.json'].map((file) =>
    readFileSync(join(root, 'examples', file), 'utf8'),
  );
  for (const used of texts.join('\n').match(/\b(?:ml_overlay|process)_[a-z_]+/g) ?? []) {
    assert.ok(names.includes(used.replace(/_bucket$/, '')), `${used} is no metric`);
  }
  if (noPromtool) return;
  const checked = spawnSync('promtool', ['check', 'config', join(root, 'examples/prometheus.yml')], {
    encoding: 'utf8',
  });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});
