/** Suites of measures that are taken in turn, round after round, over a slow store and with mounts of their own. */
import type { Figure } from '../cache/measure.ts';
import { Stage } from '../cache/stage.ts';
import { clock } from '../general/progress.ts';
import type { Sizes } from '../works/index.ts';
import { behindSlowStore, type Link } from './behind-slow-store.ts';
import { watchInterference } from './interference.ts';
import { fileSystemOf } from './machine.ts';
import { concluded } from './result.ts';
import { takenTable, takeRounds } from './rounds.ts';
import type { Scope } from './scope.ts';
import { formatBytes } from './sizes.ts';
import { watchOver } from './watchdog.ts';

export interface StagedOptions extends Link {
  python: string;
  quick: boolean;
  rounds: number;
  /** Only measures whose name contains this. */
  only: string | undefined;
  directory: string | undefined;
  /** Of every mount, besides those of the measure. */
  mountOptions: readonly string[];
}

/** One that is taken at a place of kind P, with data that are made before, of kind N. */
export interface StagedMeasure<P, N> {
  name: string;
  needs: readonly N[];
  run(place: P, round: number): Promise<Figure[]>;
}

export interface StagedSuite<P, N> {
  name: string;
  measures: readonly StagedMeasure<P, N>[];
  sizes: Sizes;
  quickSizes: Sizes;
  makeData(stage: Stage, needs: ReadonlySet<N>, quick: boolean): Promise<void>;
  place(stage: Stage, link: Link): P;
  /** What a round as a whole came to. */
  ofRound?(place: P): Figure[];
}

export async function runStaged<P, N>(scope: Scope, suite: StagedSuite<P, N>, options: StagedOptions): Promise<object> {
  const { python, quick, rounds, latencyMs, bandwidth, mountOptions, only = '' } = options;
  const chosen = suite.measures.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new Error(`no such measure (${suite.measures.map(({ name }) => name).join(', ')})`);
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  watchOver(scope, work);
  const link = { latencyMs, bandwidth };
  const { source, store } = await behindSlowStore(scope, work, link);
  const sizes = quick ? suite.quickSizes : suite.sizes;
  const stage = new Stage({ scope, python, work, store, bandwidth, sizes, ownReader: quick, mountOptions });
  console.log(`making the data in ${source} (${fileSystemOf(work)})`);
  await suite.makeData(stage, new Set(chosen.flatMap(({ needs }) => needs)), quick);
  console.log(`behind ${latencyMs} ms a request and ${formatBytes(bandwidth)}/s unless said; ${rounds} rounds`);

  const place = suite.place(stage, link);
  const interference = watchInterference();
  const inTurn = [...announced(chosen, place, rounds), { run: async () => suite.ofRound?.(place) ?? [] }];
  const bounds = await takeRounds(scope, rounds, inTurn);
  console.log(`\n${takenTable(bounds)}`);
  const ending = { suite: suite.name, python, directory: work, bounds, interference };
  return concluded(ending, { quick, sizes, rounds, latencyMs, bandwidth, mountOptions });
}

/** Each measure says how far the run is. */
function announced<P, N>(
  chosen: readonly StagedMeasure<P, N>[],
  place: P,
  rounds: number,
): { run(round: number): Promise<Figure[]> }[] {
  const began = performance.now();
  let done = 0;
  return chosen.map((measure) => ({
    run: (round) => {
      const elapsed = clock((performance.now() - began) / 1000);
      console.log(`[${++done}/${rounds * chosen.length}, ${elapsed}] ${measure.name}`);
      return measure.run(place, round);
    },
  }));
}
