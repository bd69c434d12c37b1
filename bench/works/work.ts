/** What every work is: data it reads, figures it yields, and how they are taken through whatever shows the data. */
import type { Loader, LoaderOptions } from '../support/loader.ts';

export type Unit = 'MB/s' | 'files/s' | 'rows/s' | 'reads/s' | 's';

/** The data sets under the root that every system shows. */
export type DataSet = 'files' | 'large' | 'shards' | 'big' | 'tree' | 'site' | 'new';

export interface Sizes {
  files: number;
  /** Of one file that is read in one piece, in strides, at random. */
  largeBytes: number;
  shards: number;
  shardBytes: number;
  /** The memory-mapped table and model: one file. */
  bigBytes: number;
  treeFiles: number;
  /** Positions of the random reads, rows of the table, files created. */
  reads: number;
  rows: number;
  created: number;
  checkpointBytes: number;
}

export interface FigureKind {
  name: string;
  unit: Unit;
  /** How the figure comes about, for the documentation. */
  how: string;
  /** Pages of the kernel are dropped first: root only. */
  drops?: 'pages' | 'pages and names';
  /** The best that a link of so many bytes a second allows, in the unit; undefined: only what the native disk does. */
  bound?(facts: Facts, bandwidth: number): number | undefined;
  /** A real regression and nothing else: the overlay's ratio to the bare source (times as fast), a slow and a plain one. */
  least?: { slow?: number; plain?: number };
}

/** What is known of the data once they are made. */
export interface Facts {
  sizes: Sizes;
  filesBytes: number;
  samples: number;
  shardsBytes: number;
  /** The package to import: "torch", or one of ours where there is no PyTorch. */
  module: string;
}

/** One work on one system in one round. */
export interface Run {
  readonly facts: Facts;
  readonly python: string;
  readonly round: number;
  /** Where the system shows the data. */
  readonly root: string;
  /** Paths of the small files beneath "files". */
  readonly names: readonly string[];
  path(set: DataSet): string;
  /** A path for lists and the like, on the local disk. */
  scratch(name: string): string;
  /** Runs a reader of bench/readers (or bench/loader) and returns what it said. */
  read(script: string, args: string[]): Promise<Record<string, number>>;
  shell(script: string, args: string[]): Promise<number>;
  loader(options: Pick<LoaderOptions, 'epochs' | 'workers'>): Promise<Loader>;
  /**
   * Takes one figure: caches are dropped as its kind says, then `measure` is timed by itself and returns the figure's value.
   * Skipped (undefined) where dropping is not allowed.
   */
  take(figure: string, measure: () => Promise<number>): Promise<number | undefined>;
  /** Returns when what was written has reached the source. */
  settle(): Promise<void>;
}

export interface Work {
  name: string;
  title: string;
  sets: readonly DataSet[];
  figures: readonly FigureKind[];
  /** The cache has room for half of the data. */
  half?: true;
  writes?: true;
  /** A cell that takes longer has failed. */
  limitSeconds: number;
  run(run: Run): Promise<void>;
}

export const MB = 1e6;

/** Bytes over the link, as MB/s: whatever their number. */
export const linkRate = (_facts: Facts, bandwidth: number): number => bandwidth / MB;
