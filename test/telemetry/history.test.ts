/** The history: an hour in tens of seconds, a day in minutes, in memory that does not grow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HISTORY_SECONDS_MAX, History, historyKeys } from '../../src/telemetry/history.ts';
import { sampleDocument } from './sample.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');

/** Samples every ten seconds; `opens.count` is the number of samples so far. */
function recorded(samples: number): { history: History; nowMs: number } {
  const document = sampleDocument();
  document.opens.count = 0;
  const history = new History(() => document);
  let nowMs = START_MS;
  for (let i = 0; i < samples; i++) {
    nowMs = START_MS + i * 10_000;
    document.opens.count++;
    document.stall.share = i % 2 === 0 ? null : 0.5;
    history.take(nowMs);
  }
  return { history, nowMs };
}

test('it keeps what is marked in the table', () => {
  const { history, nowMs } = recorded(3);
  const { series, at, everySeconds, schema } = history.document(3600, nowMs);
  assert.deepEqual(Object.keys(series), historyKeys);
  for (const key of ['cache.hits', 'store.bytes', 'stall.share', 'reads.bytes']) assert.ok(key in series, key);
  assert.deepEqual(series['opens.count'], [1, 2, 3]);
  assert.deepEqual(series['stall.share'], [null, 0.5, null], 'what was not known is null');
  assert.deepEqual(at, ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:10.000Z', '2026-01-01T00:00:20.000Z']);
  assert.deepEqual({ everySeconds, schema }, { everySeconds: 10, schema: 1 });
});

test('the newest hour is fine, the newest day coarse, and what is older is gone', () => {
  const twoDays = 2 * 8640;
  const { history, nowMs } = recorded(twoDays);
  const hour = history.document(3600, nowMs);
  assert.equal(hour.at.length, 360);
  assert.equal(hour.series['opens.count']?.at(-1), twoDays);
  assert.equal(hour.series['opens.count']?.[0], twoDays - 359);
  const minute = history.document(60, nowMs);
  assert.equal(minute.at.length, 7);
  const day = history.document(HISTORY_SECONDS_MAX, nowMs);
  assert.equal(day.everySeconds, 60);
  assert.equal(day.at.length, 1440);
  assert.deepEqual(day.series['opens.count']?.slice(-2), [twoDays - 11, twoDays - 5]);
});

test('samples take no memory of their own', () => {
  const { history } = recorded(1);
  const count = (): number => process.memoryUsage().arrayBuffers;
  const before = count();
  for (let i = 0; i < 5000; i++) history.take(START_MS + i * 10_000);
  assert.ok(count() - before < 64 * 1024, `${count() - before} bytes`);
});

test('its timer holds no process, and ends', async () => {
  let taken = 0;
  const document = sampleDocument();
  const history = new History(() => {
    taken++;
    return document;
  });
  history.start();
  assert.equal(taken, 1, 'a sample at once');
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'), 'unref');
  history.stop();
});
