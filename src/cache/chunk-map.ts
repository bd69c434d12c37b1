/** A set of chunks of an object (those present, those checked): a bit each. */
export class ChunkMap {
  readonly #bits: Uint8Array;
  readonly chunks: number;
  #present = 0;

  /** `stored`: the bits as `bytes` gave them, for an object that is resumed. */
  constructor(chunks: number, stored?: Uint8Array) {
    this.chunks = chunks;
    this.#bits = new Uint8Array((chunks + 7) >> 3);
    if (stored === undefined) return;
    this.#bits.set(stored.subarray(0, this.#bits.length));
    for (let chunk = 0; chunk < chunks; chunk++) if (this.has(chunk)) this.#present++;
  }

  get present(): number {
    return this.#present;
  }

  get full(): boolean {
    return this.#present === this.chunks;
  }

  has(chunk: number): boolean {
    return (this.#bits[chunk >> 3]! & (1 << (chunk & 7))) !== 0;
  }

  /** Whether all of first..last are present. */
  covers(first: number, last: number): boolean {
    for (let chunk = first; chunk <= last; chunk++) if (!this.has(chunk)) return false;
    return true;
  }

  set(chunk: number): void {
    if (this.has(chunk)) return;
    this.#bits[chunk >> 3]! |= 1 << (chunk & 7);
    this.#present++;
  }

  clear(chunk: number): void {
    if (!this.has(chunk)) return;
    this.#bits[chunk >> 3]! &= ~(1 << (chunk & 7));
    this.#present--;
  }

  bytes(): Uint8Array {
    return this.#bits.slice();
  }
}
