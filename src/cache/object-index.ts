/** What is written down of the objects of a tier, so that the next run finds them: index-writer.ts; in memory, nothing. */
import { PinTally } from './eviction/pins.ts';
import type { IndexRow } from './index-db.ts';
import type { CacheObject } from './object.ts';

/** Rows of earlier runs that are no objects; of those that were looked at, how many of complete content, and by what pinned. */
export interface UnloadedRows {
  readonly rows: number;
  readonly complete: number;
  readonly pinned: PinTally;
}

export interface ObjectIndex {
  readonly unloaded: UnloadedRows;
  /** Batches that were written, and those until all that is to be known of objects now is written. */
  readonly batches: number;
  readonly waiting: number;
  /** Resolves when every row of earlier runs was looked at or given up. */
  readonly loaded: Promise<void>;
  /** The lowest id that no row has. */
  readonly firstFreeId: number;
  /** The objects and rows after an id, in the order of their ids, `most` of them; what changed just now may not be among them. */
  after(id: number, most: number): { found: (CacheObject | IndexRow)[]; last: number | undefined };
  /** Whether there is, or may be, a row with this id. Not known of an object that has none yet. */
  knows(id: number): boolean;
  /** Resumes the object of a file now, when it is but a row. */
  find(file: string): void;
  /** The row of a file that is no object. */
  rowOf(file: string): IndexRow | undefined;
  /** Resumes some objects of earlier runs, in the order of their ids. */
  bring(most: number): void;
  /** Its row does not say (yet) all there is to an object. */
  writes(object: CacheObject): boolean;
  /** An object is forgotten, and its row stays: as one that nobody has asked for, or as one that the policy knows of. */
  returned(object: CacheObject): void;
  rested(object: CacheObject): void;
  /** The row of an object that rests; undefined: it is gone, damaged, or cannot be read. */
  rowAtRest(id: number): IndexRow | undefined;
  /** Such an object is no more. */
  lost(id: number): void;
  /** An object that came from a row of an earlier run, one that rested, and a row that no object is made of. */
  resumed(object: CacheObject): void;
  woken(object: CacheObject): void;
  discard(row: IndexRow): void;
  put(object: CacheObject): void;
  /** Writes its row again, though its file is as it was. */
  touch(object: CacheObject): void;
  delete(object: CacheObject): void;
  /** Kept with the index, for who has a place to remember. */
  note(key: string): string | undefined;
  setNote(key: string, value: string): void;
  /** Begins a new index where the old one has vanished with its directory. */
  reopen(): void;
  shutdown(): Promise<void>;
}

/** Of a tier in memory: it ends with the process, and no other run will look for it. */
export const noIndex: ObjectIndex = {
  unloaded: { rows: 0, complete: 0, pinned: new PinTally() },
  batches: 0,
  waiting: 0,
  loaded: Promise.resolve(),
  firstFreeId: 1,
  after: () => ({ found: [], last: undefined }),
  knows: () => false,
  find: () => {},
  rowOf: () => undefined,
  bring: () => {},
  writes: () => true,
  returned: () => {},
  rested: () => {},
  rowAtRest: () => undefined,
  lost: () => {},
  resumed: () => {},
  woken: () => {},
  discard: () => {},
  put: () => {},
  touch: () => {},
  delete: () => {},
  note: () => undefined,
  setNote: () => {},
  reopen: () => {},
  shutdown: async () => {},
};
