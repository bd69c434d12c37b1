/** The names of one directory as the store listed them, and of each what is known beyond it. */
import type { DirectoryEntry, Found, Version } from '../store/store.ts';
import type { Inode } from './inode.ts';
import type { EncodedEntries } from './metadata-codec.ts';
import { NameIndex } from './name-index.ts';

/** Estimates of what is held, in bytes: a name with its place in the index, and what was found of it. */
const LISTING_BYTES = 500;
const NAME_BYTES = 180;
const FOUND_BYTES = 450;

/** Entries of a part that is written, or brought, in one turn: some 2 ms. */
export const PART_ENTRIES = 2048;
/** What an earlier mount knew was asked before anything of this one (monotonic ms). */
export const BEFORE_MS = 0;

/** A look-up, and when it was asked for (monotonic ms): its answer is no newer. */
export interface Known {
  readonly found: Found;
  readonly askedMs: number;
}

export interface Listing {
  /** The generation of the directory that was listed last; its look-ups go by it. */
  directory: Inode;
  readonly entries: DirectoryEntry[];
  /** Names by their place in `entries`; made when it is first needed, see `placeOf`. */
  index: NameIndex | undefined;
  /** The directory's version, that these are its names; '' where that cannot be told. */
  version: Version;
  /** When the names were asked for (monotonic ms). */
  readonly askedMs: number;
  /** By index of `entries`. */
  readonly known: (Known | undefined)[];
  /** What an earlier mount knew of them, in parts (see `takeStored`); counts where `known` has nothing. */
  readonly stored: EncodedEntries[];
  /** Of how many entries something is known. */
  knownCount: number;
  /** Look-ups under way, by index. Undefined: it failed. */
  readonly underWay: Map<number, Promise<Known | undefined>>;
  /** What was looked up ahead and is not used, by index. */
  readonly unused: Set<number>;
  bytes: number;
  round: Round;
}

/** One reading of a directory, and what is looked up ahead for it. */
export interface Round {
  /** Begins by the first LOOKUP that nothing is known of. */
  armed: boolean;
  /** Where looking ahead goes on, and how many entries it has still to come to. */
  next: number;
  left: number;
  /** Look-ups made ahead; those that a LOOKUP asked for since; those that were told with the names. */
  asked: number;
  hits: number;
  told: number;
  /** LOOKUPs of names just read that nothing was known of yet: whoever walks, in whatever order, is on its way. */
  missed: number;
  /** How many may be made before any was used. */
  credit: number;
}

/** `left`: the entries to look up at once; 0: it waits for a LOOKUP to begin with. */
export function newRound(left: number, credit: number): Round {
  return { armed: left === 0, next: 0, left, asked: 0, hits: 0, told: 0, missed: 0, credit };
}

/** What is held of a directory, when so many of its entries are known. */
export function listingBytes(entries: number, known: number): number {
  return LISTING_BYTES + entries * NAME_BYTES + known * FOUND_BYTES;
}

export function newListing(
  directory: Inode,
  entries: DirectoryEntry[],
  index: NameIndex | undefined,
  version: Version,
  askedMs: number,
): Listing {
  return {
    directory,
    entries,
    index,
    version,
    askedMs,
    known: [],
    stored: [],
    knownCount: 0,
    underWay: new Map(),
    unused: new Set(),
    bytes: listingBytes(entries.length, 0),
    round: newRound(entries.length, 0),
  };
}

/** Where a name is in a listing. */
export function placeOf(listing: Listing, name: string): number | undefined {
  listing.index ??= NameIndex.of(listing.entries);
  return listing.index.find(name);
}

/** Adds a name that was looked up, to a listing of such; returns its place. */
export function addName(listing: Listing, name: string, { attributes }: Found): number {
  const at = listing.entries.length;
  listing.entries.push({ name, type: attributes.mode >> 12, ino: attributes.ino });
  listing.index?.add(at);
  listing.bytes += NAME_BYTES;
  return at;
}

/** Adds a part of what an earlier mount knew, entries and all; every part but the last has PART_ENTRIES. */
export function takeStored(listing: Listing, part: EncodedEntries): void {
  const { entries, index } = listing;
  listing.stored.push(part);
  listing.bytes += part.byteLength + part.count * NAME_BYTES;
  for (let i = 0; i < part.count; i++) {
    const at = entries.push(part.entry(i)) - 1;
    index?.add(at);
    if (part.known(i)) listing.knownCount++;
  }
}

/** Where an earlier mount's record of an entry is, while it counts. */
export function storedAt({ stored }: Listing, at: number): { part: EncodedEntries; index: number } | undefined {
  const part = stored[Math.floor(at / PART_ENTRIES)];
  const index = at % PART_ENTRIES;
  return part !== undefined && index < part.count && part.known(index) ? { part, index } : undefined;
}

/** What is known of an entry. */
export function knownAt(listing: Listing, at: number): Known | undefined {
  const known = listing.known[at];
  if (known !== undefined || listing.stored.length === 0) return known;
  const stored = storedAt(listing, at);
  return stored && { found: stored.part.found(stored.index)!, askedMs: BEFORE_MS };
}

/** Notes what was found; returns by how many bytes the listing has grown. An older answer than the one there is none. */
export function learn(listing: Listing, at: number, known: Known): number {
  const before = listing.known[at];
  if (before !== undefined && before.askedMs >= known.askedMs) return 0;
  listing.known[at] = known;
  if (before !== undefined) return 0;
  const stored = storedAt(listing, at);
  if (stored === undefined) listing.knownCount++;
  else stored.part.drop(stored.index);
  listing.bytes += FOUND_BYTES;
  return FOUND_BYTES;
}

/** Forgets what was found; returns by how many bytes the listing has shrunk. */
export function unlearn(listing: Listing, at: number): number {
  const stored = storedAt(listing, at);
  if (stored !== undefined) {
    stored.part.drop(stored.index);
    listing.knownCount--;
  }
  if (listing.known[at] === undefined) return 0;
  listing.known[at] = undefined;
  listing.knownCount--;
  listing.bytes -= FOUND_BYTES;
  return FOUND_BYTES;
}
