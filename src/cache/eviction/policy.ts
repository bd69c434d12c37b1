/**
 * What decides which content is kept. A policy knows items, not bytes or disks; it serves the daemon (room.ts) and the
 * simulator (simulated-cache.ts) alike.
 *
 *   accessed   a file was opened for reading, whether the cache has it or not; not when it is brought ahead of its reader
 *   resumed    an earlier daemon kept it; in any order, and while others are inserted
 *   inserted   the first bytes of it were kept;  grown: more of them;  removed: it is gone, whoever decided that
 *   admits     there is no room: may others go for this one?
 *   victim     which one goes
 *
 *   rests      nobody uses it: a record stands for it (items-at-rest.ts);  wakes: it is an item again
 *
 * Every item is removed as a whole. A policy never removes anything by itself.
 */
import type { DataSet } from './data-sets.ts';
import type { ItemsAtRest } from './items-at-rest.ts';
import type { List } from './list.ts';

/** One version of one file. What a policy notes of it lies in its fields, the same for all policies: one shape, no maps. */
export class Item {
  /** A number that stands for the file (a hash of its key): what is remembered of items that are not kept goes by it. */
  readonly id: number;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** Where it lies below the source, '' at its top; undefined: not known (kept by an earlier daemon, not read since). */
  directory: string | undefined;
  /** Of its name, such as ".jpg"; '' for none. Files of one data set are of one kind. */
  extension = '';
  /** What it takes now, in bytes; a large file is kept in part while it is read. */
  bytes = 0;
  resident = false;
  /** It was brought for a reader that has not come yet. */
  ahead = false;
  /** Asked before it is made a victim: removing it would free nothing now. */
  owner: { readonly held: boolean } | undefined;
  /** It is a copy of what this record holds; -1: it is the item itself. */
  record = -1;

  // --- the policy's ---
  previous: Item | undefined = undefined;
  next: Item | undefined = undefined;
  list: List | undefined = undefined;
  /** Its places in a pool or a heap of all, and in the pool of its data set; -1: not in it. */
  at = -1;
  atSet = -1;
  /** By what a heap is ordered. */
  rank = 0;
  /** How often it was read (what exactly that means is the policy's), and when last: in accesses, and in milliseconds. */
  uses = 0;
  tick = 0;
  lastMs = 0;
  set: DataSet | undefined = undefined;
  /** The clock of its data set when it was read last. */
  clock = 0;
  /** For MIN only, which sets it before it looks: when it is read next, as the number of an access. */
  nextUse = 0;

  constructor(id: number, size: number, directory: string | undefined) {
    this.id = id;
    this.size = size;
    this.directory = directory;
  }

  get held(): boolean {
    return this.owner?.held === true;
  }
}

/** An item, or the record of one at rest. */
export type Entry = Item | number;

/** Times are monotonic milliseconds. */
export interface EvictionPolicy {
  readonly name: string;
  accessed(item: Item, nowMs: number): void;
  /** Whether `item`, of which nothing is kept and for which there is no room, is worth more than what would go for it. */
  admits(item: Item, nowMs: number): boolean;
  inserted(item: Item, nowMs: number): void;
  /** It was kept by an earlier daemon and is not known to be wanted: `inserted`, unless said. */
  resumed?(item: Item, nowMs: number): void;
  /** `bytes` more of a resident item are kept; fewer, when negative. Called after `item.bytes` has changed. */
  grown(item: Item, bytes: number): void;
  /** `item` may be a copy of what is at rest; so may be what `victim` gives. */
  removed(item: Item): void;
  /** A record takes the place of a resident item, or an item that of its record. Without these, none rests. */
  rests?(item: Item, record: number): void;
  wakes?(item: Item): void;
  /**
   * What goes next so that `candidate` finds room; never the candidate, and never what is held. Undefined: nothing may.
   * Without a candidate the cache has to become smaller: what is worth least.
   */
  victim(candidate: Item | undefined, nowMs: number): Item | undefined;
}

/** What a policy is told when it is made. */
export interface PolicyParts {
  /** Of the cache, in bytes; it may change. */
  capacityBytes: () => number;
  /** From 0 to below 1. For a simulation to come out the same each time. */
  random?: () => number;
  /** Where those at rest are; none ever rests unless said. */
  atRest?: ItemsAtRest;
}

/** How many that are held a policy passes over before it gives up. */
export const HELD_MOST = 64;

/**
 * What a miss costs, in bytes that the link could have carried meanwhile: the trip (5 ms at 200 MB/s are 1 MiB) and the
 * bytes. Divided by the size: what a kept byte saves. A file of 100 KiB saves a trip per 100 KiB, one of 2 GiB one per 2 GiB.
 */
const TRIP_BYTES = 1024 * 1024;

export function savedPerByte({ size }: Item): number {
  return size === 0 ? 1 : (TRIP_BYTES + size) / size;
}
