/**
 * How many requests ahead of a reader may be under way. Grows while answers take as long as ever and shrinks when they begin to wait
 * for each other, as TCP Vegas does (Brakmo and Peterson, 1995): requests / shortest time is what the source could do,
 * requests / present time what it does; the difference, times the shortest time, is how many of them wait in a queue.
 */

/** In requests. */
export interface AheadLimits {
  first: number;
  least: number;
  most: number;
  /** That may wait in a queue: with fewer the window grows, by as many, and with more than `shrink` it shrinks. */
  grow: number;
  shrink: number;
}

/** For look-ups: of the 48 calls under way at once on one source (store/posix/lane.ts) eight are left for who waits. */
const LOOK_UPS: AheadLimits = { first: 16, least: 4, most: 40, grow: 4, shrink: 16 };
/** The share of each answer in the present time. */
const SHARE = 1 / 16;
/** How fast the shortest time is forgotten, so that a source that has become slower is not taken for a busy one: by answer. */
const FORGET = 1 + 1 / 4096;

export class AheadWindow {
  readonly #limits: AheadLimits;
  #size: number;
  #shortestMs = Number.POSITIVE_INFINITY;
  #presentMs = 0;
  #answers = 0;

  constructor(limits: AheadLimits = LOOK_UPS) {
    this.#limits = limits;
    this.#size = limits.first;
  }

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
    const { least, most, grow, shrink } = this.#limits;
    if (queued < grow) this.#size = Math.min(most, this.#size + grow);
    else if (queued > shrink) this.#size = Math.max(least, this.#size - 1);
  }
}
