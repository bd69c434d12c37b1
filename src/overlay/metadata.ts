/**
 * What is known of names before the kernel asks: the listings of directories and what look-ups of their entries brought,
 * within a budget, the directories used longest ago going first. Only for stores where a look-up may take milliseconds.
 *
 *   READDIR   lists once; look-ups of all entries then go ahead, many at once (metadata-ahead.ts)
 *   LOOKUP    answered from here, or by the look-up under way, within the lease
 *   OPENDIR   of a directory whose names still hold begins another round: what has expired is asked again, in bulk
 *
 * INVARIANT: nothing is told that was asked before a change through this mount of the directory or the file
 * (metadata-belief.ts).
 */
import type { Shelf } from '../cache/shelf.ts';
import { type Attributes, isDirectory } from '../store/attributes.ts';
import type { DirectoryEntry, Found, Version } from '../store/store.ts';
import { failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { MetadataStats } from '../telemetry/stats.ts';
import type { Core } from './core.ts';
import { DirectoriesAhead } from './directories-ahead.ts';
import { Distrust } from './distrust.ts';
import type { Inode } from './inode.ts';
import { Ahead } from './metadata-ahead.ts';
import { Belief } from './metadata-belief.ts';
import {
  BEFORE_MS,
  type Known,
  knownAt,
  type Listing,
  learn,
  newListing,
  newRound,
  placeOf,
  storedAt,
} from './metadata-listing.ts';
import { Listings } from './metadata-listings.ts';
import { Shelving } from './metadata-shelf.ts';
import { NameIndex } from './name-index.ts';
import type { ToldInode } from './told-inodes.ts';

/** Look-ups made ahead of a reader before any of them was used: after a listing, and when the kernel has the names. */
const CREDIT = 4096;
const CREDIT_REOPENED = 16;
/** A round of this many look-ups, of which not a quarter was used, halves what later ones begin with; down to: */
const JUDGED_FROM = 64;
const CREDIT_LEAST = 64;
/** Names put into an index in one turn of the loop: less than 10 ms. */
const SLICE = 20_000;

export class Metadata {
  readonly distrust = new Distrust();
  readonly #core: Core;
  readonly #belief: Belief;
  readonly #listings: Listings;
  readonly #ahead: Ahead;
  readonly #directories: DirectoriesAhead;
  readonly #shelving: Shelving | undefined;
  /** Directories that are being brought from the shelf. */
  readonly #bringing = new Map<Inode, Promise<void>>();
  #credit = CREDIT;
  #hits = 0;
  #misses = 0;
  #listed = 0;
  #used = 0;
  #unused = 0;

  constructor(core: Core, budgetBytes: number, shelf?: Shelf) {
    this.#core = core;
    this.#belief = new Belief(core, this.distrust);
    this.#shelving = shelf && new Shelving(core, shelf, (listing, at) => this.#known(listing, at));
    this.#listings = new Listings(budgetBytes, (listing) => this.#dropped(listing));
    this.#directories = new DirectoriesAhead(core, {
      listingOf: (directory) => this.#listings.of(directory),
      foundAt: (listing, at) => this.#foundAt(listing, at),
      known: (directory) => this.#knownNow(directory, 0),
      bring: (directory) => this.bring(directory),
      takeIn: (directory, entries, askedMs, version) => this.#takeIn(directory, entries, askedMs, version),
      beginLater: (listing) => this.#beginLater(listing),
    });
    this.#ahead = new Ahead({
      lookUp: (listing, at) => this.#lookUp(listing, at),
      wanted: (listing, at) => !this.#fresh(listing, at),
      full: (listing) => this.#listings.full(listing),
    });
  }

  snapshot(): MetadataStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      listings: this.#listed,
      directories: this.#listings.size,
      entries: this.#listings.entries,
      bytes: this.#listings.bytes,
      budgetBytes: this.#listings.budgetBytes,
      aheadRequests: this.#ahead.requests,
      aheadUsed: this.#used,
      aheadUnused: this.#unused,
      aheadListings: this.#directories.listings,
      aheadListingsUsed: this.#directories.used,
      shelf: this.#shelving?.snapshot() ?? null,
    };
  }

  /** Resolves when what earlier mounts knew is used, or known to be of no use. */
  async start(): Promise<void> {
    await this.#shelving?.confirm();
  }

  knownDirectories(namesMost: number): string[] {
    return this.#shelving?.knownDirectories(namesMost) ?? [];
  }

  /** Keeps what is known for the next mount, and lets go of what is kept for readers that have not come. */
  stop(): void {
    this.#shelving?.stop();
    this.#directories.stop();
  }

  /** ESTALE is answered to somebody who came by `inode`. */
  ledAstray({ node: { id } }: Inode): void {
    this.distrust.file(id, Math.max(this.#core.nowMs(), this.distrust.since(id)));
  }

  // --- directories ---------------------------------------------------------------------------------------------------

  /** Brings what an earlier mount knew of a directory; a promise while that is under way. */
  bring(directory: Inode): Promise<void> | undefined {
    if (this.#shelving === undefined || this.#listings.of(directory) !== undefined) return undefined;
    const under = this.#bringing.get(directory);
    if (under !== undefined) return under;
    const brought = this.#shelving.bring(directory, this.#listings.budgetBytes);
    if (!(brought instanceof Promise)) {
      if (brought !== undefined) this.#listings.keep(brought);
      return undefined;
    }
    const bringing = brought.then((listing) => {
      this.#bringing.delete(directory);
      if (listing !== undefined && this.#listings.of(directory) === undefined && !directory.removed)
        this.#listings.keep(listing);
    });
    this.#bringing.set(directory, bringing);
    return bringing;
  }

  /** The names of a directory, where they are known to hold; a listing that is read from its beginning. */
  names(directory: Inode, thread: number): Listing | undefined {
    const listing = this.#knownNow(directory, thread);
    if (listing !== undefined) this.#begin(listing, directory);
    return listing;
  }

  /** As `bring`, and the listing of the directory that is under way for somebody else, or ahead of all. */
  coming(directory: Inode): Promise<unknown> | undefined {
    return this.#directories.coming(directory) ?? this.bring(directory);
  }

  /** A reader has the directory listed. */
  isListed(directory: Inode, listing: Promise<unknown>): void {
    if (this.#core.ttlMs > 0) this.#directories.isListed(directory, listing);
  }

  #knownNow(directory: Inode, thread: number): Listing | undefined {
    const listing = this.#listings.of(directory);
    return listing !== undefined && this.#belief.holds(listing, directory, thread) ? listing : undefined;
  }

  /**
   * Takes in what the store listed when it was asked at `askedMs`, and begins to look its entries up. `version`: the
   * directory's then. One that was learned while the names were under way may tell of names that are not among them.
   */
  async listed(
    directory: Inode,
    entries: DirectoryEntry[],
    askedMs: number,
    version: Version,
  ): Promise<Listing | undefined> {
    const listing = await this.#takeIn(directory, entries, askedMs, version);
    if (listing !== undefined) this.#begin(listing, directory);
    return listing;
  }

  async #takeIn(
    directory: Inode,
    entries: DirectoryEntry[],
    askedMs: number,
    version: Version,
  ): Promise<Listing | undefined> {
    this.#listed++;
    if (directory.removed || this.#core.ttlMs === 0) return undefined;
    const before = this.#listings.of(directory);
    const index = new NameIndex(entries, entries.length);
    const listing = newListing(directory, entries, index, version, askedMs);
    if (listing.bytes > this.#listings.budgetBytes) return undefined;
    for (let i = 0; i < entries.length; i++) {
      if (i > 0 && i % SLICE === 0) await new Promise(setImmediate);
      const { name } = entries[i]!;
      index.add(i);
      const was = before && placeOf(before, name);
      const known = was === undefined ? undefined : knownAt(before!, was);
      if (known === undefined) continue;
      learn(listing, i, known);
      if (before!.unused.delete(was!)) listing.unused.add(i);
    }
    if (directory.removed) return undefined;
    this.#listings.keep(listing);
    this.#shelving?.learned(listing);
    return listing;
  }

  /** The names of a directory, for somebody who works ahead of its readers: nothing else is looked up for them. */
  async namesAhead(directory: Inode): Promise<Outcome<readonly DirectoryEntry[]>> {
    const known = this.#knownNow(directory, 0);
    if (known !== undefined) return known.entries;
    const askedMs = this.#core.nowMs();
    const version = this.#core.settledVersion(directory);
    const found = await this.#core.store.list(directory.node);
    if (failed(found)) return found;
    const entries = this.#core.shown(directory, found as DirectoryEntry[]);
    await this.#takeIn(directory, entries, askedMs, version);
    return entries;
  }

  /** As `recall`, for somebody who works ahead of readers: what is not known is looked up, and they join that. */
  findAhead(directory: Inode, name: string): Known | Promise<Known | undefined> | undefined {
    const listing = this.#listings.of(directory);
    const at = listing && placeOf(listing, name);
    return listing === undefined || at === undefined ? undefined : this.#foundAt(listing, at);
  }

  /** A directory was found at parent/name. */
  found(directory: Inode, parent: Inode, name: string): void {
    this.#directories.found(directory, parent, name);
  }

  /** What is at a place of a listing, for `DirectoriesAhead`; undefined: it cannot be asked for. */
  #foundAt(listing: Listing, at: number): Known | Promise<Known | undefined> | undefined {
    const known = knownAt(listing, at);
    if (known !== undefined && this.#belief.of(listing.directory, known, 0)) return known;
    return listing.underWay.get(at) ?? (this.#listings.over ? undefined : this.#lookUp(listing, at));
  }

  /** What a directory that nobody has read yet has in it is looked up when there is nothing else to do. */
  #beginLater(listing: Listing): void {
    listing.round = newRound(listing.entries.length, this.#credit);
    this.#ahead.later(listing);
  }

  /** OPENDIR: should the kernel have the names, and ask for their attributes one by one, they are asked for in bulk. */
  opened(directory: Inode, thread: number): void {
    const listing = this.#knownNow(directory, thread);
    if (listing === undefined) return;
    this.#judge(listing);
    listing.directory = directory;
    listing.round = newRound(0, CREDIT_REOPENED);
  }

  /** Closed before its end was read: what was to be looked up ahead of the reader is not wanted. */
  left(listing: Listing): void {
    if (listing.round.hits === 0) listing.round.left = 0;
  }

  #begin(listing: Listing, directory: Inode): void {
    const expected = this.#directories.read(directory, listing) && listing.round.asked > 0;
    this.#listings.touch(listing);
    listing.directory = directory;
    if (!expected) {
      this.#judge(listing);
      listing.round = newRound(listing.entries.length, this.#credit);
    }
    this.#ahead.go(listing);
  }

  /** What a round came to decides how far the next ones go before they are seen to be of use. */
  #judge({ round: { asked, hits, told } }: Listing): void {
    if (asked < JUDGED_FROM) return;
    if (hits + told < asked / 4) this.#credit = Math.max(CREDIT_LEAST, this.#credit >> 1);
    else this.#credit = CREDIT;
  }

  // --- entries -------------------------------------------------------------------------------------------------------

  /**
   * What a name leads to, or a promise of it while a look-up is under way; undefined: the store must be asked.
   * `thread` asks.
   */
  recall(directory: Inode, name: string, thread: number): Known | Promise<Known | undefined> | undefined {
    const bringing = this.bring(directory);
    return bringing?.then(() => this.#recall(directory, name, thread)) ?? this.#recall(directory, name, thread);
  }

  #recall(directory: Inode, name: string, thread: number): Known | Promise<Known | undefined> | undefined {
    const listing = this.#listings.of(directory);
    const at = listing && placeOf(listing, name);
    if (listing === undefined || at === undefined || this.#core.ttlMs === 0) return undefined;
    const known = knownAt(listing, at);
    if (known !== undefined && this.#belief.of(directory, known, thread)) {
      this.#hit(listing, at);
      return known;
    }
    const underWay = listing.underWay.get(at);
    return underWay?.then((came) => {
      if (came === undefined || !this.#belief.of(directory, came, thread)) return undefined;
      this.#hit(listing, at);
      return came;
    });
  }

  /** What may be told with the name, of entry `at` of a listing. */
  told(listing: Listing, at: number, thread: number): Known | undefined {
    const known = knownAt(listing, at);
    if (known === undefined || !this.#belief.of(listing.directory, known, thread)) return undefined;
    listing.round.told++;
    this.#use(listing, at);
    return known;
  }

  /** As `told`, of a file that an earlier mount knew, that nobody changes and nobody uses: its inode is not made. */
  toldOnly(listing: Listing, at: number, thread: number): { inode: ToldInode; attributes: Attributes } | undefined {
    const { immutable, readOnly, inodes } = this.#core;
    const stored = immutable && readOnly ? storedAt(listing, at) : undefined;
    const found = stored?.part.found(stored.index);
    if (stored === undefined || found === undefined) return undefined;
    const { attributes } = found;
    // Directories are used next; of what has more names each must come to the same inode.
    if (isDirectory(attributes.mode) || attributes.nlink > 1) return undefined;
    if (!this.#belief.of(listing.directory, { found, askedMs: BEFORE_MS }, thread)) return undefined;
    const inode = inodes.tell(listing.directory, stored.part, stored.index, found);
    if (inode === undefined) return undefined;
    listing.round.told++;
    return { inode, attributes };
  }

  /** The store had to be asked for a name. Notes the answer, and has what comes next asked ahead. */
  missed(directory: Inode, name: string, reply: Reply<Found>, askedMs: number): void {
    this.#misses++;
    const listing = this.#listings.of(directory);
    const at = listing && placeOf(listing, name);
    if (listing === undefined || at === undefined) {
      if (this.#shelving !== undefined) void this.#noteName(directory, name, reply, askedMs);
      return;
    }
    const { round } = listing;
    if (round.armed) {
      round.armed = false;
      round.next = at + 1;
      round.left = listing.entries.length;
    }
    if (round.credit > CREDIT_REOPENED) round.missed++;
    listing.directory = directory;
    void this.#follow(listing, at, reply, askedMs);
    this.#ahead.go(listing);
  }

  /** A name of a directory that nobody has listed, or that was not in its listing: for the next mount. */
  async #noteName(directory: Inode, name: string, reply: Reply<Found>, askedMs: number): Promise<void> {
    const found = await reply;
    if (failed(found) || directory.removed) return;
    let listing = this.#listings.of(directory);
    if (listing === undefined) {
      listing = newListing(directory, [], undefined, '', askedMs);
      this.#listings.keep(listing);
    }
    if (listing.version !== '' || listing.bytes > this.#listings.budgetBytes / 4) return;
    const known = { found: found as Found, askedMs };
    if (this.#listings.learnName(listing, placeOf(listing, name), name, known)) this.#shelving?.learned(listing);
  }

  /** Whether entry `at` need not be looked up ahead. */
  #fresh(listing: Listing, at: number): boolean {
    return listing.underWay.has(at) || this.#known(listing, at);
  }

  /** Whether what is known of entry `at` may be told to anybody. */
  #known(listing: Listing, at: number): boolean {
    const one = knownAt(listing, at);
    return one !== undefined && this.#belief.of(listing.directory, one, 0);
  }

  #hit(listing: Listing, at: number): void {
    this.#hits++;
    listing.round.hits++;
    this.#use(listing, at);
    this.#ahead.go(listing);
  }

  #use(listing: Listing, at: number): void {
    if (!listing.unused.delete(at)) return;
    this.#used++;
    // More than there is room for: the kernel has it now, and there is place for what comes next.
    if (this.#listings.over) this.#listings.forget(listing, at);
  }

  #lookUp(listing: Listing, at: number): Promise<Known | undefined> | undefined {
    const { directory } = listing;
    if (directory.removed || directory.superseded) return undefined;
    const askedMs = this.#core.nowMs();
    const reply = this.#core.store.lookup(directory.node, listing.entries[at]!.name);
    listing.unused.add(at);
    return this.#follow(listing, at, reply, askedMs);
  }

  /** A look-up that is under way: whoever asks for the same waits for it. */
  #follow(listing: Listing, at: number, reply: Reply<Found>, askedMs: number): Promise<Known | undefined> {
    const answer = Promise.resolve(reply).then((outcome: Outcome<Found>) => {
      if (listing.underWay.get(at) === answer) listing.underWay.delete(at);
      if (failed(outcome)) {
        if ((knownAt(listing, at)?.askedMs ?? 0) <= askedMs) this.#listings.forget(listing, at);
        if (listing.unused.delete(at)) this.#unused++;
        return undefined;
      }
      const known = { found: outcome, askedMs };
      this.#learn(listing, at, known);
      return known;
    });
    listing.underWay.set(at, answer);
    return answer;
  }

  /** Takes what was found into a listing. */
  #learn(listing: Listing, at: number, known: Known): void {
    if (this.#listings.learn(listing, at, known)) this.#shelving?.learned(listing);
  }

  #dropped(listing: Listing): void {
    this.#directories.dropped(listing);
    this.#judge(listing);
    this.#unused += listing.unused.size;
    listing.unused.clear();
    listing.round.left = 0;
  }
}
