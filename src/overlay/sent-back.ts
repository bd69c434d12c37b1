/**
 * Threads whose OPEN was answered ESTALE. The kernel then looks the name up again and opens what it finds, once: if that
 * is answered ESTALE too, the program sees it. So whoever is on its way back is served by any way that is right.
 */

/** Longer ago, it went elsewhere: the name was gone. */
const AWAITED_MS = 1000;
const AWAITED_MOST = 4096;

export class SentBack {
  readonly #atMs = new Map<number, number>();

  /** `thread`: 0 is nobody's. */
  sent(thread: number, nowMs: number): void {
    if (thread === 0) return;
    if (this.#atMs.size >= AWAITED_MOST) this.#atMs.clear();
    this.#atMs.set(thread, nowMs);
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
