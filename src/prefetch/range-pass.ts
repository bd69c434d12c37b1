/**
 * One large file that is read in ranges (records), and whether a pass over them goes in the order of the one before. What of it
 * comes next and is not in the cache is brought: into it where there is room, else it waits in memory for its reader. What is kept
 * stays as it is: a share c of the file saves a share c of each pass, whichever it is.
 *
 *   READ -> the range it begins, or its reader goes on with -> its place in the pass before (repetition.ts)
 *     in that order         -> the next ranges, a window ahead
 *     in another            -> ranges that this pass has not read: of those that wait some are among the next (unseen-ranges.ts)
 *
 * A pass begins when ranges that it had read come again, and few new ones do. A pass that departs from the order is not followed
 * from the next READ on, and the window is all that can have been brought for nothing.
 */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { Order, Orders, ReadFile, Wanted } from './order.ts';
import { RangeCatalogue, RangeNote } from './range-catalogue.ts';
import { Repetition } from './repetition.ts';
import { UnseenRanges } from './unseen-ranges.ts';

/** Who reads on and on in one place reads ranges of so many bytes. */
const RANGE_MOST_BYTES = 1024 * 1024;
/** Ahead of the readers, in bytes: at first, and doubled while they come to what is still on its way, up to the most. */
const WINDOW_BYTES = 2 * 1024 * 1024;
const WINDOW_MOST_BYTES = 12 * 1024 * 1024;
/** What the shortest range counts for: the memory in which it waits. */
const WAITING_LEAST_BYTES = 64 * 1024;
/** So many places behind the readers a range that was brought is not waited for any more: the kernel had its pages. */
const BEHIND_PLACES = 256;
/** Ranges read again that make another pass; and of what was read since, how far back they must lie. */
const AGAIN_LEAST = 32;
const FAR_SHARE = 1 / 8;
/** After a failure so many ranges are let go by. */
const REST_RANGES = 64;
/** Ranges looked at for one to be given in one turn. */
const LOOKED_AT_MOST = 4096;

export interface RangePassParts {
  orders: Orders;
  /** Ranges are brought although their order is not known. */
  unseen: boolean;
  /** Whether a job has said what it will read: nothing is guessed then. */
  announced: () => boolean;
}

export class RangePass implements Order {
  readonly name = 'repeat';
  readonly about: string;
  readonly soon = true;
  /** Bytes. */
  readonly sizeBytes: number;
  #file: ReadFile;
  readonly #parts: RangePassParts;
  readonly #ranges = new RangeCatalogue();
  readonly #repetition = new Repetition();
  readonly #unseen: UnseenRanges;
  /** The range that a reader is in. */
  readonly #open = new WeakMap<object, number>();
  /** Read again in this pass, lately: the first of the next. And what was read for the first time meanwhile. */
  #again: number[] = [];
  #freshSince = 0;
  #cursor = 0;
  /** The farthest place of the pass before that was read. */
  #reached = 0;
  /** Brought ahead and not read, by their places; and what they count for. */
  readonly #ahead: number[] = [];
  #aheadBytes = 0;
  #windowBytes = WINDOW_BYTES;
  /** Ranges of this pass from which on the window may be doubled, and that something may be brought. */
  #doubleFrom = 0;
  #restUntil = 0;
  #added = false;
  #stopped = false;

