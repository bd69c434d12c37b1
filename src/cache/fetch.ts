/** A run of chunks on its way from the source: every reader that needs one of them waits for this, and for no other. */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { ChunkBuffer } from './buffers.ts';
import type { ContentSource } from './cache.ts';

export const PAGE_BYTES = 4096;

/** Reads what a fetch is to bring into a buffer of whole pages; the bytes that came. */
export async function arrive(
  source: ContentSource,
  into: Uint8Array,
  length: number,
  offset: number,
): Promise<Outcome<number>> {
  const pages = Math.min(into.length, Math.ceil(length / PAGE_BYTES) * PAGE_BYTES);
  const count = await source.read(into, pages, offset);
  if (failed(count)) return count;
  const useful = Math.min(count, length);
  // The end of a file that has become shorter, or of one whose store lies: a file cut short is no answer.
  const same = useful < length && (await source.unchanged());
  if (failed(same)) return same;
  return same ? -Errno.EIO : useful;
}

export class Fetch {
  readonly firstChunk: number;
  readonly lastChunk: number;
  /** Where it begins in the file, and how long it is, in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly buffer: ChunkBuffer;
  /** Bytes that came (fewer than `length` when the file has become shorter), or why none did. */
  readonly arrived: Promise<Outcome<number>>;
  /** Bytes that are in the buffer by now. */
  arrivedBytes = 0;
  /** Room for it in the tier is taken already; who stores it, or cannot, takes that over. */
  hasRoom = false;
  /** Bytes of it that the tier has when all is done; 0: they could not be kept. Fails as `arrived`; never rejects. */
  kept: Promise<Outcome<number>> = Promise.resolve(0);

  constructor(
    firstChunk: number,
    lastChunk: number,
    offset: number,
    length: number,
    buffer: ChunkBuffer,
    arrived: Promise<Outcome<number>>,
  ) {
    this.firstChunk = firstChunk;
    this.lastChunk = lastChunk;
    this.offset = offset;
    this.length = length;
    this.buffer = buffer;
    this.arrived = arrived;
  }
}
