/** Figures of two sides in turn: the ranges hold what they promise, and a bound within one is neither kept nor missed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Bound, boundRow, holds } from '../../bench/support/bounds.ts';
import { estimate, type Side, takeRound } from '../../bench/support/paired.ts';

/** From 0 to below 1 (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Of the standard normal distribution, about (Irwin and Hall). */
function normal(roll: () => number): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += roll();
  return sum;
}

test('a round takes both sides twice, and what drifts evenly is on neither', async () => {
  for (const turn of [0, 1]) {
    const order: Side[] = [];
    let drift = 100;
    const round = await takeRound(turn, async (side) => {
      order.push(side);
      drift += 7;
      return drift + (side === 'on' ? 10 : 0);
    });
    assert.deepEqual(order, turn === 0 ? ['on', 'off', 'off', 'on'] : ['off', 'on', 'on', 'off']);
    assert.ok(Math.abs(round.on - round.off - 10) < 1e-9, JSON.stringify(round));
  }
});

test('the range holds the truth in nineteen of twenty cases, about, whatever differs from start to start', () => {
  for (const { groups, betweenStarts } of [
    { groups: 1, betweenStarts: 0 },
    { groups: 10, betweenStarts: 0.01 },
  ]) {
    const TRIES = 40;
    let held = 0;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const roll = dice(attempt * 7919 + groups);
      const ratios = Array.from({ length: groups }, () => {
        const start = normal(roll) * betweenStarts;
        return Array.from({ length: 60 / groups }, () => 1.015 + start + normal(roll) * 0.03);
      });
      const { low, high } = estimate(ratios);
      if (low <= 1.5 && high >= 1.5) held++;
    }
    assert.ok(held >= TRIES * 0.85, `${held} of ${TRIES} with ${groups} groups`);
  }
});

test('starts that differ widen the range as rounds that differ cannot', () => {
  const roll = dice(5);
  const alike = Array.from({ length: 6 }, () => Array.from({ length: 20 }, () => 1.01 + normal(roll) * 0.01));
  const apart = alike.map((group, at) => group.map((ratio) => ratio + (at % 2 === 0 ? 0.03 : -0.03)));
  const width = (groups: number[][]): number => estimate(groups).high - estimate(groups).low;
  assert.ok(width(alike) < 1 && width(apart) > 3, `${width(alike)}, ${width(apart)}`);
  assert.deepEqual(estimate(apart), estimate(apart), 'the same rounds have the same range');
});

test('a bound is kept, missed, or within what is not known', () => {
  const cost = (low: number, value: number, high: number): Bound => ({
    what: 'cost',
    value,
    between: [low, high],
    atMost: 2,
    unit: '%',
  });
  assert.deepEqual([cost(0.5, 1, 1.5), cost(2.1, 3, 4), cost(1.5, 1.9, 2.4)].map(holds), [true, false, undefined]);
  assert.deepEqual(boundRow(cost(1.5, 1.9, 2.4)), ['cost', '1.90 (1.50 to 2.40) %', '<= 2 %', 'cannot tell']);
  assert.equal(boundRow(cost(2.1, 3, 4)).at(-1), 'MISSED');
  assert.equal(boundRow({ what: 'cost', value: undefined, atMost: 2 }).at(-1), 'not measured');
});
