/**
 * How many look-ups ahead may be under way. Grows while answers take as long as ever and shrinks when they begin to wait
 * for each other, as TCP Vegas does (Brakmo and Peterson, 1995): requests / shortest time is what the source could do,
 * requests / present time what it does; the difference, times the shortest time, is how many of them wait in a queue.
 */

/** Of the 48 calls that may be under way at once on one source (see store/posix/lane.ts): eight are left for who waits. */
const MOST = 40;
const LEAST = 4;
/** Requests that may wait in a queue: with fewer the window grows, with more it shrinks. */
const ALPHA = 4;
const BETA = 16;
/** The share of each answer in the present time. */
const SHARE = 1 / 16;
/** How fast the shortest time is forgotten, so that a source that has become slower is not taken for a busy one: by answer. */
const FORGET = 1 + 1 / 4096;

export class AheadWindow {
  #size = 16;
  #shortestMs = Number.POSITIVE_INFINITY;
  #presentMs = 0;
  #answers = 0;

  get size(): number {
    return this.#size;
  }

  /** One request has been answered, after `tookMs`. */
  answered(tookMs: number): void {
    this.#shortestMs = Math.max(0.01, Math.min(this.#shortestMs * FORGET, tookMs));
    this.#presentMs = this.#presentMs === 0 ? tookMs : this.#presentMs + (tookMs - this.#presentMs) * SHARE;
    if (++this.#answers < this.#size) return; // once for as many as are under way
    this.#answers = 0;
    const queued = this.#size * (1 - this.#shortestMs / this.#presentMs);
    if (queued < ALPHA) this.#size = Math.min(MOST, this.#size + ALPHA);
    else if (queued > BETA) this.#size = Math.max(LEAST, this.#size - 1);
  }
}
