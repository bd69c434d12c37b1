/**
 * `npm run bench -- prefetch`: whether what is read next is there before it is asked for, on real mounts over slow stores.
 * Every figure is a ratio to the link, to the bare source or to the same mount with `-o prefetch=off`, taken in the same
 * round; bytes are those that the store counted.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import { quick, standard } from '../general/data.ts';
import type { Scope } from '../support/scope.ts';
import { runStaged, type StagedOptions, type StagedSuite } from '../support/staged.ts';
import type { Sizes } from '../works/index.ts';
import { computeBound } from './compute-bound.ts';
import { disturbed } from './faults.ts';
import { firstEpochs } from './first-epoch.ts';
import { halfCached } from './half-cached.ts';
import { inAFile } from './in-a-file.ts';
import { eightMounts, twoJobs } from './jobs.ts';
import type { Measure, Needs } from './measure.ts';
import { records } from './records.ts';
import { shards } from './shards.ts';
import { Site } from './site.ts';
import { unforeseeable } from './unforeseeable.ts';

const measures: readonly Measure[] = [
  ...inAFile,
  shards,
  records,
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

const suite: StagedSuite<Site, Needs> = {
  name: 'prefetch',
  measures,
  sizes,
  quickSizes,
  makeData: async (near, needs, isQuick) => {
    await near.makeData(new Set([...needs].filter((set) => set !== 'strided')));
    if (!needs.has('strided')) return;
    writeFileSync(near.local('strided'), '');
    truncateSync(near.local('strided'), isQuick ? stridedQuickBytes : stridedBytes);
  },
  place: (near, { latencyMs }) => new Site(near, latencyMs),
  ofRound: (site) => site.ledger.take(), // what its mounts came to
};

export function prefetchSuite(scope: Scope, options: StagedOptions): Promise<object> {
  return runStaged(scope, suite, options);
}
