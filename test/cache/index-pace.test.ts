/** How soon the next rows are written to the index. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextBatchMs } from '../../src/cache/index-writer.ts';

test('the more rows wait, the sooner the next are written, within bounds', () => {
  for (const waiting of [1, 200, 1000]) assert.equal(nextBatchMs(waiting), 50, `${waiting} waiting`);
  assert.equal(nextBatchMs(2000), 25);
  assert.equal(nextBatchMs(5000), 10);
  for (const waiting of [10_000, 1_000_000]) assert.equal(nextBatchMs(waiting), 5, `${waiting} waiting`);
});
