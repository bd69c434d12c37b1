/**
 * The cache as the overlay sees it: objects that hold the content of one file at one version. Which bytes are present,
 * on which disk, and what is kept when space runs out is decided in this folder only.
 *
 * Knows no store and no FUSE: bytes come from a `ContentSource` the caller passes in, versions are opaque strings.
 */
import type { Carrier } from '../sys/carrier.ts';
import type { Outcome } from '../sys/errno.ts';
import type { Pin, PinSnapshot, Pins } from './eviction/pins.ts';
import type { Refusals } from './eviction/room.ts';
import type { ScrubSnapshot } from './scrub.ts';

export interface ContentKey {
  /** The file's identity within its store. */
  file: string;
  /** The version of its content; another version is another object. */
  version: string;
  /** Bytes. */
  size: number;
}

/** Of bytes that are brought for nobody who waits for them. */
export interface FillOptions {
  /** Called when the source has been read, before what came is kept. */
  arrived?: (() => void) | undefined;
  /** What there is no room for waits in memory for its reader, as far as there is room there; it counts as brought. */
  mayWait?: boolean | undefined;
}

/** Who opens a file, as far as that matters for what is kept. */
export interface ContentReader {
  /** Of the file, below the source, as a byte string: files of a directory are kept or removed alike. Not cheap. */
  path(): string;
  /** Nobody reads it yet: it is brought for somebody who will. */
  readonly ahead?: boolean;
  /** Nothing is to be kept on its account: what is there as a whole serves it, and that does not count as used. */
  readonly passing?: boolean;
}

/** Where a miss is read from. One source reads one version of one file. */
export interface ContentSource {
  /** Reads up to `length` bytes at `offset` into `into`; short only at the end of the file. */
  read(into: Uint8Array, length: number, offset: number): Promise<Outcome<number>>;
  /**
   * Whether the file still has the version the key names. Asked after bytes were read and handed out, before they are
   * recorded as cached: what was read from a file that changed meanwhile is never kept. A failure: it cannot be told now;
   * then it is not kept either, and what was kept before stays.
   */
  unchanged(): Promise<Outcome<boolean>>;
}

/** Bytes that came later than the call; `release` gives the buffer back once they were used. */
export interface ContentBytes {
  bytes: Uint8Array;
  /** Some of them had to be brought from the source, or were awaited from there. */
  fetched?: boolean;
  release?: () => void;
}

/** The content of one file at one version. Counted: `acquire` of the cache takes a reference, `release` gives it back. */
export interface CachedContent {
  readonly key: ContentKey;
  /** Every byte is present. */
  readonly complete: boolean;
  /**
   * The version was found to be gone from the source, or the object to be damaged: nothing more is kept, and no new reader
   * gets this object.
   */
  readonly stale: boolean;
  /** What is fetched and kept as one, in bytes. */
  readonly chunkBytes: number;
  /** Of a range, the bytes that are not present. */
  missingBytes(offset: number, length: number): number;
  /**
   * The bytes at once, when they are present and can be had without waiting for a disk: copies them to `into` and
   * returns the count (short only at the end). -EAGAIN: use `read`.
   */
  readNow(into: Uint8Array, length: number, offset: number): number;
  /** As `readNow`, but `carrier` takes the bytes from the tier's file itself. */
  carryNow(carrier: Carrier, length: number, offset: number): number;
  /**
   * The bytes from the tier through the pool, or from `source`. Chunks for which there is room are fetched whole and kept;
   * concurrent misses of the same are one fetch. Of others only the pages that are asked for are read.
   */
  read(length: number, offset: number, source: ContentSource): Promise<Outcome<ContentBytes>>;
  /**
   * Brings what is missing of a range, for nobody who waits for its bytes, and resolves when it is kept: the bytes that were
   * brought. Joins what is on its way already. ESTALE: the content has changed; ENOSPC: not all of it could be kept.
   */
  fill(length: number, offset: number, source: ContentSource, options?: FillOptions): Promise<Outcome<number>>;
  /**
   * A descriptor of the complete object for the kernel to serve from, or a negated errno. The object is immutable from
   * then on. The caller closes the descriptor. -EAGAIN: it is being checked first; a later open may have it.
   */
  expose(): number;
  /**
   * Whoever holds it only to serve the next open by it says how it is let go: called when its space is wanted. Undefined:
   * it is in use again, which counts as opened once more.
   */
  park(letGo: (() => void) | undefined): void;
  release(): void;
}

