/**
 * What is known of names before the kernel asks: the listings of directories and what look-ups of their entries brought,
 * within a budget, the directories used longest ago going first. Only for stores where a look-up may take milliseconds.
 *
 *   READDIR   lists once; look-ups of all entries then go ahead, many at once (metadata-ahead.ts)
 *   LOOKUP    answered from here, or by the look-up under way, within the lease
 *   OPENDIR   of a directory whose names still hold begins another round: what has expired is asked again, in bulk
 *
 * INVARIANT: nothing is told that was asked before a change through this mount of the directory or the file (`believed`).
 */
import type { DirectoryEntry, FileId, Found } from '../store/store.ts';
import { failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { MetadataStats } from '../telemetry/stats.ts';
import type { Core } from './core.ts';
import { Distrust } from './distrust.ts';
import type { Inode } from './inode.ts';
import { Ahead } from './metadata-ahead.ts';
import { type Known, type Listing, learn, newListing, newRound, unlearn } from './metadata-listing.ts';

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
  readonly #budgetBytes: number;
  readonly #ahead: Ahead;
  /** By the directory's file id, the one used last at the end. */
  readonly #listings = new Map<FileId, Listing>();
  #bytes = 0;
  #entries = 0;
  #credit = CREDIT;
  #hits = 0;
  #misses = 0;
  #listed = 0;
  #used = 0;
  #unused = 0;

  constructor(core: Core, budgetBytes: number) {
    this.#core = core;
    this.#budgetBytes = budgetBytes;
    this.#ahead = new Ahead({
      lookUp: (listing, at) => this.#lookUp(listing, at),
      wanted: (listing, at) => !this.#fresh(listing, at),
      full: (listing) => this.#full(listing),
    });
  }

  snapshot(): MetadataStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      listings: this.#listed,
      directories: this.#listings.size,
      entries: this.#entries,
      bytes: this.#bytes,
      budgetBytes: this.#budgetBytes,
      aheadRequests: this.#ahead.requests,
      aheadUsed: this.#used,
      aheadUnused: this.#unused,
    };
  }

  /** ESTALE is answered to somebody who came by `inode`. */
  ledAstray({ node: { id } }: Inode): void {
    this.distrust.file(id, Math.max(this.#core.nowMs(), this.distrust.since(id)));
  }

  // --- directories ---------------------------------------------------------------------------------------------------

  /** The names of a directory, where they are known to hold; a listing that is read from its beginning. */
  names(directory: Inode, thread: number): Listing | undefined {
    const listing = this.#of(directory);
    if (listing === undefined || !this.#holds(listing, directory, thread)) return undefined;
    this.#begin(listing, directory, this.#credit);
    return listing;
  }

  /** Takes in what the store listed when it was asked at `askedMs`, and begins to look its entries up. */
  async listed(directory: Inode, entries: DirectoryEntry[], askedMs: number): Promise<Listing | undefined> {
    this.#listed++;
    if (directory.removed || this.#core.ttlMs === 0) return undefined;
    const before = this.#of(directory);
    const index = new Map<string, number>();
    const version = this.#core.unsettled(directory.attributes) ? '' : directory.version;
    const listing = newListing(directory, entries, index, version, askedMs);
    if (listing.bytes > this.#budgetBytes) return undefined;
    for (let i = 0; i < entries.length; i++) {
      if (i > 0 && i % SLICE === 0) await new Promise(setImmediate);
      const { name } = entries[i]!;
      index.set(name, i);
      const was = before?.index.get(name);
      const known = was === undefined ? undefined : before?.known[was];
      if (known === undefined) continue;
      learn(listing, i, known);
      if (before?.unused.delete(was!)) listing.unused.add(i);
    }
    if (directory.removed) return undefined;
    this.#keep(listing);
    this.#begin(listing, directory, this.#credit);
    return listing;
  }

  /** OPENDIR: should the kernel have the names, and ask for their attributes one by one, they are asked for in bulk. */
  opened(directory: Inode, thread: number): void {
    const listing = this.#of(directory);
    if (listing === undefined || !this.#holds(listing, directory, thread)) return;
    this.#judge(listing);
    listing.directory = directory;
    listing.round = newRound(0, CREDIT_REOPENED);
  }

  /** Closed before its end was read: what was to be looked up ahead of the reader is not wanted. */
  left(listing: Listing): void {
    if (listing.round.hits === 0) listing.round.left = 0;
  }

  #begin(listing: Listing, directory: Inode, credit: number): void {
    this.#judge(listing);
    this.#touch(listing);
    listing.directory = directory;
    listing.round = newRound(listing.entries.length, credit);
    this.#ahead.go(listing);
  }

  /** What a round came to decides how far the next ones go before they are seen to be of use. */
  #judge({ round: { asked, hits, told } }: Listing): void {
    if (asked < JUDGED_FROM) return;
    if (hits + told < asked / 4) this.#credit = Math.max(CREDIT_LEAST, this.#credit >> 1);
    else this.#credit = CREDIT;
  }

  #of({ node: { id, birth } }: Inode): Listing | undefined {
    const listing = this.#listings.get(id);
    return listing?.directory.node.birth === birth ? listing : undefined;
  }

  /** Whether a listing still says what is in the directory: within the lease, or by a version confirmed within it. */
  #holds({ askedMs, version }: Listing, directory: Inode, thread: number): boolean {
    const { ttlMs } = this.#core;
    if (askedMs < directory.touchedAtMs || version === '' || version !== directory.version) return false;
    const nowMs = this.#core.nowMs();
    if (nowMs - Math.max(askedMs, directory.validatedAtMs) >= ttlMs) return false;
    return this.#allowed(directory.node.id, thread, askedMs, nowMs);
  }

  // --- entries -------------------------------------------------------------------------------------------------------

  /**
   * What a name leads to, or a promise of it while a look-up is under way; undefined: the store must be asked.
   * `thread` asks.
   */
  recall(directory: Inode, name: string, thread: number): Known | Promise<Known | undefined> | undefined {
    const listing = this.#of(directory);
    const at = listing?.index.get(name);
    if (listing === undefined || at === undefined || this.#core.ttlMs === 0) return undefined;
    const known = listing.known[at];
    if (known !== undefined && this.#believed(directory, known, thread)) {
      this.#hit(listing, at);
      return known;
    }
    const underWay = listing.underWay.get(at);
    return underWay?.then((came) => {
      if (came === undefined || !this.#believed(directory, came, thread)) return undefined;
      this.#hit(listing, at);
      return came;
    });
  }

  /** What may be told with the name, of entry `at` of a listing. */
  told(listing: Listing, at: number, thread: number): Known | undefined {
    const known = listing.known[at];
    if (known === undefined || !this.#believed(listing.directory, known, thread)) return undefined;
    listing.round.told++;
    this.#use(listing, at);
    return known;
  }

  /** The store had to be asked for a name. Notes the answer, and has what comes next asked ahead. */
  missed(directory: Inode, name: string, reply: Reply<Found>, askedMs: number): void {
    this.#misses++;
    const listing = this.#of(directory);
    const at = listing?.index.get(name);
    if (listing === undefined || at === undefined) return;
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

  /**
   * Whether what was found may be told: within the lease, and not from before a change through this mount. (The inode
   * knows of changes of its file as long as it is there; `distrust` knows from then on.)
   */
  #believed(directory: Inode, { found, askedMs }: Known, thread: number): boolean {
    const nowMs = this.#core.nowMs();
    if (nowMs - askedMs >= this.#core.ttlMs || askedMs < directory.touchedAtMs) return false;
    if (!this.#allowed(directory.node.id, thread, askedMs, nowMs)) return false;
    if (!this.distrust.allows(found.id, askedMs)) return false;
    const inode = this.#core.inodes.current(found);
    if (inode === undefined) return true;
    // A newer answer told of something else: the file has changed, or another has its number now.
    const overtaken = askedMs < inode.attributesAtMs;
    if (overtaken && this.#core.store.version(found.attributes) !== inode.version) return false;
    return askedMs >= inode.touchedAtMs && inode.writers === 0 && inode.writersComing === 0;
  }

  /** Whoever was answered ESTALE walks its path again, and what made it fail must not lead it there again. */
  #allowed(id: FileId, thread: number, askedMs: number, nowMs: number): boolean {
    const sentAtMs = this.#core.sentBack.sentAtMs(thread, nowMs);
    return (sentAtMs === undefined || askedMs >= sentAtMs) && this.distrust.allows(id, askedMs);
  }

  /** Whether entry `at` need not be looked up ahead. */
  #fresh({ known, underWay, directory }: Listing, at: number): boolean {
    const one = known[at];
    return underWay.has(at) || (one !== undefined && this.#believed(directory, one, 0));
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
    if (this.#bytes > this.#budgetBytes) this.#forget(listing, at);
  }

  #lookUp(listing: Listing, at: number): Promise<unknown> | undefined {
    const { directory } = listing;
    if (directory.removed || directory.superseded) return undefined;
    const askedMs = this.#core.nowMs();
    const reply = this.#core.store.lookup(directory.node, listing.entries[at]!.name);
    listing.unused.add(at);
    return this.#follow(listing, at, reply, askedMs);
  }

  /** A look-up that is under way: whoever asks for the same waits for it. */
  #follow(listing: Listing, at: number, reply: Reply<Found>, askedMs: number): Promise<unknown> {
    const answer = Promise.resolve(reply).then((outcome: Outcome<Found>) => {
      if (listing.underWay.get(at) === answer) listing.underWay.delete(at);
      if (failed(outcome)) {
        if ((listing.known[at]?.askedMs ?? 0) <= askedMs) this.#forget(listing, at);
        if (listing.unused.delete(at)) this.#unused++;
        return undefined;
      }
      const known = { found: outcome, askedMs };
      if (this.#listings.get(listing.directory.node.id) === listing) {
        const grown = learn(listing, at, known);
        this.#bytes += grown;
        if (grown > 0) this.#entries++;
        this.#makeRoom(listing);
      }
      return known;
    });
    listing.underWay.set(at, answer);
    return answer;
  }

  // --- the budget ----------------------------------------------------------------------------------------------------

  #keep(listing: Listing): void {
    const { id } = listing.directory.node;
    const before = this.#listings.get(id);
    if (before !== undefined) this.#evict(before);
    this.#listings.set(id, listing);
    this.#bytes += listing.bytes;
    for (const one of listing.known) if (one !== undefined) this.#entries++;
    this.#makeRoom(listing);
  }

  #touch(listing: Listing): void {
    const { id } = listing.directory.node;
    if (this.#listings.get(id) !== listing) return;
    this.#listings.delete(id);
    this.#listings.set(id, listing);
  }

  #makeRoom(keep: Listing): void {
    if (this.#bytes <= this.#budgetBytes) return;
    for (const listing of this.#listings.values()) {
      if (this.#bytes <= this.#budgetBytes) return;
      if (listing !== keep) this.#evict(listing);
    }
  }

  #evict(listing: Listing): void {
    this.#judge(listing);
    this.#unused += listing.unused.size;
    listing.unused.clear();
    listing.round.left = 0;
    this.#listings.delete(listing.directory.node.id);
    this.#bytes -= listing.bytes;
    for (const one of listing.known) if (one !== undefined) this.#entries--;
  }

  /** What is looked up ahead would have to be thrown away. */
  #full(listing: Listing): boolean {
    this.#makeRoom(listing);
    return this.#bytes > this.#budgetBytes;
  }

  #forget(listing: Listing, at: number): void {
    const shrunk = unlearn(listing, at);
    if (shrunk === 0 || this.#listings.get(listing.directory.node.id) !== listing) return;
    this.#bytes -= shrunk;
    this.#entries--;
  }
}