  constructor(file: ReadFile, parts: RangePassParts) {
    this.#file = file;
    this.sizeBytes = file.attributes.size;
    this.about = file.path();
    this.#parts = parts;
    this.#unseen = new UnseenRanges({
      ...parts,
      about: this.about,
      ranges: this.#ranges,
      repetition: this.#repetition,
      file: () => this.#file,
    });
  }

  get ranges(): number {
    return this.#ranges.size;
  }

  get repeats(): boolean {
    return this.#repetition.repeats;
  }

  // --- what is read --------------------------------------------------------------------------------------------------

  /** A READ. Where it begins where the reader's last one ended, the kernel has split what was asked for. */
  read(file: ReadFile, reader: object, offset: number, size: number): void {
    if (file !== this.#file) this.#isAnother(file);
    const ranges = this.#ranges;
    const range = this.#open.get(reader);
    const end = offset + size;
    const from = range === undefined ? 0 : ranges.offset(range);
    const goesOn = range !== undefined && offset === from + ranges.length(range) && end - from <= RANGE_MOST_BYTES;
    if (goesOn) ranges.endsAt(range, end);
    else this.#begin(reader, offset, end);
  }

  /** It was looked up anew, or has other content: most likely its records lie where they lay. */
  #isAnother(file: ReadFile): void {
    if (file.nodeId !== this.#file.nodeId) this.#ranges.clearAll(RangeNote.KEPT);
    this.#file = file;
  }

  #begin(reader: object, offset: number, end: number): void {
    const ranges = this.#ranges;
    let range = ranges.find(offset);
    if (range < 0) range = ranges.add(offset);
    const after = this.#open.get(reader);
    this.#open.set(reader, range);
    ranges.endsAt(range, end);
    this.#isRead(range, after);
    if (this.repeats) this.#goOn();
    else if (this.#parts.unseen) this.#unseen.read();
  }

  #isRead(range: number, after: number | undefined): void {
    const repetition = this.#repetition;
    const before = repetition.placeNow(range);
    if (before < 0) {
      this.#follow(range, after);
      if (this.#again.length > 0 && ++this.#freshSince > 2 * this.#again.length) this.#again = [];
      return;
    }
    if (repetition.count - before <= FAR_SHARE * repetition.count || this.#again.includes(range)) return;
    if (this.#again.length === 0) this.#freshSince = 0;
    this.#again.push(range);
    if (this.#again.length >= AGAIN_LEAST) this.#beginPass();
  }

  #follow(range: number, after?: number): void {
    this.#repetition.read(range, after);
    this.#reached = Math.max(this.#reached, this.#repetition.placeBefore(range));
    this.#notAhead(range);
  }

  #beginPass(): void {
    this.#repetition.begin();
    this.#ranges.clearAll(RangeNote.GIVEN | RangeNote.AHEAD | RangeNote.UNSEEN);
    this.#cursor = 0;
    this.#reached = 0;
    this.#ahead.length = 0;
    this.#aheadBytes = 0;
    this.#doubleFrom = 0;
    this.#restUntil = 0;
    this.#unseen.beginPass();
    for (const range of this.#again) this.#follow(range);
    this.#again = [];
  }

  /** A READ was answered; `missed`: the store had to be waited for. */
  answered(offset: number, missed: boolean): void {
    const ranges = this.#ranges;
    const range = ranges.find(offset);
    if (range < 0 || this.#unseen.answered(range, missed)) return;
    if (!ranges.has(range, RangeNote.GIVEN)) {
      if (missed) ranges.clear(range, RangeNote.KEPT);
      else ranges.note(range, RangeNote.KEPT);
      return;
    }
    ranges.clear(range, RangeNote.GIVEN);
    if (missed) this.#wasLate();
  }

  /** A reader came to what was still on its way: the source takes longer than the window lasts. */
  #wasLate(): void {
    const { count } = this.#repetition;
    if (this.#windowBytes >= WINDOW_MOST_BYTES || count < this.#doubleFrom) return;
    this.#windowBytes *= 2;
    this.#doubleFrom = count + this.#ahead.length;
  }

  // --- what is brought -----------------------------------------------------------------------------------------------

  next(): Wanted | undefined {
    const repetition = this.#repetition;
    if (!this.repeats || repetition.count < this.#restUntil || this.#parts.announced()) return undefined;
    this.#passBy();
    if (this.#aheadBytes >= this.#windowBytes) return undefined;
    this.#cursor = Math.max(this.#cursor, repetition.at);
    for (let looked = 0; looked < LOOKED_AT_MOST; looked++) {
      const range = repetition.itemAt(this.#cursor);
      if (range === undefined) return undefined;
      this.#cursor++;
      if (repetition.placeNow(range) < 0 && !this.#ranges.has(range, RangeNote.KEPT)) return this.#give(range);
    }
    setImmediate(() => this.#goOn());
    return undefined;
  }

  #give(range: number): Wanted {
    this.#ranges.note(range, RangeNote.GIVEN | RangeNote.AHEAD);
    this.#ahead.push(range);
    this.#aheadBytes += this.#costOf(range);
    const length = this.#ranges.length(range);
    return { file: this.#file, offset: this.#ranges.offset(range), length, mayWait: true };
  }

  settled({ offset }: Wanted, outcome: Outcome<number>): void {
    if (!failed(outcome) && outcome > 0) return;
    const range = this.#ranges.find(offset);
    this.#notAhead(range);
    this.#ranges.clear(range, RangeNote.GIVEN);
    if (outcome === 0 || outcome === -Errno.ECANCELED) return;
    this.#restUntil = this.#repetition.count + REST_RANGES; // no room, or closed, or another file by now
  }

  #costOf(range: number): number {
    return Math.max(WAITING_LEAST_BYTES, this.#ranges.length(range));
  }

  #notAhead(range: number): void {
    if (!this.#ranges.has(range, RangeNote.AHEAD)) return;
    this.#ranges.clear(range, RangeNote.AHEAD);
    this.#aheadBytes -= this.#costOf(range);
  }

  /** What was read, or will not be, is ahead no more. */
  #passBy(): void {
    const behind = this.#reached - BEHIND_PLACES;
    let passed = 0;
    for (const range of this.#ahead) {
      if (this.#ranges.has(range, RangeNote.AHEAD) && this.#repetition.placeBefore(range) >= behind) break;
      this.#notAhead(range);
      passed++;
    }
    if (passed > 0) this.#ahead.splice(0, passed);
  }

  #goOn(): void {
    if (this.#stopped) return;
    if (!this.#added) this.#parts.orders.add(this);
    else if (this.#aheadBytes < this.#windowBytes) this.#parts.orders.wake();
    this.#added = true;
  }

  stop(): void {
    this.#stopped = true;
    this.#unseen.stop();
    if (this.#added) this.#parts.orders.remove(this);
  }
}
