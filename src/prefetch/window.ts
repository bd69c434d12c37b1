/**
 * How many requests ahead of a reader may be under way. Grows while answers take as long as ever and shrinks when they begin to
 * wait for each other, as TCP Vegas does (Brakmo and Peterson, 1995): requests / least time is what the source could do,
 * requests / present time what it does; the difference, times the least time, is how many of them wait in a queue. Until some
 * do it doubles (slow start), as long as half of it is in use: what was not tried is not known (RFC 7661). A queue of half of
 * them, which doubles the time of an answer, is borne: a processor that is shared with the readers delays answers by as much,
 * and a window that gave way to that would leave the source idle (for the same reason Netflix's Gradient2, concurrency-limits,
 * 2018, bears 1.5 times).
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
  /**
   * Readers, who wait in the same queue, shall hardly notice: little of it is borne, it does not double, and the least time is
   * not forgotten, since while it is a queue slowly grows. Default: no.
   */
  careful?: boolean;
}

/** For look-ups: of the 192 calls under way at once on one source (store/posix/lane.ts) most are for bytes and for who waits. */
const LOOK_UPS: AheadLimits = { first: 16, least: 4, most: 40, grow: 4, shrink: 16 };
const QUANTILE = 1 / 4;
/** Answers of a round: as many as are under way, and enough for a quarter of them to say something. */
const ROUND_LEAST = 16;
/** How fast the least time is forgotten, so that a source that has become slower is not taken for a busy one: by round. */
const FORGET = 1 + 1 / 512;
/** Of those under way the share that may be in a queue; below half of that the window grows. */
const BEARS = 1 / 2;
const BEARS_CAREFUL = 1 / 8;
/** Of a window, as TCP's slow start has it: with less under way nothing is found out about more. */
const IN_USE = 1 / 2;
/** Of those in a queue beyond that, the share that the window loses at once. */
const LOST_SHARE = 1 / 8;

export class AheadWindow {
  readonly #limits: AheadLimits;
  readonly #bears: number;
  readonly #forget: number;
  #size: number;
  #doubles: boolean;
  #leastMs = Number.POSITIVE_INFINITY;
  #presentMs = 0;
  #round: number[] = [];
  /** The most that were under way in this round. */
  #underWay = 0;

  constructor(limits: AheadLimits = LOOK_UPS) {
    const { first, careful = false } = limits;
    this.#limits = limits;
    this.#bears = careful ? BEARS_CAREFUL : BEARS;
    this.#forget = careful ? 1 : FORGET;
    this.#doubles = !careful;
    this.#size = first;
  }

  get size(): number {
    return this.#size;
  }

  /** What an answer takes, by the last round; in the first one, the shortest yet. 0: not known yet. */
  get presentMs(): number {
    return this.#presentMs;
  }

  /** One request has been answered, after `tookMs`; with it there were `underWay`. */
  answered(tookMs: number, underWay: number): void {
    this.#underWay = Math.max(this.#underWay, underWay);
    if (this.#leastMs === Number.POSITIVE_INFINITY) this.#presentMs = Math.min(this.#presentMs || tookMs, tookMs);
    if (this.#round.push(tookMs) < Math.max(Math.min(this.#size, this.#underWay), ROUND_LEAST)) return;
    this.#round.sort((a, b) => a - b);
    this.#presentMs = Math.max(0.01, this.#round[Math.floor(this.#round.length * QUANTILE)]!);
    this.#round = [];
    const underWayThen = Math.min(this.#underWay, this.#size);
    this.#underWay = 0;
    this.#leastMs = Math.min(this.#leastMs * this.#forget, this.#presentMs);
    this.#turn(underWayThen, underWayThen * (1 - this.#leastMs / this.#presentMs));
  }

  /** So many were under way at most in a round, and of those so many waited for others. */
  #turn(underWay: number, queued: number): void {
    const { least, most, grow, shrink } = this.#limits;
    const borne = underWay * this.#bears;
    if (queued < Math.max(grow, borne / 2)) {
      if (underWay < this.#size * IN_USE) return;
      this.#size = Math.min(most, this.#doubles ? 2 * this.#size : this.#size + grow);
      return;
    }
    const tooMany = queued - Math.max(shrink, borne);
    if (tooMany > 0) {
      // What the last doubling has put into the queue leaves it at once.
      const lost = this.#doubles ? this.#size - underWay + tooMany : 1 + tooMany * LOST_SHARE;
      this.#size = Math.max(least, this.#size - Math.floor(lost));
    }
    this.#doubles = false;
  }
}
