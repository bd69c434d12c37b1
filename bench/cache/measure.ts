/** What a measure is given, and what it says. */
import type { StagedMeasure } from '../support/staged.ts';
import type { DataSet } from '../works/index.ts';
import type { Stage } from './stage.ts';

/** One figure of one round. */
export interface Figure {
  what: string;
  value: number;
  /** Of the median over the rounds; without either it is only stated. */
  atLeast?: number;
  atMost?: number;
  /** 'x', a ratio, unless said. */
  unit?: string;
}

/** Data made before the first round: a set of bench/general/data.ts, or a second set of small files. */
export type Needs = DataSet | 'other';

/** With mounts of its own, which it unmounts; figures of every round have the same names. */
export type Measure = StagedMeasure<Stage, Needs>;
