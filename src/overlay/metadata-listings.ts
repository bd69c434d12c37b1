/** The listings in memory, by directory: what they take stays within a budget, those used longest ago going first. */
import type { FileId } from '../store/store.ts';
import type { Inode } from './inode.ts';
import { addName, type Known, type Listing, learn, unlearn } from './metadata-listing.ts';

export class Listings {
  readonly budgetBytes: number;
  readonly #dropped: (listing: Listing) => void;
  /** By the directory's file id, the one used last at the end. */
  readonly #listings = new Map<FileId, Listing>();
  #bytes = 0;
  #entries = 0;

  /** `dropped`: a listing is no longer kept. */
  constructor(budgetBytes: number, dropped: (listing: Listing) => void) {
    this.budgetBytes = budgetBytes;
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#listings.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of how many entries something is known. */
  get entries(): number {
    return this.#entries;
  }

  of({ node: { id, birth } }: Inode): Listing | undefined {
    const listing = this.#listings.get(id);
    return listing?.directory.node.birth === birth ? listing : undefined;
  }

  #has(listing: Listing): boolean {
    return this.#listings.get(listing.directory.node.id) === listing;
  }

  keep(listing: Listing): void {
    const { id } = listing.directory.node;
    const before = this.#listings.get(id);
    if (before !== undefined) this.#drop(before);
    this.#listings.set(id, listing);
    this.#bytes += listing.bytes;
    this.#entries += listing.knownCount;
    this.#makeRoom(listing);
  }

  /** It was used just now. */
  touch(listing: Listing): void {
    if (!this.#has(listing)) return;
    const { id } = listing.directory.node;
    this.#listings.delete(id);
    this.#listings.set(id, listing);
  }

  /** Takes in what was found; true: it was not known before. Nothing where the listing is no longer kept. */
  learn(listing: Listing, at: number, known: Known): boolean {
    if (!this.#has(listing)) return false;
    return this.#changed(listing, () => learn(listing, at, known)) > 0;
  }

  /** As `learn`, of a name that may not be in the listing yet. */
  learnName(listing: Listing, at: number | undefined, name: string, known: Known): boolean {
    if (!this.#has(listing)) return false;
    return this.#changed(listing, () => learn(listing, at ?? addName(listing, name, known.found), known)) > 0;
  }

  forget(listing: Listing, at: number): void {
    if (this.#has(listing)) this.#changed(listing, () => unlearn(listing, at));
    else unlearn(listing, at);
  }

  /** There would be no room for what is looked up next. */
  full(listing: Listing): boolean {
    this.#makeRoom(listing);
    return this.over;
  }

  get over(): boolean {
    return this.#bytes > this.budgetBytes;
  }

  #changed(listing: Listing, change: () => number): number {
    const { bytes, knownCount } = listing;
    const result = change();
    this.#bytes += listing.bytes - bytes;
    this.#entries += listing.knownCount - knownCount;
    this.#makeRoom(listing);
    return result;
  }

  #makeRoom(keep: Listing): void {
    if (!this.over) return;
    for (const listing of this.#listings.values()) {
      if (!this.over) return;
      if (listing !== keep) this.#drop(listing);
    }
  }

  #drop(listing: Listing): void {
    this.#listings.delete(listing.directory.node.id);
    this.#bytes -= listing.bytes;
    this.#entries -= listing.knownCount;
    this.#dropped(listing);
  }
}
