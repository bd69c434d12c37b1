/** What a run of the general suite is written as: everything that the tables need, and every single value. */
import type { Unit } from '../works/work.ts';

export interface Taken {
  value: number;
  /** Of the system's daemons, while this was measured. */
  cpuSeconds: number;
  residentBytes: number;
  /** What the slow store was asked meanwhile. */
  store?: { requests: number; bytesRead: number; bytesWritten: number };
}

/** One work on one system in one round. */
export interface Cell {
  work: string;
  system: string;
  round: number;
  seconds: number;
  /** From starting the mount to its first answer. */
  mountSeconds: number;
  /** The most that the system's daemons had resident at a time. */
  peakBytes: number;
  figures: Record<string, Taken>;
  /** Why there are no (more) figures. */
  failed?: string;
}

export interface SystemSays {
  name: string;
  version: string;
  settings: string;
  because: string;
}

export interface FigureSays {
  name: string;
  unit: Unit;
  how: string;
  /** In the figure's unit; undefined: only what the native disk does bounds it. */
  link: number | undefined;
  /** The least ratio of the overlay to the bare source that is no regression. */
  least: number | undefined;
}

export interface WorkSays {
  name: string;
  title: string;
  figures: FigureSays[];
}

export type SourceSays = { kind: 'plain' } | { kind: 'slow'; latencyMs: number; bandwidth: number };

export interface Result {
  suite: 'general';
  machine: Record<string, string | number | undefined>;
  fileSystem: string;
  quick: boolean;
  rounds: number;
  source: SourceSays;
  sizes: Record<string, number>;
  /** What was said of sizes that are not in `sizes`: the reader of the epochs, the package imported. */
  reader: string;
  module: string;
  dropped: boolean;
  systems: SystemSays[];
  works: WorkSays[];
  cells: Cell[];
  /** Systems that were asked for and could not do a work (or any: work is undefined then). */
  unable: { system: string; work: string | undefined; why: string }[];
  disturbed: string[];
}

/** More files a second is better; more seconds is not. */
export const moreIsBetter = (unit: Unit): boolean => unit !== 's';

export function values(result: Result, work: string, system: string, figure: string): Taken[] {
  return result.cells
    .filter((cell) => cell.work === work && cell.system === system)
    .flatMap((cell) => cell.figures[figure] ?? []);
}
