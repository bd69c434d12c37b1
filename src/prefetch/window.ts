/**
 * How many requests ahead of a reader may be under way. Grows while answers take as long as ever and shrinks when they begin to
 * wait for each other, as TCP Vegas does (Brakmo and Peterson, 1995): requests / least time is what the source could do,
 * requests / present time what it does; the difference, times the least time, is how many of them wait in a queue. Until some
 * do it doubles (slow start). A queue of half of them, which doubles the time of an answer, is borne: a processor that is
 * shared with the readers delays answers by as much, and a window that gave way to that would leave the source idle (for the
 * same reason Netflix's Gradient2, concurrency-limits, 2018, bears 1.5 times).
 *
 * The time is that which a quarter of the answers of one round stay below, not the mean nor the shortest: a queue holds up all
 * of them alike, but a busy processor, or a source with some slow servers, only some, and that must not look like a queue.
 */

/** In requests. */
export interface AheadLimits {
  first: number;
  least: number;
  most: number;
  /** That may wait in a queue in any case: with fewer the window grows, by as many, and with more than `shrink` it may shrink. */
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
/** Of those under way the share in a queue below which the window grows, and beyond which it shrinks. */
const GROW_BELOW = 1 / 4;
const SHRINK_FROM = 1 / 2;
/** Of those in a queue beyond that, the share that the window loses at once. */
const LOST_SHARE = 1 / 8;

export class AheadWindow {
  readonly #limits: AheadLimits;
  #size: number;
  #doubles = true;
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
    const { least, grow, shrink } = this.#limits;
    const most = Math.max(shrink, this.#size * SHRINK_FROM);
    if (queued < Math.max(grow, this.#size * GROW_BELOW)) {
      this.#size = Math.min(this.#limits.most, this.#doubles ? 2 * this.#size : this.#size + grow);
      return;
    }
    this.#doubles = false;
    if (queued > most) this.#size = Math.max(least, this.#size - 1 - Math.floor((queued - most) * LOST_SHARE));
  }
}
