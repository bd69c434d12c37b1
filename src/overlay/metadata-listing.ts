/** The names of one directory as the store listed them, and of each what is known beyond it. */
import type { DirectoryEntry, Found, Version } from '../store/store.ts';
import type { Inode } from './inode.ts';

/** Estimates of what is held, in bytes: a name with its place in the index, and what was found of it. */
const LISTING_BYTES = 500;
const NAME_BYTES = 180;
const FOUND_BYTES = 450;

/** A look-up, and when it was asked for (monotonic ms): its answer is no newer. */
export interface Known {
  readonly found: Found;
  readonly askedMs: number;
}

export interface Listing {
  /** The generation of the directory that was listed last; its look-ups go by it. */
  directory: Inode;
  readonly entries: DirectoryEntry[];
  readonly index: ReadonlyMap<string, number>;
  /** The directory's version, that these are its names; '' where that cannot be told. */
  version: Version;
  /** When the names were asked for (monotonic ms). */
  readonly askedMs: number;
  /** By index of `entries`. */
  readonly known: (Known | undefined)[];
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

export function newListing(
  directory: Inode,
  entries: DirectoryEntry[],
  index: ReadonlyMap<string, number>,
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
    underWay: new Map(),
    unused: new Set(),
    bytes: LISTING_BYTES + entries.length * NAME_BYTES,
    round: newRound(entries.length, 0),
  };
}

/** Notes what was found; returns by how many bytes the listing has grown. An older answer than the one there is none. */
export function learn(listing: Listing, at: number, known: Known): number {
  const before = listing.known[at];
  if (before !== undefined && before.askedMs >= known.askedMs) return 0;
  listing.known[at] = known;
  if (before !== undefined) return 0;
  listing.bytes += FOUND_BYTES;
  return FOUND_BYTES;
}

/** Forgets what was found; returns by how many bytes the listing has shrunk. */
export function unlearn(listing: Listing, at: number): number {
  if (listing.known[at] === undefined) return 0;
  listing.known[at] = undefined;
  listing.bytes -= FOUND_BYTES;
  return FOUND_BYTES;
}
