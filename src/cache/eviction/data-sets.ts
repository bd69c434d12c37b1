/**
 * Which items are read together, and how: data sets, from the directories that files lie in.
 *
 *   directory  files read directly in it are one set; three or more siblings with files of one kind are shares of a larger
 *              set (classes of images, speakers of a corpus), and so on upwards
 *   epochs     each item is read once before any is read again: reads of the same item are far apart. Whoever reads some
 *              items far more often than others reads many again after a short while
 *   proven     items of it were read again at all: a scan that comes by once never is
 *   idle       nobody reads it: for longer than its pauses so far, and a sixteenth of a pass
 */
import type { ItemsAtRest } from './items-at-rest.ts';
import type { Entry, Item } from './policy.ts';
import { Pool } from './pool.ts';

/** Siblings of one kind that make their parent a data set. */
const SHARES = 3;
const DIRECTORIES_MOST = 65_536;
/** A file opened again so soon (in reads of its set) is being opened twice: correlated references (O'Neil, LRU-K, 1993). */
const CORRELATED = 32;
/** Of the items seen: a read again after fewer reads than this share is a short one. A shuffle has 1 % of them (12 % early in an epoch). */
const SHORT_SHARE = 1 / 8;
/** With more short ones than this (of all read again, fading), it is no set that is read in epochs. */
const SHORT_MOST = 0.25;
/** Of the items seen, the reads again that prove a set. */
const PROVEN_SHARE = 1 / 64;
const FADE = 1 / 64;
/** A set is idle when it was quiet for this long at least, in ms; and for this share of a pass; and longer than before. */
const IDLE_LEAST_MS = 10_000;
const IDLE_SHARE = 1 / 16;
const IDLE_AGAIN = 1.5;
/** What was kept by an earlier daemon and not asked for since, in ms. */
const UNCLAIMED_IDLE_MS = 60_000;
/** An item that was not read while its set was read so many times over does not belong to it any more. */
const STALE_PASSES = 3;
/** Sets looked at for one victim, where there are very many. */
export const SETS_LOOKED_AT = 64;

export class DataSet {
  readonly pool: Pool;
  /** Its place among the sets that have residents; -1: it has none. */
  atActive = -1;
  /** The set it has become part of. */
  into: DataSet | undefined = undefined;
  firstMs = 0;
  lastMs = 0;
  /** Reads of it, the items seen, and those read again. */
  clock = 0;
  seen = 0;
  again = 0;
  /** Of the reads again, the share that came soon. */
  short = 0;
  /** Mean time from one read of an item to the next: in reads of the cache, and in ms. 0: none was read again. */
  passTicks = 0;
  passMs = 0;
  /** The longest it was quiet and came back. */
  pauseMs = 0;

  constructor(atRest: ItemsAtRest | undefined) {
    this.pool = new Pool('atSet', atRest);
  }

  get proven(): boolean {
    return this.again > 0 && this.again >= this.seen * PROVEN_SHARE;
  }

  get inEpochs(): boolean {
    return this.short <= SHORT_MOST;
  }

  idle(nowMs: number): boolean {
    const quietMs = nowMs - this.lastMs;
    if (quietMs <= IDLE_LEAST_MS) return false;
    return quietMs > Math.max(this.#spanMs * IDLE_SHARE, this.pauseMs * IDLE_AGAIN);
  }

  /** Counted in reads, not in time: a pass over a set that is only getting known takes longer than those before. */
  stale(item: Item): boolean {
    return this.inEpochs && this.seen > 0 && this.clock - item.clock > STALE_PASSES * this.seen;
  }

  /** A pass, or what there was of the first so far. */
  get #spanMs(): number {
    return this.passMs > 0 ? this.passMs : this.lastMs - this.firstMs;
  }

