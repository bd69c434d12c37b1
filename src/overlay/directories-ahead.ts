/**
 * Directories listed before their reader comes. Whoever has read two directories of the same one is on a walk: those that
 * follow, in the order of the listing or by name, are listed for it, a few at first and more as they are used. What is
 * listed for nobody counts against the walk until it is used, so that a walk that has ended costs two listings.
 */
import { isDirectory } from '../store/attributes.ts';
import type { DirectoryEntry, Version } from '../store/store.ts';
import { failed } from '../sys/errno.ts';
import type { Core } from './core.ts';
import { Held } from './held.ts';
import type { Inode } from './inode.ts';
import { type Known, type Listing, placeOf } from './metadata-listing.ts';

/** Each is four requests to the source, one after the other. */
const AT_ONCE = 8;
/** Listed and not read, for one walk: at first, more for each that is used, and at most. */
const CREDIT = 2;
const EARNS = 2;
const CREDIT_MOST = 64;
/** Listed and not read by all walks; each keeps its inode. */
const UNREAD_MOST = 256;
/** Directories of one that are put in order by name: some milliseconds. */
const SORTED_MOST = 10_000;
/** The entries of a listing that are no directories, or known, are passed over; in one turn at most so many. */
const PASSED_MOST = 10_000;

/** How somebody goes through the directories of a listing. */
interface Walk {
  readonly listing: Listing;
  /** The directories, by their places in the listing; and where in that order each is. */
  order: number[];
  positions: Map<number, number>;
  byName: boolean;
  /** Positions: of the one read last, and of the next to list. */
  last: number;
  next: number;
  /** Listed, or being listed, and not read. */
  ahead: number;
  credit: number;
}

export interface DirectoriesAheadWork {
  listingOf(directory: Inode): Listing | undefined;
  /** What is at a place of a listing; undefined: it cannot be asked for. */
  foundAt(listing: Listing, at: number): Known | Promise<Known | undefined> | undefined;
  /** The names of a directory, where they are known to hold. */
  known(directory: Inode): Listing | undefined;
  /** Brings what an earlier mount knew of a directory. */
  bring(directory: Inode): Promise<void> | undefined;
  /** Takes in what the store listed when it was asked at `askedMs`, and the directory was of `version`. */
  takeIn(directory: Inode, entries: DirectoryEntry[], askedMs: number, version: Version): Promise<Listing | undefined>;
  /** Has the entries of a directory looked up, when there is nothing else to do. */
  beginLater(listing: Listing): void;
}

/** What was listed, and the inode that is kept for it. */
interface Unread {
  walk: Walk;
  held: Held;
}

export class DirectoriesAhead {
  readonly #core: Core;
  readonly #work: DirectoriesAheadWork;
  /** Where a directory was found last. */
  readonly #cameBy = new WeakMap<Inode, { parent: Inode; name: string }>();
  readonly #walks = new WeakMap<Listing, Walk>();
  /** The oldest first. */
  readonly #unread = new Map<Listing, Unread>();
  /** Directories that are being listed. */
  readonly #listing = new Map<Inode, Promise<unknown>>();
  #underWay = 0;
  /** Of the directory read last: somebody wanted attributes of what is in it. */
  #lastRead: Listing | undefined;
  /** Directories listed ahead since the beginning, and those of them that were read. */
  listings = 0;
  used = 0;
  #stopped = false;

  constructor(core: Core, work: DirectoriesAheadWork) {
    this.#core = core;
    this.#work = work;
  }

  /** A directory was found at parent/name. */
  found(directory: Inode, parent: Inode, name: string): void {
    this.#cameBy.set(directory, { parent, name });
  }

  /** A directory is read from its beginning; true: it had been listed ahead. */
  read(directory: Inode, listing: Listing): boolean {
    const attributes = wanted(this.#lastRead);
    this.#lastRead = listing;
    const was = this.#take(listing);
    if (was !== undefined) {
      this.used++;
      was.credit = Math.min(CREDIT_MOST, was.credit + EARNS);
    }
    const walk = this.#walkOf(directory);
    if (walk !== undefined) this.#go(walk, attributes);
    return was !== undefined;
  }

  /** A listing is no longer kept. */
  dropped(listing: Listing): void {
    this.#take(listing);
    if (this.#lastRead === listing) this.#lastRead = undefined;
  }

  #take(listing: Listing): Walk | undefined {
    const unread = this.#unread.get(listing);
    if (unread === undefined) return undefined;
    this.#unread.delete(listing);
    unread.walk.ahead--;
    unread.held.release();
    return unread.walk;
  }

  /** The walk that a directory is read in, when it is the second of its parent at least. */
  #walkOf(directory: Inode): Walk | undefined {
    const came = this.#cameBy.get(directory);
    const listing = came && this.#work.listingOf(came.parent);
    const at = listing && placeOf(listing, came!.name);
    if (listing === undefined || at === undefined) return undefined;
    let walk = this.#walks.get(listing);
    if (walk === undefined) {
      walk = newWalk(listing);
      this.#walks.set(listing, walk);
    }
    return moveTo(walk, at) ? walk : undefined;
  }

  /** The listing of a directory that is under way. */
  coming(directory: Inode): Promise<unknown> | undefined {
    return this.#listing.size === 0 ? undefined : this.#listing.get(directory);
  }

