/**
 * How many requests ahead of a reader may be under way. Grows while answers take as long as ever and shrinks when they begin to wait
 * for each other, as TCP Vegas does (Brakmo and Peterson, 1995): requests / least time is what the source could do,
 * requests / present time what it does; the difference, times the least time, is how many of them wait in a queue.
 *
 * The time is that which a quarter of the answers of one round stay below, not the mean nor the shortest: a queue holds up all
 * of them alike, but a busy processor, or a source with some slow servers, only some, and that must not look like a queue.
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
const QUANTILE = 1 / 4;
/** Answers of a round: as many as are under way, and enough for a quarter of them to say something. */
const ROUND_LEAST = 16;
/** How fast the least time is forgotten, so that a source that has become slower is not taken for a busy one: by round. */
const FORGET = 1 + 1 / 512;
/** Of those in a queue beyond `shrink`, the share that the window loses at once. */
const SHRINK_SHARE = 1 / 8;

export class AheadWindow {
  readonly #limits: AheadLimits;
  #size: number;
  #leastMs = Number.POSITIVE_INFINITY;
  #round: number[] = [];

  constructor(limits: AheadLimits = LOOK_UPS) {
    this.#limits = limits;
    this.#size = limits.first;
  }

  get size(): number {
    return this.#size;
  }

  /** One request has been answered, after `tookMs`. */
  answered(tookMs: number): void {
    if (this.#round.push(tookMs) < Math.max(this.#size, ROUND_LEAST)) return;
    this.#round.sort((a, b) => a - b);
    const presentMs = Math.max(0.01, this.#round[Math.floor(this.#round.length * QUANTILE)]!);
    this.#round = [];
    this.#leastMs = Math.min(this.#leastMs * FORGET, presentMs);
    const queued = this.#size * (1 - this.#leastMs / presentMs);
    const { least, most, grow, shrink } = this.#limits;
    if (queued < grow) this.#size = Math.min(most, this.#size + grow);
    else if (queued > shrink) {
      this.#size = Math.max(least, this.#size - 1 - Math.floor((queued - shrink) * SHRINK_SHARE));
    }
  }
}
