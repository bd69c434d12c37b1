/**
 * What is known of names, kept on the cache's disk from one mount to the next: of each directory by its path who it was, and
 * its entries in parts that are opaque here. Only for a source that never changes (`immutable`): every other mount of the
 * source forgets it (`forgetShelf`).
 *
 * What changes through a mount is noted, durably against kill -9, before the change is made: from then on nothing is believed
 * that was written of that file or directory in this mount or before it.
 */

/** Rows of one mount; what was noted as changed in it or later does not hold. */
export type Generation = number;

export interface ShelvedDirectory {
  /** Below the source's root, as a byte string. */
  readonly path: string;
  /** The directory's identity and version, when its names were listed. */
  readonly file: string;
  readonly birth: string;
  readonly version: string;
  readonly entries: number;
  /** 1: these are all its names. 0: those that were looked up. */
  readonly complete: 0 | 1;
  readonly parts: number;
  readonly generation: Generation;
}

/** A directory that is being put on the shelf, part by part. Nothing of it counts before `end`. */
export interface ShelfDraft {
  part(bytes: Uint8Array): boolean;
  end(): void;
  /** It is not put there after all. */
  drop(): void;
}

export interface ShelfSnapshot {
  bytes: number;
  limitBytes: number;
  directories: number;
  /** Brought back, and put there, by this mount. */
  recalled: number;
  written: number;
  /** Found damaged. */
  damaged: number;
}

export interface Shelf {
  /** What is on the shelf of a directory that was at a path. */
  find(path: string): ShelvedDirectory | undefined;
  /** Its part, from 0; undefined when that is not what it was: the directory is taken from the shelf then. */
  part(directory: ShelvedDirectory, part: number): Uint8Array | undefined;
  /** Whether any change is noted: without one, everything holds. */
  readonly changes: boolean;
  /** Whether what a row says of a file still holds as far as this machine knows. */
  holds(file: string, generation: Generation): boolean;
  /** Some directories, by chance. */
  sample(count: number): ShelvedDirectory[];
  /** The paths of those used last whose names are all there, parents first, of at most so many names. */
  recent(entriesMost: number): string[];
  /** Begins to put a directory there, in the place of what is there of its path; one at a time. Undefined: there is no room. */
  draft(directory: Omit<ShelvedDirectory, 'parts' | 'generation'>, bytes: number): ShelfDraft | undefined;
  /** A file or directory is about to be changed through the mount. */
  changed(file: string): void;
  /** Nothing that is there is to be believed. */
  forget(): void;
  snapshot(): ShelfSnapshot;
  close(): void;
}
