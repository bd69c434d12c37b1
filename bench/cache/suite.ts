/**
 * `npm run bench -- cache`: what the cache is required to do, on real mounts over the slow store. Every figure is a ratio to
 * the local disk, the bare source, the link or the arithmetic of the cache's size, taken in the same run.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { quick, standard } from '../general/data.ts';
import { startSlowStore } from '../slow-store/client.ts';
import { holds } from '../support/bounds.ts';
import { watchInterference } from '../support/interference.ts';
import { fileSystemOf, machine } from '../support/machine.ts';
import { takenTable, takeRounds } from '../support/rounds.ts';
import type { Scope } from '../support/scope.ts';
import { formatBytes } from '../support/sizes.ts';
import { watchOver } from '../support/watchdog.ts';
import type { Sizes } from '../works/index.ts';
import { checkpoint, twoJobs } from './jobs.ts';
import { table as mappedTable, model } from './mapped.ts';
import type { Measure } from './measure.ts';
import { shardsInPart, tableInPart } from './part.ts';
import { Stage } from './stage.ts';
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

export interface CacheSuiteOptions {
  python: string;
  quick: boolean;
  rounds: number;
  /** Only measures whose name contains this. */
  only: string | undefined;
  directory: string | undefined;
  latencyMs: number;
  bandwidth: number;
}

export async function cacheSuite(scope: Scope, options: CacheSuiteOptions): Promise<object> {
  const { python, rounds, latencyMs, bandwidth, only = '' } = options;
  const chosen = measures.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new Error(`no such measure (${measures.map(({ name }) => name).join(', ')})`);
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  watchOver(scope, work);
  const [source, slow] = [join(work, 'source'), join(work, 'slow')];
  for (const path of [source, slow]) mkdirSync(path);
  const store = await startSlowStore({ source, mountpoint: slow, latencyMs, bandwidth });
  scope.defer('the slow store', () => store.stop());
  const stage = new Stage({
    ...{ scope, python, work, store, bandwidth },
    sizes: options.quick ? quickSizes : sizes,
    ownReader: options.quick,
  });
  console.log(`making the data in ${source} (${fileSystemOf(work)})`);
  await stage.makeData(new Set(chosen.flatMap(({ needs }) => needs)));
  console.log(`behind ${latencyMs} ms a request and ${formatBytes(bandwidth)}/s; ${rounds} rounds`);

  const interference = watchInterference();
  const running = chosen.map((measure) => ({ run: (round: number) => measure.run(stage, round) }));
  const bounds = await takeRounds(scope, rounds, running);
  console.log(`\n${takenTable(bounds)}`);
  const disturbed = interference();
  for (const warning of disturbed) console.log(`Note: ${warning}.`);
  if (bounds.some((bound) => holds(bound) === false)) process.exitCode = 1;
  return {
    suite: 'cache',
    machine: machine(python),
    disturbed,
    fileSystem: fileSystemOf(work),
    quick: options.quick,
    sizes: stage.sizes,
    rounds,
    latencyMs,
    bandwidth,
    bounds: bounds.map((bound) => ({ ...bound, holds: holds(bound) })),
  };
}
