/** Ranges of one large file that were read, each with a number, in the order in which they were found: some 15 bytes each. */
import { hashOfNumber } from '../packed/hash.ts';
import { RecordIndex } from '../packed/record-index.ts';
import { grown } from './catalogue.ts';

const PAGE_BYTES = 4096;
const RANGES_FIRST = 1024;

/** What is known of a range, as bits. */
export const RangeNote = {
  /** It was read from the cache, or was there when it was to be brought. */
  KEPT: 1,
  /** It was brought in this pass, or is being brought. */
  GIVEN: 2,
  /** And has not been read yet. */
  AHEAD: 4,
  /** It was brought, or is being brought, because this pass had not read it, and has not been answered since. */
  UNSEEN: 8,
} as const;

export class RangeCatalogue {
  /** In pages: where they begin, and how long they are. */
  #starts = new Uint32Array(RANGES_FIRST);
  #lengths = new Uint16Array(RANGES_FIRST);
  #notes = new Uint8Array(RANGES_FIRST);
  readonly #index = new RecordIndex((range) => hashOfNumber(this.#starts[range]!));
  /** Ranges so far. */
  size = 0;

  /** The range that begins where this offset is; -1: none does. */
  find(offset: number): number {
    const page = Math.floor(offset / PAGE_BYTES);
    return this.#index.find(hashOfNumber(page), (range) => this.#starts[range] === page);
  }

  add(offset: number): number {
    const page = Math.floor(offset / PAGE_BYTES);
    if (this.size === this.#starts.length) {
      const room = 2 * this.size;
      this.#starts = grown(this.#starts, new Uint32Array(room));
      this.#lengths = grown(this.#lengths, new Uint16Array(room));
      this.#notes = grown(this.#notes, new Uint8Array(room));
    }
    this.#starts[this.size] = page;
    this.#index.add(hashOfNumber(page), this.size);
    return this.size++;
  }

  offset(range: number): number {
    return this.#starts[range]! * PAGE_BYTES;
  }

  /** In bytes, whole pages. */
  length(range: number): number {
    return this.#lengths[range]! * PAGE_BYTES;
  }

  /** It ends where `end` is, some MiB further at most. */
  endsAt(range: number, end: number): void {
    this.#lengths[range] = Math.ceil(end / PAGE_BYTES) - this.#starts[range]!;
  }

  has(range: number, note: number): boolean {
    return (this.#notes[range]! & note) !== 0;
  }

  note(range: number, note: number): void {
    this.#notes[range]! |= note;
  }

  clear(range: number, note: number): void {
    this.#notes[range]! &= ~note;
  }

  /** Of all of them. */
  clearAll(note: number): void {
    for (let range = 0; range < this.size; range++) this.#notes[range]! &= ~note;
  }
}
