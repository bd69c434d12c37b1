/**
 * Strides: places that one reader jumps to, again and again at the same distances. The steps repeat with some period: one for a
 * constant stride; more for nested strides (the columns of a tile, then the next row of tiles) and for readers that take turns on
 * one descriptor. As in Leap (Al Maruf and Chowdhury, USENIX ATC 2020) the majority of the last steps decides and not the last
 * alone, so that a read of something else in between does not end it.
 *
 * A stride backward of no more than what is read at each place is reading backward.
 */

const JUMPS = 32;
/** Jumps looked at: one that is withdrawn has cost the place of the oldest. */
const KNOWN = JUMPS - 1;
const PERIOD_MOST = 8;
/** Of the last steps so many must be what they were a period before. */
const AGREE_SHARE = 3 / 4;
const LOOKED_LEAST = 4;
const OUTGROWN = 2;
/** Places are seen in whole pages, so steps that are no multiple of a page differ by one. */
const JITTER_BYTES = 4096;

/** A place that a stride leads to. */
export interface Place {
  offset: number;
  length: number;
}

export class Strides {
  readonly #starts = new Float64Array(JUMPS);
  readonly #lengths = new Float64Array(JUMPS);
  /** Jumps so far; the last `JUMPS` of them are known. */
  jumps = 0;
  /** Steps after which they repeat; 0: they do not. */
  period = 0;
  /** What a period comes to, in bytes; the mean, so that pages do not add up. */
  #perPeriod = 0;
  /** Steps are multiples of a page: places are known to the byte. */
  #exact = true;
  /** Counts from 1: the last jump was where the stride led. */
  expected = 0;

  /** A jump to `offset`, where `size` is read for now. */
  jumped(offset: number, size: number): void {
    const foretold = this.period > 0 && this.#near(offset, this.#start(1));
    this.#starts[this.jumps % JUMPS] = offset;
    this.#lengths[this.jumps % JUMPS] = size;
    this.jumps++;
    this.expected = foretold ? this.expected + 1 : 0;
    if (!foretold || this.expected < KNOWN) this.#find();
    else this.#settle(this.period);
  }

  /** The last jump goes on: what was read there is longer, and begins at `offset` now, where it goes on backward. */
  wentOn(offset: number, length: number): void {
    if (this.jumps === 0) return;
    const last = this.#index(this.jumps - 1);
    this.#starts[last] = offset;
    this.#lengths[last] = length;
  }

  /** The last jump was none. */
  withdraw(): void {
    if (this.jumps === 0) return;
    this.jumps--;
    this.#find();
  }

  /** Where it jumped to last, far more is read than was a period before. */
  get outgrown(): boolean {
    if (this.period === 0) return false;
    const last = this.jumps - 1;
    return this.#lengths[this.#index(last)]! > OUTGROWN * Math.max(JITTER_BYTES, this.#lengthBefore(last));
  }

  /** Backward, each place right before the last. */
  get backward(): boolean {
    return this.period === 1 && this.#perPeriod < 0 && -this.#perPeriod <= this.#longest() + JITTER_BYTES;
  }

  /** The step, in bytes; the mean of a period. */
  get stepBytes(): number {
    return this.period === 0 ? 0 : this.#perPeriod / this.period;
  }

  /** Where the `nth` jump from now leads (1: the next one), into `place`. False: nobody knows. */
  foretell(nth: number, place: Place): boolean {
    if (this.period === 0) return false;
    const before = this.#index(this.#phase(nth));
    place.offset = this.#start(nth);
    // The last one may not be at its end yet.
    place.length = Math.max(this.#lengths[before]!, this.#lengthBefore(this.#phase(nth)));
    if (this.#exact) return true;
    place.offset = Math.floor(place.offset / JITTER_BYTES) * JITTER_BYTES;
    place.length += JITTER_BYTES;
    return true;
  }

  #index(jump: number): number {
    return jump % JUMPS;
  }

  /** The jump a period or more before the `nth` from now. */
  #phase(nth: number): number {
    return this.jumps - this.period + ((nth - 1) % this.period);
  }

  #start(nth: number): number {
    return this.#starts[this.#index(this.#phase(nth))]! + this.#perPeriod * (1 + Math.floor((nth - 1) / this.period));
  }

  #lengthBefore(jump: number): number {
    const before = jump - this.period;
    return before < 0 || before < this.jumps - KNOWN ? 0 : this.#lengths[this.#index(before)]!;
  }

  #longest(): number {
    let longest = 0;
    for (let nth = 1; nth <= Math.min(2, this.jumps); nth++) {
      longest = Math.max(longest, this.#lengths[this.#index(this.jumps - nth)]!);
    }
    return longest;
  }

  #step(jump: number): number {
    return this.#starts[this.#index(jump)]! - this.#starts[this.#index(jump - 1)]!;
  }

  #near(one: number, other: number): boolean {
    return Math.abs(one - other) <= JITTER_BYTES;
  }

  #find(): void {
    for (let period = 1; period <= PERIOD_MOST; period++) {
      if (!this.#repeats(period)) continue;
      this.#settle(period);
      return;
    }
    this.period = 0;
  }

  /** Whether most of the steps are what they were a period before, and the last of them is. */
  #repeats(period: number): boolean {
    const first = Math.max(1, this.jumps - KNOWN + 1) + period;
    const compared = this.jumps - first;
    const least = period === 1 ? 1 : period + 1;
    if (compared < least) return false;
    const looked = Math.min(compared, Math.max(LOOKED_LEAST, 2 * period));
    let agree = 0;
    let moved = false;
    for (let back = 0; back < looked; back++) {
      const jump = this.jumps - 1 - back;
      const step = this.#step(jump);
      if (this.#near(step, this.#step(jump - period))) agree++;
      else if (back === 0) return false;
      if (Math.abs(step) > JITTER_BYTES) moved = true;
    }
    return moved && agree >= least && agree >= looked * AGREE_SHARE;
  }

  /** Takes the mean of as many periods as agree to the last. */
  #settle(period: number): void {
    let periods = 0;
    let last = this.jumps - 1;
    const newest = this.#starts[this.#index(last)]!;
    let oldest = newest;
    let exact = true;
    const whole = newest - (this.#starts[this.#index(last - period)] ?? 0);
    while (last - period >= Math.max(0, this.jumps - KNOWN)) {
      const before = this.#starts[this.#index(last - period)]!;
      const step = this.#starts[this.#index(last)]! - before;
      if (!this.#near(step, whole)) break;
      if (step !== whole) exact = false;
      oldest = before;
      periods++;
      last -= period;
    }
    this.period = periods === 0 ? 0 : period;
    this.#perPeriod = periods === 0 ? 0 : (newest - oldest) / periods;
    this.#exact = exact;
  }
}
