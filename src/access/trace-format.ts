/**
 * Traces: who opened and read what when. docs/TRACE.md has the format byte by byte; this is its vocabulary, the encoder
 * (trace-encoder.ts) and the reader (trace-reader.ts) share it.
 *
 *   file     MAGIC, length of the header, its checksum, header (JSON);  then blocks;  the last block says how it ended
 *   block    marker, number, lengths, time, checksums (32 bytes of head), then records
 *   record   one byte of kind and flags, then variable-length numbers
 *
 * Every block can be decoded without those before it, save that names (of files, processes, handles) are told once.
 */
import type { Way } from './observer.ts';

export const MAGIC = 'MLOTRACE';
export const SCHEMA = 1;

/** Markers, as 32-bit little-endian numbers: "MLOB" and "MLOE". */
export const BLOCK_MARKER = 0x424f4c4d;
export const END_MARKER = 0x454f4c4d;

/** Where things are in a block's head. */
export const Head = {
  MARKER: 0,
  NUMBER: 4,
  PAYLOAD_BYTES: 8,
  EVENTS: 12,
  TIME_LOW: 16,
  TIME_HIGH: 20,
  PAYLOAD_SUM: 24,
  HEAD_SUM: 28,
  BYTES: 32,
} as const;

/** A block is written at once and checked at once; what claims to be longer is damage. */
export const PAYLOAD_MOST: number = 1 << 20;
export const HEADER_MOST: number = 64 * 1024;
/** Longer paths are cut: a record must fit in a block. */
export const PATH_MOST = 4096;

/** The low three bits of a record's first byte. */
export const Kind = { FILE: 0, THREAD: 1, OPEN: 2, READ: 3, WRITE: 4, RELEASE: 5, LOST: 6 } as const;

/** The others. SAME_THREAD: of OPEN, READ and WRITE. */
export const Flag = {
  SAME_THREAD: 0x08,
  /** OPEN: two bits of way, kept pages, and whether a byte of more flags follows. */
  WAY_SHIFT: 4,
  KEPT_PAGES: 0x40,
  MORE: 0x80,
  /** READ and WRITE: goes on where the last one of this block ended, on the same handle. */
  FOLLOWS: 0x10,
  FROM_TIER: 0x20,
  /** The offset is in units of 4096. */
  PAGES: 0x40,
  /** There is an errno in place of the count. */
  FAILED: 0x80,
} as const;
export const More = { WRITES: 1, BEFORE: 2 } as const;
export const PAGE = 4096;

export const WAYS: readonly Way[] = ['source', 'source-passthrough', 'tier', 'tier-passthrough'];

export interface TraceHeader {
  schema: number;
  /** ISO 8601; time 0 of the events. */
  startedAt: string;
  mountpoint: string;
  source: string;
  version: string;
}

export type EndReason = 'stopped' | 'seconds' | 'size' | 'unmounted' | 'error';

export interface TraceEnd {
  reason: EndReason;
  /** What went wrong, for `error`. */
  message?: string;
  events: number;
  lost: number;
  /** From time 0, in seconds. */
  seconds: number;
}

/** A content generation of a file. The same path under another `node` with the same `content` is the same content. */
export interface TracedFile {
  readonly node: number;
  /** A hash of the content's version. */
  readonly content: number;
  /** Below the mount's root, as a byte string. */
  readonly path: string;
}

export interface TracedThread {
  readonly thread: number;
  /** Its process; null: it could not be seen. */
  readonly pid: number | null;
  readonly command: string;
}

interface Timed {
  /** When it was answered, in microseconds from the start of the recording. Never less than that of the event before. */
  readonly atUs: number;
}

interface Asked extends Timed {
  /** How long the answer took: it was asked for at `atUs - waitUs`. */
  readonly waitUs: number;
  /** Undefined: it was told of in a part of the file that is damaged. */
  readonly by: TracedThread | undefined;
  readonly handle: number;
  readonly file: TracedFile | undefined;
}

export interface TracedOpen extends Asked {
  readonly kind: 'open';
  /** Of the file, in bytes. */
  readonly size: number;
  readonly way: Way;
  readonly keptPages: boolean;
  readonly writes: boolean;
  /** It was open when the recording began (or when it went on after a loss); found by its first read or write since. */
  readonly before: boolean;
}

export interface TracedTransfer extends Asked {
  readonly kind: 'read' | 'write';
  readonly offset: number;
  /** Bytes answered; 0 when it failed. */
  readonly count: number;
  /** For reads. */
  readonly from: 'store' | 'tier';
  /** 0, or why it failed. */
  readonly errno: number;
}

export interface TracedRelease extends Timed {
  readonly kind: 'release';
  readonly handle: number;
  readonly file: TracedFile | undefined;
}

/** Events that the disk was too slow for. */
export interface TracedLoss extends Timed {
  readonly kind: 'lost';
  readonly count: number;
}

export type TraceEvent = TracedOpen | TracedTransfer | TracedRelease | TracedLoss;

/** A part of a trace that cannot be read. */
export interface TraceDamage {
  /** Where, in bytes from the start of the file. */
  readonly at: number;
  readonly message: string;
}
