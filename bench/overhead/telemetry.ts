/**
 * What telemetry costs: the same work on a mount with and on one without it, in turn, on one pair of daemons after the other,
 * until the range of the difference is narrow enough or the time is over. What is compared is the daemon's processor time, of
 * which neighbours take nothing.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { mountOverlay, type OverlayMount } from '../support/overlay-mount.ts';
import { type Estimate, estimate, type Round, type Side, shown, takeRound } from '../support/paired.ts';
import type { Scope } from '../support/scope.ts';
import { cpuMicroseconds } from './processor.ts';
import type { Readers } from './readers.ts';
import type { Work } from './works.ts';

/** Every open asks the daemon for everything. */
export const SERVED = ['--cache', 'none', '-o', 'ro', '-o', 'disable=passthrough', '-o', 'disable=keep-cache'];
export const sides = { on: SERVED, off: [...SERVED, '-o', 'telemetry=off'] } as const;

/** Pairs of daemons: of fewer, how far they differ from each other cannot be told. */
const PAIRS_LEAST = 5;
const SHARP_PERCENT = 1;
/**
 * Before the first sample of a work: names are looked up, code is compiled. V8 goes on compiling for dozens of passes, beside
 * the thread that serves but at the daemon's expense, and with telemetry there is more to compile: that is paid once a daemon,
 * and no cost of an operation.
 */
const WARM_PASSES = 40;

export interface TelemetryOptions {
  source: string;
  directory: string;
  works: readonly Work[];
  readers: Readers;
  /** A work, for each pair of daemons. */
  rounds: number;
  minutes: number;
}

export interface Cost {
  work: Work;
  /** Processor microseconds a unit; a group for each pair of daemons. */
  groups: Round[][];
}

export async function telemetryCost(scope: Scope, options: TelemetryOptions): Promise<Cost[]> {
  const costs: Cost[] = options.works.map((work) => ({ work, groups: [] }));
  const endMs = performance.now() + options.minutes * 60_000;
  for (let pair = 1; !scope.closing; pair++) {
    const mounts = await mountBoth(scope, options, pair);
    for (const { work, groups } of costs) groups.push(await roundsOn(mounts, work, options));
    for (const { unmount } of Object.values(mounts)) await unmount();
    const estimates = costs.map(more);
    console.log(`  daemons ${pair}: ${estimates.map((one, at) => `${costs[at]!.work.name} ${shown(one)}`).join('; ')}`);
    const sharp = estimates.every(({ low, high }, at) => !costs[at]!.work.bounded || high - low < SHARP_PERCENT);
    if ((sharp && pair >= PAIRS_LEAST) || performance.now() > endMs) break;
  }
  return costs;
}

async function mountBoth(
  scope: Scope,
  { source, directory }: TelemetryOptions,
  pair: number,
): Promise<Record<Side, OverlayMount>> {
  const mounts = {} as Record<Side, OverlayMount>;
  for (const side of pair % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
    const path = join(directory, `${side}-${pair}`);
    mkdirSync(path);
    mounts[side] = await mountOverlay(scope, source, path, [...sides[side]]);
  }
  return mounts;
}

async function roundsOn(
  mounts: Readonly<Record<Side, OverlayMount>>,
  work: Work,
  { readers, rounds }: TelemetryOptions,
): Promise<Round[]> {
  const pids = { on: mounts.on.pids(), off: mounts.off.pids() };
  for (let pass = 0; pass < WARM_PASSES; pass++) {
    for (const side of ['on', 'off'] as const) await readers.read(work, mounts[side].mountpoint);
  }
  const taken: Round[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    const round = await takeRound(turn, async (side) => {
      const before = await cpuMicroseconds(pids[side]);
      await readers.read(work, mounts[side].mountpoint);
      return ((await cpuMicroseconds(pids[side])) - before) / work.units;
    });
    taken.push(round);
  }
  return taken;
}

/** Processor time with telemetry over that without. */
export function more({ groups }: Cost): Estimate {
  return estimate(groups.map((group) => group.map(({ on, off }) => on / off)));
}