export interface TierSnapshot {
  /** DIR of `--cache DIR:SIZE`; `mem`: in memory. */
  path: string;
  /** In use, and allowed. */
  bytes: number;
  sizeBytes: number;
  objects: number;
  /** Reads answered from this tier, and their bytes. */
  hits: number;
  hitBytes: number;
  /** Objects that came to it from slower tiers, and from faster ones. */
  promotions: number;
  promotedBytes: number;
  demotions: number;
  demotedBytes: number;
  /** 'ok', or what is wrong, since when, and what to do. */
  health: string;
}

export interface CacheSnapshot {
  /** Fastest first. What follows is of all of them; an object that two have is one. */
  tiers: TierSnapshot[];
  /** Bytes allowed, in use, and the number of objects. */
  sizeBytes: number;
  usedBytes: number;
  objects: number;
  completeObjects: number;
  /** The others are rows of the index, which nobody uses. */
  objectsInMemory: number;
  /** Memory in which what was brought ahead without room waits for its reader. */
  waitingBytes: number;
  /** Reads answered from the tier, and reads that went to the source; and their bytes. */
  hits: number;
  hitBytes: number;
  misses: number;
  missBytes: number;
  /** Content not taken, by why. */
  refused: Refusals;
  /** What decides, and what it removed to make room. */
  policy: string;
  evictions: number;
  evictedBytes: number;
  pinnedBytes: number;
  /** What is pinned by path or glob, and how much of it is kept. */
  pins: PinSnapshot[];
  /** Of what is in use: bytes of objects that are out of the cache, and that somebody still reads. */
  heldBytes: number;
  /** Chunks of earlier runs that were held against their checksums, and those that were found damaged. */
  checkedChunks: number;
  damagedChunks: number;
  /** The scrub among them. */
  scrub: ScrubSnapshot;
  /** 'ok', or what is wrong with which tier, and since when. */
  health: string;
}

/** What is kept whatever else needs room. */
export interface Pinning {
  readonly pins: Pins;
  /** What pins a file, by where it lies. */
  of(file: string, reader: ContentReader): Pin | undefined;
  /** Has what is kept of a content pinned, when it lies where it is to be. False: it has no room where such content is kept. */
  apply(key: ContentKey, reader: ContentReader): Promise<boolean>;
  /** Resolves to true when all that is kept now is written down, so that another run knows of it; false: that takes too long. */
  noted(): Promise<boolean>;
}

export interface Cache {
  /**
   * The object of this content, made when there is none. Objects of the same file with another version are dropped.
   * Undefined: the content is not cached and will not be (no room, tier unhealthy, a rule): read the source.
   */
  acquire(key: ContentKey, reader?: ContentReader): CachedContent | undefined;
  /** Whether a rule says that nothing of a file is to be kept. What it kept before it had the rule it still has. */
  refuses(file: string, reader: ContentReader): boolean;
  /** Whether the object exists and is complete, without touching it. */
  has(key: ContentKey): boolean;
  /** Bytes of the content that are present, without touching it. */
  presentBytes(key: ContentKey): number;
  /** Whether anything of a file is kept, at whatever version, without touching it. */
  keeps(file: string): boolean;
  /** That can be kept without removing anything, and that can be kept at all; in bytes, of all tiers. */
  freeBytes(): number;
  sizeBytes(): number;
  /** Drops every object of a file. Readers that hold one keep its bytes. */
  drop(file: string): void;
  /** So much of what is free is for what is brought ahead: misses of readers leave it. Replaces what was claimed before. */
  claim(bytes: number): void;
  readonly pinning: Pinning;
  /** Drops a file that nobody reads; resolves when its space is free: so many bytes. 0: it is in use, pinned or not there. */
  give(file: string): Promise<number>;
  /** Of one tier, by its path. Of what is kept beyond a smaller size, what is worth least goes; resolves when it has. */
  resize(tier: string, sizeBytes: number): Promise<void>;
  /** How fast what is kept is read and checked when nobody else reads; 0: not at all. */
  setScrubRate(bytesPerSecond: number): void;
  snapshot(): CacheSnapshot;
  /** Resolves when every row that earlier runs left in the index was looked at. */
  readonly loaded: Promise<void>;
  /** Writes the index out and closes everything. */
  shutdown(): Promise<void>;
}
