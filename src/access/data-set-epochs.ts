/**
 * Counts passes over a data set: an epoch is each file once.
 *
 * Every file has a ticket: the set's clock when the file was last counted. The clock goes on by one for each file that is
 * counted, so tickets after the epoch's first belong to it, and how far back a ticket lies is how many files were counted
 * since. A file opened again a few files later is being opened twice; one opened again after many files may begin the next
 * epoch. It does when more of the like follow than files that this epoch had not seen yet: until then such opens are kept
 * apart (`again`), and a single file that is read time and again (a table of labels) comes to nothing.
 */
import type { Directory } from './data-set-tree.ts';

/** Of the files seen in an epoch, what must have been opened since for a file to count as read again. */
const FAR_SHARE = 1 / 8;
/** How many such opens make an epoch: a fiftieth of it. */
const BEGUN_SHARE = 1 / 50;
const BEGUN_LEAST = 2;
const BEGUN_MOST = 64;
/** A file that nobody knew says less about the epoch than one that it had still to come to. */
const NEW_WEIGHT = 1 / 4;

export class EpochCounter {
  /** Epochs begun. */
  epoch = 0;
  /** Files of the set, and those that this epoch has seen. */
  files = 0;
  seen = 0;
  clock = 0;
  /** The clock when this epoch began. */
  begun = 0;
  #again = 0;
  #againBegun = 0;
  #freshSince = 0;

  /** A file was opened: `ticket` as it was returned the last time, 0 for a file that is new. Returns its new ticket. */
  opened(ticket: number, isNew: boolean): number {
    if (isNew) this.files++;
    if (this.epoch === 0) this.epoch = 1;
    if (isNew || ticket <= this.begun) {
      this.seen++;
      if (this.#again > 0) this.#fresh(isNew ? NEW_WEIGHT : 1);
      return ++this.clock;
    }
    const far = this.clock - ticket >= Math.max(1, Math.floor(this.seen * FAR_SHARE));
    if (!far && (this.#again === 0 || ticket > this.#againBegun)) return ticket;
    if (this.#again === 0) {
      this.#againBegun = this.clock;
      this.#freshSince = 0;
    }
    if (ticket > this.#againBegun) return ticket; // counted already
    this.#again++;
    const now = ++this.clock;
    this.#beginNext();
    return now;
  }

  #fresh(weight: number): void {
    this.#freshSince += weight;
    if (this.#freshSince > 2 * this.#again + 8) this.#again = 0;
  }

  #beginNext(): void {
    const wanted = Math.min(BEGUN_MOST, Math.max(BEGUN_LEAST, Math.ceil(this.seen * BEGUN_SHARE)));
    if (this.#again < wanted || this.#again < 2 * this.#freshSince) return;
    // After most of the set was read; or a part of it is read over and over.
    if (this.seen * 2 < this.files && this.#again * 2 < this.seen) return;
    this.epoch++;
    this.begun = this.#againBegun;
    this.seen = this.clock - this.#againBegun;
    this.#again = 0;
  }

  /** The share of its files that this epoch has seen; null: there are none. */
  get done(): number | null {
    return this.files === 0 ? null : Math.min(1, this.seen / this.files);
  }

  /**
   * Goes on for a set made of others, of each with so many files. Where they were in different epochs, what the largest
   * knows counts, and is right again after one epoch.
   */
  continueFrom(parts: readonly { counter: EpochCounter; files: number }[]): void {
    let largest = parts[0];
    let files = 0;
    let clock = 0;
    let epoch = 0;
    for (const part of parts) {
      files += part.files;
      clock = Math.max(clock, part.counter.clock);
      epoch = Math.max(epoch, part.counter.epoch);
      if (largest === undefined || part.files > largest.files) largest = part;
    }
    if (largest === undefined) return;
    const { counter, files: most } = largest;
    const seen = epoch <= 1 ? files : Math.round(counter.seen * (counter.files === 0 ? 0 : most / counter.files));
    const begun = epoch <= 1 ? 0 : counter.begun;
    this.epoch = counter.epoch;
    this.begun = begun;
    this.clock = clock;
    this.seen = Math.min(seen, files);
    this.files = files;
    this.#again = counter.#again;
    this.#againBegun = counter.#againBegun;
    this.#freshSince = counter.#freshSince;
  }
}

export class DataSet {
  /** Undefined: the files that are in no data set. */
  readonly root: Directory | undefined;
  epochs: EpochCounter = new EpochCounter();
  /** Its files that were not known when it was last decided what counts as a data set. */
  fresh = 0;
  /** When a file of it was opened last (monotonic ms). */
  openedMs = 0;

  constructor(root: Directory | undefined) {
    this.root = root;
  }

  get path(): string {
    return this.root?.path ?? '';
  }

  /** The pass over it that it is in, from 1. */
  get pass(): number {
    return this.epochs.epoch;
  }
}