  #go(walk: Walk, attributes: boolean): void {
    const { directory } = walk.listing;
    if (this.#stopped || directory.removed || directory.superseded) return;
    for (let passed = 0; passed < PASSED_MOST && walk.next < walk.order.length; passed++) {
      if (this.#underWay >= AT_ONCE || walk.ahead >= walk.credit) return;
      const at = walk.order[walk.next++]!;
      const found = this.#work.foundAt(walk.listing, at);
      if (found === undefined || (!(found instanceof Promise) && this.#isKnown(found))) continue;
      this.#underWay++;
      walk.ahead++;
      const ended = (listed: boolean): void => {
        this.#underWay--;
        if (!listed) walk.ahead--;
        this.#go(walk, attributes);
      };
      this.#listFound(walk, at, found, attributes).then(ended, () => ended(false));
    }
  }

  #isKnown({ found }: Known): boolean {
    const inode = this.#core.inodes.madeOf(found);
    return inode !== undefined && this.#work.known(inode) !== undefined;
  }

  /** False: nothing came of it. */
  async #listFound(
    walk: Walk,
    at: number,
    found: Known | Promise<Known | undefined>,
    attributes: boolean,
  ): Promise<boolean> {
    const { directory, entries } = walk.listing;
    const known = await found;
    if (known === undefined || directory.removed || !isDirectory(known.found.attributes.mode)) return false;
    const inode = this.#core.intern(directory, entries[at]!.name, known.found, known.askedMs);
    if (this.#listing.has(inode) || this.#work.known(inode) !== undefined) {
      this.#core.reap(inode); // it may be nobody's: its reader came and went
      return false;
    }
    const listing = this.#list(walk, inode, attributes);
    this.isListed(inode, listing);
    return await listing;
  }

  /** Lists a directory and keeps it for its reader; who comes meanwhile waits for all of this. */
  async #list(walk: Walk, inode: Inode, attributes: boolean): Promise<boolean> {
    const held = this.#hold(walk.listing.directory, inode);
    const listing = await this.#listed(inode);
    if (listing === undefined || this.#stopped) {
      held.release();
      return false;
    }
    this.#keep(listing, { walk, held });
    if (attributes) this.#work.beginLater(listing);
    return true;
  }

  async #listed(inode: Inode): Promise<Listing | undefined> {
    const bringing = this.#work.bring(inode);
    if (bringing !== undefined) await bringing;
    const known = this.#work.known(inode);
    if (known !== undefined) return known;
    const askedMs = this.#core.nowMs();
    const version = this.#core.settledVersion(inode);
    const entries = await this.#core.store.list(inode.node);
    return failed(entries) ? undefined : this.#work.takeIn(inode, entries as DirectoryEntry[], askedMs, version);
  }

  /** Notes the listing of a directory that is under way. */
  isListed(directory: Inode, listing: Promise<unknown>): void {
    this.#listing.set(directory, listing);
    const ended = (): void => {
      if (this.#listing.get(directory) === listing) this.#listing.delete(directory);
    };
    listing.then(ended, ended);
  }

  #keep(listing: Listing, unread: Unread): void {
    this.listings++;
    this.#unread.set(listing, unread);
    if (this.#unread.size <= UNREAD_MOST) return;
    for (const oldest of this.#unread.keys()) {
      this.#take(oldest);
      break;
    }
  }

  /** Lets go of what was listed for readers that have not come; what is being listed is let go of when that has ended. */
  stop(): void {
    this.#stopped = true;
    for (const listing of [...this.#unread.keys()]) this.#take(listing);
  }

  /** As if the kernel knew it, and what it is in. */
  #hold(parent: Inode, inode: Inode): Held {
    const forget = (node: number): void => this.#core.forget(node, 1);
    const above = new Held(parent, undefined, forget);
    const held = new Held(inode, above, forget);
    above.release();
    return held;
  }
}

function wanted(listing: Listing | undefined): boolean {
  return listing !== undefined && listing.round.hits + listing.round.told + listing.round.missed > 0;
}

const DT_DIR = 4;

function newWalk(listing: Listing): Walk {
  const order: number[] = [];
  for (let at = 0; at < listing.entries.length; at++) if (listing.entries[at]!.type === DT_DIR) order.push(at);
  return { listing, order, positions: positionsOf(order), byName: false, last: -1, next: 0, ahead: 0, credit: CREDIT };
}

function positionsOf(order: readonly number[]): Map<number, number> {
  return new Map(order.map((at, position) => [at, position]));
}

/** Notes that the directory at a place is read; false: that is no walk yet. */
function moveTo(walk: Walk, at: number): boolean {
  const before = walk.last < 0 ? undefined : walk.order[walk.last];
  const position = walk.positions.get(at);
  if (position === undefined || at === before) return false;
  if (before !== undefined && position !== walk.last + 1 && !walk.byName && walk.order.length <= SORTED_MOST) {
    if (sort(walk, before, at)) return true;
  }
  if (position < walk.last || walk.next <= position) walk.next = position + 1;
  walk.last = position;
  return before !== undefined;
}

/** Goes on by name, when that is how somebody came from one directory to another. */
function sort(walk: Walk, before: number, at: number): boolean {
  const { entries } = walk.listing;
  const order = [...walk.order].sort((a, b) => (entries[a]!.name < entries[b]!.name ? -1 : 1));
  const positions = positionsOf(order);
  if (positions.get(at) !== positions.get(before)! + 1) return false;
  const last = positions.get(at)!;
  Object.assign(walk, { order, positions, byName: true, last, next: last + 1 });
  return true;
}
