/**
 * Ahead of a stride: the places it leads to next, and of the file nothing else. Backward, too. How many places: a few when it has
 * just been found, then one more with each jump that went where it was foretold (as in Leap, where the window follows the hits),
 * so that it doubles, as long as that many are not more bytes than may be ahead of one reader, and than the losses allow
 * (losses.ts).
 */
import { Errno, failed, type Outcome } from '../../sys/errno.ts';
import type { Order, ReadFile, Wanted } from '../order.ts';
import { Ahead, type Losses } from './losses.ts';
import { PIECE_BYTES } from './readahead.ts';

/** Ahead of a stride that was just found, in places: those it was found by. */
const PLACES_FIRST = 3;
const PLACES_MOST = 96;
/** After a failure so many jumps are let go by. */
const REST_JUMPS = 64;

/** As access/detectors/stride.ts has it. */
export interface StrideView {
  /** Jumps so far. */
  readonly jumps: number;
  /** The last so many went where they were foretold. */
  readonly expected: number;
  /** Steps after which they repeat; 0: they do not. */
  readonly period: number;
  /** Where it jumped to last, far more is read than the places before were long. */
  readonly outgrown: boolean;
  /** Where the `nth` jump from now leads, into `place`; false: nobody knows. */
  foretell(nth: number, place: { offset: number; length: number }): boolean;
}

export class StrideOrder implements Order {
  readonly name = 'stride';
  readonly about: string;
  readonly file: ReadFile;
  readonly #strides: StrideView;
  readonly #aheadBytes: number;
  readonly #place = { offset: 0, length: 0 };
  /** The jump up to which places were given, counted as the strides count; and what is left of its place. */
  #given = 0;
  #left: { offset: number; end: number } = { offset: 0, end: 0 };
  #restUntil = 0;
  readonly #losses: Losses;
  readonly #ahead: Ahead;
  /** Of places that were given and are not settled: by which jump they will be read, by where they begin. */
  readonly #open = new Map<number, number>();

  constructor(file: ReadFile, strides: StrideView, aheadBytes: number, losses: Losses) {
    this.file = file;
    this.about = file.path();
    this.#strides = strides;
    this.#aheadBytes = aheadBytes;
    this.#losses = losses;
    this.#ahead = new Ahead(losses);
  }

  get ended(): boolean {
    return this.#strides.period === 0;
  }

  moved(): boolean {
    const { jumps, expected } = this.#strides;
    // Found anew, or it went elsewhere: what was foretold before does not count.
    if (expected === 0) {
      this.#given = jumps;
      this.#ahead.left();
    } else this.#ahead.passed(jumps);
    return jumps >= this.#restUntil;
  }

  next(): Wanted | undefined {
    const { jumps } = this.#strides;
    if (jumps < this.#restUntil) return undefined;
    if (this.#left.offset >= this.#left.end && !this.#nextPlace()) return undefined;
    const { offset, end } = this.#left;
    const length = Math.min(PIECE_BYTES, end - offset);
    this.#left.offset += length;
    this.#open.set(offset, this.#given);
    return { file: this.file, offset, length };
  }

  /** The next place that is in the file, to `#left`. */
  #nextPlace(): boolean {
    const { jumps, expected } = this.#strides;
    const { size } = this.file.attributes;
    for (let jump = Math.max(this.#given, jumps) + 1; jump - jumps <= PLACES_MOST; jump++) {
      if (!this.#strides.foretell(jump - jumps, this.#place)) return false;
      const { offset, length } = this.#place;
      const places = Math.min(Math.max(this.#aheadBytes, length), this.#losses.allowedBytes) / length;
      if (jump - jumps > Math.min(places, PLACES_FIRST + expected)) return false;
      const from = Math.max(0, offset);
      const end = Math.min(size, offset + length);
      this.#given = jump;
      if (from >= end) continue;
      this.#left = { offset: from, end };
      return true;
    }
    return false;
  }

  /** Nobody jumps to the places of another's strides but by chance. */
  leadsTo(): boolean {
    return false;
  }

  end(): void {
    this.#ahead.end();
  }

  settled({ offset }: Wanted, outcome: Outcome<number>): void {
    const jump = this.#open.get(offset);
    this.#open.delete(offset);
    if (jump !== undefined && !failed(outcome)) this.#ahead.brought(jump, outcome);
    if (failed(outcome) && outcome !== -Errno.ECANCELED) this.#restUntil = this.#strides.jumps + REST_JUMPS;
  }
}
