/**
 * Buffers for chunks on their way from the source to a reader and to the tier. Aligned to pages, so that a source can be
 * read with O_DIRECT; counted, because they are in use twice (reply and tier); bounded, because a tier slower than the
 * source must not fill the memory.
 *
 * A buffer that is let go of is memory only when V8 has collected its garbage, and V8 collects when there is much of it: readers
 * of large files would have it go through the whole heap several times a second. So what was in use is kept while it may be
 * in use again.
 */
import { addressOf } from '../sys/libc.ts';

const PAGE = 4096;
const SMALLEST = 64 * 1024;
/** Kept for the next fetch, however long there is none. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** Of more as much as was in use at once within the last one or two of these; the rest goes back to the system. */
const PERIOD_MS = 2000;

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
  /** The most in use at once, in this period and in the one before. */
  #usedMostBytes = 0;
  #usedMostBeforeBytes = 0;
  #periods: NodeJS.Timeout | undefined;

  constructor(budgetBytes: number) {
    this.#budget = budgetBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** What nobody uses, for whoever comes next. */
  get keptBytes(): number {
    return this.#keptBytes;
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
    this.#usedMostBytes = Math.max(this.#usedMostBytes, this.#usedBytes);
    const kept = this.#free.get(capacity)?.pop();
    if (kept === undefined) return new ChunkBuffer(this, aligned(capacity));
    this.#keptBytes -= capacity;
    return new ChunkBuffer(this, kept);
  }

  giveBack(bytes: Uint8Array): void {
    const capacity = bytes.length;
    this.#usedBytes -= capacity;
    if (this.#keptBytes + capacity > this.#keptMostBytes) return;
    this.#keptBytes += capacity;
    const list = this.#free.get(capacity);
    if (list === undefined) this.#free.set(capacity, [bytes]);
    else list.push(bytes);
    if (this.#keptBytes > KEPT_BYTES) this.#periods ??= setInterval(() => this.#periodEnds(), PERIOD_MS).unref();
  }

  get #keptMostBytes(): number {
    return Math.max(KEPT_BYTES, Math.max(this.#usedMostBytes, this.#usedMostBeforeBytes) - this.#usedBytes);
  }

  #periodEnds(): void {
    this.#usedMostBeforeBytes = this.#usedMostBytes;
    this.#usedMostBytes = this.#usedBytes;
    for (const [capacity, list] of this.#free) {
      while (list.length > 0 && this.#keptBytes > this.#keptMostBytes) {
        list.pop();
        this.#keptBytes -= capacity;
      }
    }
    if (this.#keptBytes > KEPT_BYTES) return;
    clearInterval(this.#periods);
    this.#periods = undefined;
  }
}

function aligned(capacity: number): Uint8Array {
  const memory = new Uint8Array(capacity + PAGE);
  const past = addressOf(memory) % PAGE;
  const start = past === 0 ? 0 : PAGE - past;
  return memory.subarray(start, start + capacity);
}
