/** A run of chunks on its way from the source: every reader that needs one of them waits for this, and for no other. */
import type { Outcome } from '../sys/errno.ts';
import type { ChunkBuffer } from './buffers.ts';

export class Fetch {
  readonly firstChunk: number;
  readonly lastChunk: number;
  /** Where it begins in the file, and how long it is, in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly buffer: ChunkBuffer;
  /** Bytes that came (fewer than `length` when the file has become shorter), or why none did. */
  readonly arrived: Promise<Outcome<number>>;
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
