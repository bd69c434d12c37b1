/**
 * Threads that were answered ESTALE. The kernel then walks the path again and does once more what it was to do, once: if
 * that is answered ESTALE too, the program sees it. So what made a thread fail does not lead it there again (metadata.ts),
 * and one that comes back to open is served by any way that is right (open.ts).
 */

/** Longer ago, it went elsewhere: the name was gone. */
const AWAITED_MS = 1000;
const AWAITED_MOST = 4096;

export class SentBack {
  readonly #atMs = new Map<number, number>();

  /** `thread`: 0 is nobody's. */
  sent(thread: number, nowMs: number): void {
    if (thread === 0) return;
    this.#atMs.delete(thread); // to the end of the row
    this.#atMs.set(thread, nowMs);
    if (this.#atMs.size <= AWAITED_MOST) return;
    for (const oldest of this.#atMs.keys()) {
      this.#atMs.delete(oldest);
      break;
    }
  }

  /** When a thread that is expected back was sent (monotonic ms). */
  sentAtMs(thread: number, nowMs: number): number | undefined {
    if (this.#atMs.size === 0) return undefined;
    const atMs = this.#atMs.get(thread);
    return atMs !== undefined && nowMs - atMs <= AWAITED_MS ? atMs : undefined;
  }

  /** It has come back, and its open is answered otherwise. */
  served(thread: number): void {
    if (this.#atMs.size > 0) this.#atMs.delete(thread);
  }
}
