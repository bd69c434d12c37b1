/**
 * Buffers for chunks on their way from the source to a reader and to the tier. Aligned to pages, so that a source can be
 * read with O_DIRECT; counted, because they are in use twice (reply and tier); bounded, because a tier slower than the
 * source must not fill the memory.
 */
import { addressOf } from '../sys/libc.ts';

const PAGE = 4096;
const SMALLEST = 64 * 1024;
/** Kept for the next fetch; the rest goes back to the system. */
const KEPT_BYTES = 8 * 1024 * 1024;

export class ChunkBuffer {
  readonly bytes: Uint8Array;
  readonly #pool: BufferPool;
  #uses = 1;

  constructor(pool: BufferPool, bytes: Uint8Array) {
    this.#pool = pool;
    this.bytes = bytes;
  }

  retain(): void {
    this.#uses++;
  }

  release(): void {
    this.#uses--;
    if (this.#uses === 0) this.#pool.giveBack(this.bytes);
  }
}

export class BufferPool {
  readonly #budget: number;
  readonly #free = new Map<number, Uint8Array[]>();
  #keptBytes = 0;
  #usedBytes = 0;

  constructor(budgetBytes: number) {
    this.#budget = budgetBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** More is in use than the budget: what is read now should not be held back for the tier as well. */
  get exhausted(): boolean {
    return this.#usedBytes >= this.#budget;
  }

  /** A page-aligned buffer of at least `size` bytes, rounded up to whole pages; used once. */
  take(size: number): ChunkBuffer {
    let capacity = SMALLEST;
    while (capacity < size) capacity *= 2;
    this.#usedBytes += capacity;
    const kept = this.#free.get(capacity)?.pop();
    if (kept === undefined) return new ChunkBuffer(this, aligned(capacity));
    this.#keptBytes -= capacity;
    return new ChunkBuffer(this, kept);
  }

  giveBack(bytes: Uint8Array): void {
    const capacity = bytes.length;
    this.#usedBytes -= capacity;
    if (this.#keptBytes + capacity > KEPT_BYTES) return;
    this.#keptBytes += capacity;
    const list = this.#free.get(capacity);
    if (list === undefined) this.#free.set(capacity, [bytes]);
    else list.push(bytes);
  }
}

function aligned(capacity: number): Uint8Array {
  const memory = new Uint8Array(capacity + PAGE);
  const past = addressOf(memory) % PAGE;
  const start = past === 0 ? 0 : PAGE - past;
  return memory.subarray(start, start + capacity);
}
