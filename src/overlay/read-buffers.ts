/**
 * Buffers for reads that are answered later, used again and again: a fresh megabyte a read would be zeroed and collected.
 * Aligned to pages: a megabyte that lies across one page more is two requests to a FUSE source read with O_DIRECT.
 */
import { addressOf } from '../sys/libc.ts';

const PAGE = 4096;
const SMALLEST_BYTES = 16 * 1024;
/** What is kept for the next read, unless said. Buffers beyond it are left to the garbage collector. */
const KEPT_BYTES = 8 * 1024 * 1024;

export class ReadBuffers {
  readonly #free = new Map<number, Uint8Array[]>();
  readonly #keptMost: number;
  #keptBytes = 0;

  constructor(keptMost: number = KEPT_BYTES) {
    this.#keptMost = keptMost;
  }

  /** A buffer of at least `size` bytes (a power of two). */
  take(size: number): Uint8Array {
    let capacity = SMALLEST_BYTES;
    while (capacity < size) capacity *= 2;
    const buffer = this.#free.get(capacity)?.pop();
    if (buffer === undefined) return aligned(capacity);
    this.#keptBytes -= capacity;
    return buffer;
  }

  give(buffer: Uint8Array): void {
    if (this.#keptBytes + buffer.length > this.#keptMost) return;
    this.#keptBytes += buffer.length;
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}

function aligned(capacity: number): Uint8Array {
  const memory = Buffer.allocUnsafeSlow(capacity + PAGE);
  const past = addressOf(memory) % PAGE;
  const start = past === 0 ? 0 : PAGE - past;
  return memory.subarray(start, start + capacity);
}
