/**
 * The items of a plan, packed: numbered from 0 as they are announced, forgotten from the front. Some 16 bytes each, 32 with
 * a range, and what the index of those that are still to come takes.
 */
import { hashOfNumber } from '../../packed/hash.ts';
import { RecordIndex } from '../../packed/record-index.ts';

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
const NONE = 0xffff_ffff;
const INDEX_BYTES = 12;
/** Numbers are of 32 bits. */
const ITEMS_MOST = NONE - 1;
/** Ranges are found by the page of the kernel's that they begin in. */
export const KERNEL_PAGE_BYTES = 4096;
/** Stands for the page of an item that is a whole file. */
const WHOLE = -1;

/** PENDING: not given to the scheduler yet. DEALT: it said what became of it. DONE: the job has come to it. */
export const State = { PENDING: 0, GIVEN: 1, DEALT: 2, DONE: 3 } as const;
export type State = (typeof State)[keyof typeof State];

class Page {
  readonly files = new Uint32Array(PAGE);
  /** The next item that is the same; of the last, the first. */
  readonly same = new Uint32Array(PAGE);
  readonly states = new Uint8Array(PAGE);
  /** Bytes brought for it, at most 4 GiB. */
  readonly brought = new Uint32Array(PAGE);
  /** Offset and length of each in turn, when one of them has a range. */
  ranges: Float64Array | undefined;
}

export class Items {
  /** Those before `first` are forgotten; `end`: the number of the next. */
  first = 0;
  end = 0;
  readonly #pages: Page[] = [];
  #rangePages = 0;
  #indexed = 0;
  /** Of items that the job has not come to, the first of those that are the same. */
  readonly #index = new RecordIndex((item) => hashOfKey(this.file(item), this.#key(item)));

  get bytes(): number {
    return this.#pages.length * PAGE * 13 + this.#rangePages * PAGE * 16 + this.#indexed * INDEX_BYTES;
  }

  /** Whether one of the items may be a part of a file. */
  get ranges(): boolean {
    return this.#rangePages > 0;
  }

  get full(): boolean {
    return this.end >= ITEMS_MOST;
  }

  add(file: number, offset: number, length: number): void {
    const item = this.end++;
    const slot = item & (PAGE - 1);
    if (slot === 0 || this.#pages.length === 0) this.#pages.push(new Page());
    const page = this.#page(item);
    page.files[slot] = file;
    if (offset !== 0 || length !== Number.POSITIVE_INFINITY) this.#setRange(page, slot, offset, length);
    this.#link(item);
  }

  #setRange(page: Page, slot: number, offset: number, length: number): void {
    if (page.ranges === undefined) {
      page.ranges = new Float64Array(2 * PAGE);
      for (let at = 0; at < PAGE; at++) page.ranges[2 * at + 1] = Number.POSITIVE_INFINITY;
      this.#rangePages++;
    }
    page.ranges[2 * slot] = offset;
    page.ranges[2 * slot + 1] = length;
  }

  file(item: number): number {
    return this.#page(item).files[item & (PAGE - 1)]!;
  }

  offset(item: number): number {
    return this.#page(item).ranges?.[2 * (item & (PAGE - 1))] ?? 0;
  }

  length(item: number): number {
    return this.#page(item).ranges?.[2 * (item & (PAGE - 1)) + 1] ?? Number.POSITIVE_INFINITY;
  }

  state(item: number): State {
    return this.#page(item).states[item & (PAGE - 1)] as State;
  }

  setState(item: number, state: State): void {
    this.#page(item).states[item & (PAGE - 1)] = state;
  }

  brought(item: number): number {
    return this.#page(item).brought[item & (PAGE - 1)]!;
  }

  setBrought(item: number, bytes: number): void {
    this.#page(item).brought[item & (PAGE - 1)] = Math.min(bytes, NONE);
  }

  /** The first item to come that is this whole file; -1: none. */
  findWhole(file: number): number {
    return this.#first(file, WHOLE);
  }

  /** The first item to come that begins in this page of a file and before `end`; -1: none. */
  findInPage(file: number, page: number, end: number): number {
    const item = this.#first(file, page);
    return item >= 0 && this.offset(item) < end ? item : -1;
  }

  /** Whether the job has not come to it, nor to one before it that is the same. */
  isFirst(item: number): boolean {
    return this.state(item) !== State.DONE && this.#first(this.file(item), this.#key(item)) === item;
  }

  /** The job has come to an item, which is the first of those that are the same, or past it. */
  done(item: number): void {
    this.setState(item, State.DONE);
    const [file, key] = [this.file(item), this.#key(item)];
    const last = this.#last(file, key);
    const after = this.#same(item);
    if (last !== item) this.#setSame(last, after);
    else {
      this.#index.remove(hashOfKey(file, key), item);
      this.#indexed--;
    }
  }

  /** Forgets the first item, which is done. */
  drop(): void {
    this.first++;
    if ((this.first & (PAGE - 1)) === 0 && this.#pages.shift()!.ranges !== undefined) this.#rangePages--;
  }

  /** Items that are the same are a ring, in their order; the index has the last, and that leads to the first. */
  #link(item: number): void {
    const [file, key] = [this.file(item), this.#key(item)];
    const hash = hashOfKey(file, key);
    const last = this.#last(file, key);
    if (last < 0) {
      this.#setSame(item, item);
      this.#indexed++;
    } else {
      this.#setSame(item, this.#same(last));
      this.#setSame(last, item);
      this.#index.remove(hash, last);
    }
    this.#index.add(hash, item);
  }

  #first(file: number, key: number): number {
    const last = this.#last(file, key);
    return last < 0 ? -1 : this.#same(last);
  }

  #last(file: number, key: number): number {
    return this.#index.find(hashOfKey(file, key), (item) => this.file(item) === file && this.#key(item) === key);
  }

  #same(item: number): number {
    return this.#page(item).same[item & (PAGE - 1)]!;
  }

  #setSame(item: number, same: number): void {
    this.#page(item).same[item & (PAGE - 1)] = same;
  }

  #key(item: number): number {
    const { ranges } = this.#page(item);
    const at = 2 * (item & (PAGE - 1));
    if (ranges === undefined || (ranges[at] === 0 && ranges[at + 1] === Number.POSITIVE_INFINITY)) return WHOLE;
    return Math.floor(ranges[at]! / KERNEL_PAGE_BYTES);
  }

  #page(item: number): Page {
    return this.#pages[(item >>> PAGE_BITS) - (this.first >>> PAGE_BITS)]!;
  }
}

function hashOfKey(file: number, key: number): number {
  return (hashOfNumber(file) ^ Math.imul(hashOfNumber(key + 1), 0x9e3779b1)) >>> 0;
}
