/**
 * `npm run bench -- prefetch`: whether what is read next is there before it is asked for, on real mounts over slow stores.
 * Every figure is a ratio to the link, to the bare source or to the same mount with `-o prefetch=off`, taken in the same
 * round; bytes are those that the store counted.
 */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Needs } from '../cache/measure.ts';
import { Stage } from '../cache/stage.ts';
import { quick, standard } from '../general/data.ts';
import { clock } from '../general/progress.ts';
import { startSlowStore } from '../slow-store/client.ts';
import { holds } from '../support/bounds.ts';
import { watchInterference } from '../support/interference.ts';
import { fileSystemOf, machine } from '../support/machine.ts';
import { takenTable, takeRounds } from '../support/rounds.ts';
import type { Scope } from '../support/scope.ts';
import { formatBytes } from '../support/sizes.ts';
import { watchOver } from '../support/watchdog.ts';
import type { Sizes } from '../works/index.ts';
import { computeBound } from './compute-bound.ts';
import { disturbed } from './faults.ts';
import { firstEpochs } from './first-epoch.ts';
import { halfCached } from './half-cached.ts';
import { inAFile } from './in-a-file.ts';
import { eightMounts, twoJobs } from './jobs.ts';
import type { Measure } from './measure.ts';
import { shards } from './shards.ts';
import { Site } from './site.ts';
import { unforeseeable } from './unforeseeable.ts';

const measures: readonly Measure[] = [
  ...inAFile,
  shards,
  ...firstEpochs,
  halfCached,
  computeBound,
  ...unforeseeable,
  ...disturbed,
  twoJobs,
  ...eightMounts,
];

const GIB = 2 ** 30;
const sizes: Sizes = { ...standard, files: 10_000, largeBytes: GIB, treeFiles: 20_000, reads: 2_000, rows: 2_000 };
const quickSizes: Sizes = {
  ...quick,
  files: 2_000,
  largeBytes: GIB / 4,
  shardBytes: 16 * 2 ** 20,
  treeFiles: 2_000,
  reads: 400,
  rows: 400,
};
/** A file of nothing but holes: of it a sixteenth is read. */
const stridedBytes = 4 * GIB;
const stridedQuickBytes = GIB;

export interface PrefetchSuiteOptions {
  python: string;
  quick: boolean;
  rounds: number;
  /** Only measures whose name contains this. */
  only: string | undefined;
  directory: string | undefined;
  latencyMs: number;
  bandwidth: number;
}

export async function prefetchSuite(scope: Scope, options: PrefetchSuiteOptions): Promise<object> {
  const { python, rounds, latencyMs, bandwidth, only = '' } = options;
  const chosen = measures.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new Error(`no such measure (${measures.map(({ name }) => name).join(', ')})`);
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  watchOver(scope, work);
  const [source, slow] = [join(work, 'source'), join(work, 'slow')];
  for (const path of [source, slow]) mkdirSync(path);
  const store = await startSlowStore({ source, mountpoint: slow, latencyMs, bandwidth });
  scope.defer('the slow store', () => store.stop());
  const near = new Stage({
    ...{ scope, python, work, store, bandwidth },
    sizes: options.quick ? quickSizes : sizes,
    ownReader: options.quick,
  });
  console.log(`making the data in ${source} (${fileSystemOf(work)})`);
  await makeData(near, chosen, options.quick);
  console.log(`behind ${latencyMs} ms a request and ${formatBytes(bandwidth)}/s unless said; ${rounds} rounds`);

  const site = new Site(near, latencyMs);
  const interference = watchInterference();
  const bounds = await takeRounds(scope, rounds, running(site, chosen, rounds));
  console.log(`\n${takenTable(bounds)}`);
  const warnings = interference();
  for (const warning of warnings) console.log(`Note: ${warning}.`);
  if (bounds.some((bound) => holds(bound) === false)) process.exitCode = 1;
  return {
    suite: 'prefetch',
    machine: machine(python),
    disturbed: warnings,
    fileSystem: fileSystemOf(work),
    quick: options.quick,
    sizes: near.sizes,
    rounds,
    latencyMs,
    bandwidth,
    bounds: bounds.map((bound) => ({ ...bound, holds: holds(bound) })),
  };
}

async function makeData(near: Stage, chosen: readonly Measure[], isQuick: boolean): Promise<void> {
  const needs = new Set(chosen.flatMap(({ needs }) => needs));
  await near.makeData(new Set([...needs].filter((set): set is Needs => set !== 'strided')));
  if (!needs.has('strided')) return;
  writeFileSync(near.local('strided'), '');
  truncateSync(near.local('strided'), isQuick ? stridedQuickBytes : stridedBytes);
}

/** Each measure says how far the run is; what the mounts of a round came to comes last. */
function running(site: Site, chosen: readonly Measure[], rounds: number) {
  const began = performance.now();
  let done = 0;
  const named = chosen.map((measure) => ({
    run: async (round: number) => {
      const elapsed = clock((performance.now() - began) / 1000);
      console.log(`[${++done}/${rounds * chosen.length}, ${elapsed}] ${measure.name}`);
      return measure.run(site, round);
    },
  }));
  return [...named, { run: async () => site.ledger.take() }];
}
