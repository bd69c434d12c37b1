/**
 * Two sides of something, measured in turn, and how far their ratio is to be believed.
 *
 * What neighbours do to a processor (its caches, its clock, its other thread) changes from second to second and moves every
 * figure by more than the difference that is looked for. So samples are short, and four of them make one round: this side,
 * that side, that side, this side. Whatever drifts evenly through a round adds as much to one side as to the other; only the
 * ratio of the two sums is kept.
 *
 * Rounds come in groups, one for each start of what is measured: where a process' code and data come to lie makes it faster
 * or slower than its twin for as long as it lives, however many rounds are taken of it.
 */
import { median } from './table.ts';

export type Side = 'on' | 'off';

export interface Round {
  on: number;
  off: number;
}

export interface Estimate {
  /** How much more "on" takes than "off", in percent: the median of all rounds. */
  percent: number;
  /** Between which the median lies with 95 % certainty. */
  low: number;
  high: number;
  rounds: number;
  groups: number;
}

const DRAWS = 2000;
const CERTAINTY = 0.95;

/** `turn`: which round this is; every other one begins with the other side. */
export async function takeRound(turn: number, sample: (side: Side) => Promise<number>): Promise<Round> {
  const [outer, inner]: [Side, Side] = turn % 2 === 0 ? ['on', 'off'] : ['off', 'on'];
  const round: Round = { on: 0, off: 0 };
  for (const side of [outer, inner, inner, outer]) round[side] += (await sample(side)) / 2;
  return round;
}

/**
 * `groups`: on / off of each round. The range is a bootstrap in two stages (Davison and Hinkley, "Bootstrap Methods and
 * their Application", 3.8): groups are drawn, and of each its rounds; no distribution is assumed.
 */
export function estimate(groups: readonly (readonly number[])[]): Estimate {
  const all = groups.flat();
  const random = randomNumbers();
  const drawOf = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const medians = Array.from({ length: DRAWS }, () => {
    const drawn = groups.flatMap(() => {
      const group = drawOf(groups);
      return group.map(() => drawOf(group));
    });
    return median(drawn);
  }).sort((a, b) => a - b);
  const outside = (1 - CERTAINTY) / 2;
  const percentMore = (ratio: number): number => (ratio - 1) * 100;
  return {
    percent: percentMore(median(all)),
    low: percentMore(medians[Math.floor(outside * DRAWS)]!),
    high: percentMore(medians[Math.ceil((1 - outside) * DRAWS) - 1]!),
    rounds: all.length,
    groups: groups.length,
  };
}

export function shown({ percent, low, high }: Estimate): string {
  return `${percent.toFixed(2)} % (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

/** From 0 to below 1, the same each time (mulberry32): the same rounds have the same range. */
function randomNumbers(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
