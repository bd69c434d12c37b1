/** By how much the heap may grow before it is collected. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growthPercent } from '../../src/cli/heap-growth.ts';

const MIB = 2 ** 20;

test('a small heap may grow by some megabytes, a large one by half', () => {
  assert.equal(growthPercent(48 * MIB), 100);
  assert.equal(growthPercent(96 * MIB), 50);
  assert.equal(growthPercent(2048 * MIB), 50);
});

test('what may be added is bounded, however small or odd what is used is', () => {
  for (const used of [0, 1, MIB]) assert.equal(growthPercent(used), 200);
  for (let used = 24; used < 200; used++) {
    const added = (growthPercent(used * MIB) / 100) * used;
    assert.ok(added <= Math.max(49, used / 2 + 1), `${used} MiB may grow by ${added}`);
  }
});