  /** Somebody reads from it. */
  came(nowMs: number): void {
    if (this.clock === 0) this.firstMs = nowMs;
    else {
      const quietMs = nowMs - this.lastMs;
      // A pause longer than some passes was no pause: the job was over.
      if (quietMs > this.pauseMs) this.pauseMs = Math.min(quietMs, 4 * Math.max(this.#spanMs, IDLE_LEAST_MS));
    }
    this.lastMs = nowMs;
    this.clock++;
  }

  /** An item is read again, after so many reads of the set. False: that soon that it is the same reading. */
  cameAgain(item: Item, tick: number, nowMs: number): boolean {
    const apart = this.clock - item.clock;
    if (apart <= Math.min(CORRELATED, this.seen / 8)) return false;
    this.again++;
    const soon = apart < this.seen * SHORT_SHARE ? 1 : 0;
    const weight = Math.max(FADE, 1 / (this.again + 8));
    this.short += (soon - this.short) * weight;
    const ticks = tick - item.tick;
    this.passTicks = this.passTicks === 0 ? ticks : this.passTicks + (ticks - this.passTicks) * weight;
    if (item.lastMs > 0) {
      const ms = nowMs - item.lastMs;
      this.passMs = this.passMs === 0 ? ms : this.passMs + (ms - this.passMs) * weight;
    }
    return true;
  }

  absorb(other: DataSet): void {
    other.into = this;
    if (other.clock > 0 && (this.clock === 0 || other.firstMs < this.firstMs)) this.firstMs = other.firstMs;
    this.lastMs = Math.max(this.lastMs, other.lastMs);
    this.pauseMs = Math.max(this.pauseMs, other.pauseMs);
    if (other.again > this.again) {
      this.short = other.short;
      this.passTicks = other.passTicks;
      this.passMs = other.passMs;
    }
    this.clock += other.clock;
    this.seen += other.seen;
    this.again += other.again;
  }
}

class Directory {
  readonly parent: Directory | undefined;
  set: DataSet | undefined = undefined;
  /** By kind, the directories directly in it that are sets; undefined once it is one with them. */
  shares: Map<string, Directory[]> | undefined = undefined;
  /** The kind of files that its children share with it. */
  kind: string | undefined = undefined;

  constructor(parent: Directory | undefined) {
    this.parent = parent;
  }
}

export class DataSets {
  /** Those with residents. */
  readonly active: DataSet[] = [];
  /** What an earlier daemon kept, until it is read again. */
  readonly #unclaimed: DataSet;
  readonly #root = new Directory(undefined);
  readonly #directories = new Map<string, Directory>([['', this.#root]]);
  readonly #atRest: ItemsAtRest | undefined;

  constructor(atRest?: ItemsAtRest) {
    this.#atRest = atRest;
    this.#unclaimed = new DataSet(atRest);
  }

  /** The set of an item. */
  of(item: Item, nowMs: number): DataSet {
    if (item.set !== undefined && item.set.into === undefined && item.set !== this.#unclaimed) return item.set;
    if (item.directory === undefined) {
      if (this.#unclaimed.clock === 0) this.#unclaimed.came(nowMs);
      return this.#unclaimed;
    }
    return this.#setOf(this.#directory(item.directory), item.extension);
  }

  /** Its first bytes were kept. */
  add(item: Item, nowMs: number): void {
    const set = this.of(item, nowMs);
    item.set = set;
    this.#enter(item, set);
  }

  remove(item: Item): void {
    const { set } = item;
    if (set === undefined || item.atSet < 0) return;
    set.pool.remove(item);
    if (set.pool.size === 0) this.#sleep(set);
  }

  /** A resident item was kept by an earlier daemon, and now its directory is known. True: it was. */
  claim(item: Item, nowMs: number): boolean {
    if (item.set !== this.#unclaimed || item.directory === undefined) return false;
    this.remove(item);
    this.#unclaimed.lastMs = nowMs;
    this.add(item, nowMs);
    return true;
  }

  isIdle(set: DataSet, nowMs: number): boolean {
    return set === this.#unclaimed ? nowMs - set.lastMs > UNCLAIMED_IDLE_MS : set.idle(nowMs);
  }

  isUnclaimed(set: DataSet): boolean {
    return set === this.#unclaimed;
  }

  /** The set with the most by `weight` (above 0), of those with residents; where there are very many, of some of them. */
  most(random: () => number, weight: (set: DataSet) => number): DataSet | undefined {
    const { active } = this;
    const count = Math.min(active.length, SETS_LOOKED_AT);
    let at = active.length <= SETS_LOOKED_AT ? 0 : Math.floor(random() * active.length);
    let found: DataSet | undefined;
    let heaviest = 0;
    for (let left = count; left > 0; left--, at = at + 1 === active.length ? 0 : at + 1) {
      const set = active[at]!;
      const heavy = weight(set);
      if (heavy <= heaviest) continue;
      heaviest = heavy;
      found = set;
    }
    return found;
  }

  #enter(entry: Entry, set: DataSet): void {
    set.pool.add(entry);
    if (set.atActive >= 0) return;
    set.atActive = this.active.length;
    this.active.push(set);
  }

  #sleep(set: DataSet): void {
    const last = this.active.pop()!;
    if (last !== set) {
      this.active[set.atActive] = last;
      last.atActive = set.atActive;
    }
    set.atActive = -1;
  }

  #directory(path: string): Directory {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const parent = this.#directory(slash < 0 ? '' : path.slice(0, slash));
    if (this.#directories.size >= DIRECTORIES_MOST) return parent;
    const directory = new Directory(parent);
    this.#directories.set(path, directory);
    return directory;
  }

  #setOf(directory: Directory, kind: string): DataSet {
    const { set } = directory;
    if (set !== undefined && set.into === undefined) return set;
    if (set !== undefined) {
      let whole = set.into!;
      while (whole.into !== undefined) whole = whole.into;
      directory.set = whole;
      return whole;
    }
    directory.set = new DataSet(this.#atRest);
    directory.kind = kind;
    this.#share(directory, kind);
    return this.#setOf(directory, kind);
  }

  /** A directory has become a set: with siblings of its kind it may be one share of a larger one. */
  #share(directory: Directory, kind: string): void {
    const { parent } = directory;
    if (parent === undefined) return;
    parent.shares ??= new Map();
    const shares = parent.shares.get(kind) ?? [];
    parent.shares.set(kind, shares);
    if (shares.length >= SHARES) {
      this.#merge(this.#setOf(shares[0]!, kind), directory.set!);
      return;
    }
    shares.push(directory);
    if (shares.length < SHARES) return;
    for (const share of shares.slice(1)) this.#merge(this.#setOf(shares[0]!, kind), this.#setOf(share, kind));
    if (parent.set === undefined) {
      parent.set = this.#setOf(shares[0]!, kind);
      parent.kind = kind;
      this.#share(parent, kind);
    }
  }

  /** The smaller becomes part of the larger, so that few entries are moved: there may be a million. */
  #merge(one: DataSet, other: DataSet): void {
    if (one === other) return;
    const [whole, part] = one.pool.size < other.pool.size ? [other, one] : [one, other];
    whole.absorb(part);
    for (const entry of part.pool.takeAll()) {
      if (typeof entry !== 'number') entry.set = whole; // of one at rest it is found by `into`
      this.#enter(entry, whole);
    }
    if (part.atActive >= 0) this.#sleep(part);
  }
}
