/** What is written down of the objects of a tier, so that the next run finds them: index-writer.ts; in memory, nothing. */
import type { IndexRow } from './index-db.ts';
import type { CacheObject } from './object.ts';

export interface ObjectIndex {
  /** Rows of earlier runs that no object was made of yet. */
  readonly unloaded: number;
  /** Resolves when every row of earlier runs is in memory or given up. */
  readonly loaded: Promise<void>;
  /** The lowest id that no row has. */
  readonly firstFreeId: number;
  readonly size: number;
  /** Every object with a row. May change while it is gone through. */
  objects(): IterableIterator<CacheObject>;
  knows(id: number): boolean;
  /** Resumes the object of a file now, when its row has not come yet. */
  find(file: string): void;
  /** An object that came from a row, and a row that no object is made of. */
  resumed(object: CacheObject): void;
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
  unloaded: 0,
  loaded: Promise.resolve(),
  firstFreeId: 1,
  size: 0,
  objects: () => [].values(),
  knows: () => false,
  find: () => {},
  resumed: () => {},
  discard: () => {},
  put: () => {},
  touch: () => {},
  delete: () => {},
  note: () => undefined,
  setNote: () => {},
  reopen: () => {},
  shutdown: async () => {},
};
