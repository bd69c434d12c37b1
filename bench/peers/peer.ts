/**
 * What every system that is compared does, ours among them. One adapter a file; a new one is a file and a line in index.ts.
 *
 * A system is mounted freshly, with an empty cache, for each work and round; so "cold" needs nothing from it.
 */
import type { Scope } from '../support/scope.ts';
import type { Work } from '../works/work.ts';

export interface Place {
  /** The data as the source shows them: what the system is put over. */
  source: string;
  /** The same data on the local disk, for copying into a volume. */
  originals: string;
  /** A directory for a volume of the system's own format: on the source, and the same on the local disk. */
  volume: { source: string; local: string };
  mountpoint: string;
  /** An empty directory on the local disk, and how much may be kept there. */
  cache: string;
  cacheBytes: number;
  /** The cache is smaller than the data: it has to keep to its size from one epoch to the next. */
  half: boolean;
  writes: boolean;
  /** The source may be slow. */
  slow: boolean;
  /** A directory for logs, configuration and the like; kept from mount to mount. */
  home: string;
}

export interface Mounted {
  /** Where the data are seen. */
  path: string;
  /** The processes that serve it: their processor time and memory are the system's. */
  pids(): number[];
  /** Returns when what was written has reached the source and nothing is under way. */
  settle(): Promise<void>;
  unmount(): Promise<void>;
}

export interface Peer {
  name: string;
  /** Looked for on PATH; undefined: always there. */
  command: string | undefined;
  /** What is mounted with, for the table. */
  settings: string;
  /** Where these settings come from. */
  because: string;
  version(): Promise<string>;
  /** Why it cannot do a work; undefined when it can. */
  unable(work: Work, place: Pick<Place, 'slow'>): string | undefined;
  /** For systems with a format of their own: copies data sets ("files", "large") in. Once a run. */
  prepare?(scope: Scope, place: Place, sets: readonly string[]): Promise<void>;
  mount(scope: Scope, place: Place): Promise<Mounted>;
  /** Empties what it keeps on disk, while it is not mounted. Default: everything in `place.cache`. */
  dropCaches?(place: Place): Promise<void>;
}
