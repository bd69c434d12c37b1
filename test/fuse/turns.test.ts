/** The turns of the session's loop: what counts, and what does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LONG_TURN_MS, Turns } from '../../src/fuse/turns.ts';

/** Now, as a number whose sums and differences with whole numbers are exact: a turn of 50 ms is not to come out as 49.99. */
function wholeMs(): number {
  return Math.ceil(performance.now());
}

test('a turn is from one look at the device to the next, without the time that was waited for it', () => {
  const turns = new Turns();
  const beganMs = wholeMs();
  turns.waited(beganMs);
  turns.looks(beganMs + 3);
  turns.looks(beganMs + 5);
  turns.waited(beganMs + 10_005); // ten seconds of nothing to do
  turns.looks(beganMs + 10_009);
  const { turns: count, maxMs, long } = turns.snapshot();
  assert.deepEqual([count, Math.round(maxMs), long], [3, 4, 0]);
});

test('what a turn waited for a processor is no time of its own', () => {
  let waitedMs = 7;
  const turns = new Turns({ totalMs: () => waitedMs });
  let nowMs = wholeMs();
  turns.waited(nowMs);
  for (const [ms, ofThemWaited] of [
    [3 * LONG_TURN_MS, 2.5 * LONG_TURN_MS],
    [2 * LONG_TURN_MS, 10],
    [10, 10],
  ] as const) {
    nowMs += ms;
    waitedMs += ofThemWaited;
    turns.looks(nowMs);
  }
  const { long, ownLong, maxMs, ownMaxMs } = turns.snapshot();
  assert.deepEqual([long, ownLong], [2, 1]);
  assert.deepEqual([Math.round(maxMs), Math.round(ownMaxMs)], [3 * LONG_TURN_MS, 2 * LONG_TURN_MS - 10]);
});

test('long turns are counted by themselves', () => {
  const turns = new Turns();
  let nowMs = wholeMs();
  turns.waited(nowMs);
  for (const ms of [LONG_TURN_MS - 1, LONG_TURN_MS, 2 * LONG_TURN_MS]) {
    nowMs += ms;
    turns.looks(nowMs);
  }
  assert.equal(turns.snapshot().long, 2);
  assert.equal(Math.round(turns.snapshot().maxMs), 2 * LONG_TURN_MS);
});
