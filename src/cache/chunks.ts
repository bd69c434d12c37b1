/**
 * What is known of the chunks of one object: which are present, the checksum of each (CRC-32, zlib's: 57 us for 256 KiB),
 * and which are trusted. A chunk this process stored is trusted; one that an earlier process left is not, until its bytes
 * were held against its checksum.
 */
import { crc32 } from 'node:zlib';
import { ChunkMap } from './chunk-map.ts';

/** Checksums as they are kept: a number for one chunk (most files: an array would be ten times the size), else a list. */
export type Sums = number | Uint32Array;

export class Chunks {
  readonly count: number;
  /** Undefined: every chunk is present. */
  #present: ChunkMap | undefined;
  #sums: Sums;
  /** Which present chunks are trusted. */
  #trusted: ChunkMap | 'all' | 'none';

  private constructor(count: number, present: ChunkMap | undefined, sums: Sums, trusted: 'all' | 'none') {
    this.count = count;
    this.#present = present;
    this.#sums = sums;
    this.#trusted = trusted;
  }

  /** Of a new object: nothing is there. */
  static none(count: number): Chunks {
    const present = count === 0 ? undefined : new ChunkMap(count);
    return new Chunks(count, present, count === 1 ? 0 : new Uint32Array(count), 'all');
  }

  /** Of an object that is resumed; undefined when what is stored cannot belong to so many chunks. */
  static stored(count: number, present: Uint8Array | null, sums: number | Uint8Array): Chunks | undefined {
    if (present !== null && present.length !== (count + 7) >> 3) return undefined;
    const map = present === null ? undefined : new ChunkMap(count, present);
    if (typeof sums === 'number') return count === 1 ? new Chunks(count, map, sums, 'none') : undefined;
    if (sums.length !== count * 4) return undefined;
    return new Chunks(count, map, new Uint32Array(new Uint8Array(sums).buffer), 'none');
  }

  get complete(): boolean {
    return this.#present === undefined;
  }

  has(chunk: number): boolean {
    return this.#present === undefined || this.#present.has(chunk);
  }

  /** Whether all of first..last are present. */
  covers(first: number, last: number): boolean {
    return this.#present === undefined || this.#present.covers(first, last);
  }

  get trustsAll(): boolean {
    return this.#trusted === 'all';
  }

  get trustsNone(): boolean {
    return this.#trusted === 'none';
  }

  /** What is present was found to be right before it was stored. */
  trustAll(): void {
    this.#trusted = 'all';
  }

  /** Whether all of first..last, which are present, are trusted. */
  trusts(first: number, last: number): boolean {
    if (typeof this.#trusted === 'string') return this.#trusted === 'all';
    return this.#trusted.covers(first, last);
  }

  sum(chunk: number): number {
    return typeof this.#sums === 'number' ? this.#sums : this.#sums[chunk]!;
  }

  /** The bytes of a chunk were stored just now. */
  put(chunk: number, sum: number): void {
    if (typeof this.#sums === 'number') this.#sums = sum;
    else this.#sums[chunk] = sum;
    this.#present?.set(chunk);
    if (this.#present?.full === true) this.#present = undefined;
    this.trust(chunk);
  }

  /** Its bytes were found to be those of its checksum. */
  trust(chunk: number): void {
    if (this.#trusted === 'all') return;
    if (this.#trusted === 'none') this.#trusted = new ChunkMap(this.count);
    this.#trusted.set(chunk);
    if (this.#trusted.full) this.#trusted = 'all';
  }

  /** Its bytes are not what they were: it is absent from now on. What else its file holds has to be checked again. */
  lose(chunk: number): void {
    this.#present ??= full(this.count);
    this.#present.clear(chunk);
    this.#trusted = 'none';
  }

  /** The map of what is present as it is stored: null when everything is. */
  storedMap(): Uint8Array | null {
    return this.#present?.bytes() ?? null;
  }

  storedSums(): number | Uint8Array {
    if (typeof this.#sums === 'number') return this.#sums;
    return new Uint8Array(this.#sums.slice().buffer);
  }
}

function full(count: number): ChunkMap {
  const map = new ChunkMap(count);
  for (let chunk = 0; chunk < count; chunk++) map.set(chunk);
  return map;
}

/** The checksum of bytes; `before`: that of the bytes in front of them. */
export function checksum(bytes: Uint8Array, before = 0): number {
  return crc32(bytes, before);
}
