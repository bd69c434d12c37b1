/**
 * Of a file that is read in passes, the same ranges in another order each time, nobody knows what comes next; but what the pass
 * before has read and this one has not, it will. Some of that waits in memory: of R bytes that are not in the cache and are still
 * to be read, W that wait are hit by one read in R / W, and what was taken is made up for at the speed of the link. No byte is
 * asked for that the pass would not ask for itself.
 *
 * What waits is bounded (cache/waiting.ts), so W is given only to who uses it: twice as much whenever a half of it was read.
 * Where readers come to what is on its way still, or gone again since it waited too long, nothing more is brought in this pass.
 */
import { failed, type Outcome } from '../sys/errno.ts';
import type { Order, Orders, ReadFile, Wanted } from './order.ts';
import { type RangeCatalogue, RangeNote } from './range-catalogue.ts';
import type { Repetition } from './repetition.ts';

/** Bytes that may wait: at first, and at most. Some of the waiting room is left to others. */
const WINDOW_BYTES = 8 * 1024 * 1024;
const WINDOW_MOST_BYTES = 24 * 1024 * 1024;
/** What the shortest range counts for: the memory in which it waits. */
const WAITING_LEAST_BYTES = 64 * 1024;
/** Of what a pass reads, so much the pass before has read too: it will read the rest of that. */
const KNOWN_SHARE = 0.9;
/** Of the last ranges that were read after they were brought, more than so many that readers waited for are too many. */
const MISSED_SHARE = 1 / 2;
const MISSED_FADE = 1 / 16;
const ANSWERED_LEAST = 32;
/** After a failure so many ranges are let go by. */
const REST_RANGES = 64;
/** Ranges looked at for one to be given in one turn. */
const LOOKED_AT_MOST = 4096;

export interface UnseenRangesParts {
  orders: Orders;
  announced: () => boolean;
  about: string;
  ranges: RangeCatalogue;
  repetition: Repetition;
  /** As it was looked up last. */
  file: () => ReadFile;
}

export class UnseenRanges implements Order {
  readonly name = 'unseen';
  readonly about: string;
  readonly soon = true;
  readonly #parts: UnseenRangesParts;
  /** The next place of the pass before to look at. */
  #cursor = 0;
  #aheadBytes = 0;
  #windowBytes = WINDOW_BYTES;
  /** Since the window was enlarged. */
  #usedBytes = 0;
  #answered = 0;
  #missedShare = 0;
  #restUntil = 0;
  #added = false;
  #stopped = false;

  constructor(parts: UnseenRangesParts) {
    this.about = parts.about;
    this.#parts = parts;
  }

  /** What is ahead of the pass that begins was noted in the catalogue, and is there no more. */
  beginPass(): void {
    this.#cursor = 0;
    this.#aheadBytes = 0;
    this.#usedBytes = 0;
    this.#answered = 0;
    this.#missedShare = 0;
    this.#restUntil = 0;
  }

  /** A range was read, and the pass does not go in the order of the one before. */
  read(): void {
    if (this.#stopped || this.#aheadBytes >= this.#windowBytes || !this.#pays) return;
    const { orders } = this.#parts;
    if (this.#added) orders.wake();
    else orders.add(this);
    this.#added = true;
  }

  /** The pass reads what the one before has read, in an order that is not known; and what waits is there in time. */
  get #pays(): boolean {
    const { repetition } = this.#parts;
    if (!repetition.tells || !repetition.decided || repetition.repeats) return false;
    if (this.#answered >= ANSWERED_LEAST && this.#missedShare > MISSED_SHARE) return false;
    return repetition.count >= this.#restUntil && repetition.knownShare >= KNOWN_SHARE;
  }

  /** A READ of a range was answered; `missed`: the store had to be waited for. False: it is none of these. */
  answered(range: number, missed: boolean): boolean {
    const { ranges } = this.#parts;
    if (!ranges.has(range, RangeNote.UNSEEN)) return false;
    this.#leaves(range);
    this.#answered++;
    this.#missedShare += ((missed ? 1 : 0) - this.#missedShare) * Math.max(MISSED_FADE, 1 / this.#answered);
    if (missed) return true;
    this.#usedBytes += ranges.length(range);
    if (this.#windowBytes < WINDOW_MOST_BYTES && this.#usedBytes >= this.#windowBytes / 2) {
      this.#windowBytes = Math.min(2 * this.#windowBytes, WINDOW_MOST_BYTES);
      this.#usedBytes = 0;
    }
    return true;
  }

  next(): Wanted | undefined {
    const { repetition, ranges, announced, file } = this.#parts;
    if (this.#aheadBytes >= this.#windowBytes || !this.#pays || announced()) return undefined;
    for (let looked = 0; looked < LOOKED_AT_MOST; looked++) {
      const range = repetition.itemAt(this.#cursor);
      if (range === undefined) return undefined;
      this.#cursor++;
      if (repetition.placeNow(range) >= 0 || ranges.has(range, RangeNote.KEPT | RangeNote.GIVEN)) continue;
      ranges.note(range, RangeNote.UNSEEN);
      this.#aheadBytes += this.#costOf(range);
      return { file: file(), offset: ranges.offset(range), length: ranges.length(range), mayWait: true };
    }
    setImmediate(() => this.read());
    return undefined;
  }

  settled({ offset }: Wanted, outcome: Outcome<number>): void {
    if (!failed(outcome) && outcome > 0) return;
    const { ranges, repetition } = this.#parts;
    const range = ranges.find(offset);
    if (ranges.has(range, RangeNote.UNSEEN)) this.#leaves(range);
    if (failed(outcome))
      this.#restUntil = repetition.count + REST_RANGES; // no room, or given up, or another file by now
    else this.read(); // the cache has it: another one
  }

  #leaves(range: number): void {
    this.#parts.ranges.clear(range, RangeNote.UNSEEN);
    this.#aheadBytes -= this.#costOf(range);
  }

  #costOf(range: number): number {
    return Math.max(WAITING_LEAST_BYTES, this.#parts.ranges.length(range));
  }

  stop(): void {
    this.#stopped = true;
    if (this.#added) this.#parts.orders.remove(this);
  }
}
