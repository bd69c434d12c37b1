/**
 * `npm run bench -- cache`: what the cache is required to do, on real mounts over the slow store. Every figure is a ratio to
 * the local disk, the bare source, the link or the arithmetic of the cache's size, taken in the same run.
 */
import { quick, standard } from '../general/data.ts';
import type { Scope } from '../support/scope.ts';
import { runStaged, type StagedOptions, type StagedSuite } from '../support/staged.ts';
import type { Sizes } from '../works/index.ts';
import { checkpoint, twoJobs } from './jobs.ts';
import { table as mappedTable, model } from './mapped.ts';
import type { Measure, Needs } from './measure.ts';
import { shardsInPart, tableInPart } from './part.ts';
import type { Stage } from './stage.ts';
import { fromDisk, loader, readers, sequential } from './warm.ts';

const measures: readonly Measure[] = [
  sequential,
  loader,
  fromDisk,
  shardsInPart,
  tableInPart,
  checkpoint,
  twoJobs,
  model,
  mappedTable,
  readers,
];

const sizes: Sizes = { ...standard, files: 4_000, largeBytes: 128 * 2 ** 20, rows: 4_000 };
const quickSizes: Sizes = { ...quick, files: 400, bigBytes: 256 * 2 ** 20, rows: 400 };

const suite: StagedSuite<Stage, Needs> = {
  name: 'cache',
  measures,
  sizes,
  quickSizes,
  makeData: (stage, needs) => stage.makeData(needs),
  place: (stage) => stage,
};

export function cacheSuite(scope: Scope, options: StagedOptions): Promise<object> {
  return runStaged(scope, suite, options);
}
