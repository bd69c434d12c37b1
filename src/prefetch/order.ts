/**
 * Prediction is lists: an order says what will be read next, most wanted first, and the scheduler (scheduler.ts) asks the
 * orders there are, by their rank, for as much as it may bring. An order decides nothing else: not how many requests are under
 * way, not whether it is believed.
 */
import type { Outcome } from '../sys/errno.ts';

/** A file that somebody reads, or has read; the overlay's inodes are. */
export interface ReadFile {
  readonly nodeId: number;
  /** Its identity in its store, as the cache has it. */
  readonly fileKey: string;
  readonly attributes: { readonly size: number };
  /** Below the mount's root, without a leading slash, as a byte string (latin1). Not cheap. */
  path(): string;
}

/** Files up to this size, in bytes, are fetched whole, whatever is read of them. */
export const WHOLE_FILE_BYTES: number = 1024 * 1024;

/** Of a path as `ReadFile.path` gives it: where it is. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** Where an offset, negative from the end, is in a file of so many bytes. */
export function placeOf(offset: number, size: number): number {
  return offset < 0 ? Math.max(0, size + offset) : offset;
}

/** What is to be brought: a range of a file. */
export interface Wanted {
  /** By its path as `ReadFile.path` gives it, or as it is open already. */
  readonly file: string | ReadFile;
  /** Bytes; negative: from the end of the file. */
  readonly offset: number;
  /** Bytes; Infinity: to the end of the file. */
  readonly length: number;
  /** A larger file (bytes) is left: EFBIG. Any is wanted unless said. */
  readonly sizeMost?: number;
  /** Where the cache has no room for it, it waits in memory for its reader, who comes soon. */
  readonly mayWait?: boolean;
}

/** By rank: what stands earlier goes first. Demand goes before all of them. */
export const ORDER_NAMES = ['plan', 'repeat', 'end', 'readahead', 'stride', 'next-file', 'bulk', 'unseen'] as const;
export type OrderName = (typeof ORDER_NAMES)[number];

export interface Order {
  readonly name: OrderName;
  /** What it speaks of: a data set's or a file's path, a plan's name. Whether it is believed is found out for each. */
  readonly about: string;
  /** What it gives is read within seconds, or not at all. As its name says, unless said. */
  readonly soon?: boolean;
  /** Takes the next; undefined: nothing for now. When there is more again, it wakes the scheduler. */
  next(): Wanted | undefined;
  /** Asked between the parts of a large file that it gave: false: it is not wanted any more. */
  goesOn?(): boolean;
  /**
   * One that it gave has been dealt with: the bytes that were brought for it; 0: nothing was missing, or who reads it was
   * quicker; or why it was not brought, as a negated errno. -ECANCELED: the scheduler gave it up, and may be given it again.
   */
  settled(wanted: Wanted, outcome: Outcome<number>): void;
}

/** What an order sees of the scheduler. */
export interface Orders {
  /**
   * Bytes that can be brought and kept beside what is under way: what the cache has free, and what is there and will not be
   * read soon (`spent`).
   */
  readonly roomBytes: number;
  /** Of these, what is free: of what is spent, some may be in use, and cannot go now. */
  readonly freeBytes: number;
  /** Items that may be under way and readers, who wait for the same store, hardly notice it. */
  readonly unnoticed: number;
  /** From now on it is asked. Of orders of one rank those that are asked take turns. */
  add(order: Order): void;
  /** It is not asked any more; what it gave and has not been begun is given up. */
  remove(order: Order): void;
  /** An order that had nothing has something again. Cheap; may be called from an operation's turn. */
  wake(): void;
}
