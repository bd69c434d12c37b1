/**
 * Records of a fixed size outside the JavaScript heap, by number: a million small things cost what is in them, and the
 * garbage collector nothing. In pages, so that growing never copies; a page that nothing is in any more is given back.
 */

const PAGE_BITS = 10;
const PAGE_RECORDS = 1 << PAGE_BITS;
const NONE = 0xffff_ffff;

/** The same memory, as what its fields are. */
export class Page {
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  readonly longs: BigUint64Array;
  readonly bytes: Buffer;
  used = 0;
  /** The record given back last, whose first word says the one before; those from `fresh` on were never used. */
  free = NONE;
  fresh = 0;

  constructor(bytes: number) {
    const memory = new ArrayBuffer(bytes);
    this.doubles = new Float64Array(memory);
    this.words = new Uint32Array(memory);
    this.longs = new BigUint64Array(memory);
    this.bytes = Buffer.from(memory);
  }

  get full(): boolean {
    return this.free === NONE && this.fresh === PAGE_RECORDS;
  }
}

export class Records {
  /** Of one record, in units of 8 bytes. */
  readonly #longs: number;
  readonly #pages: (Page | undefined)[] = [];
  /** Pages with room, and numbers of pages that were given back. */
  readonly #roomy: number[] = [];
  readonly #gone: number[] = [];
  #size = 0;

  constructor(longs: number) {
    this.#longs = longs;
  }

  get size(): number {
    return this.#size;
  }

  /** Memory taken, in bytes. */
  get bytes(): number {
    return (this.#pages.length - this.#gone.length) * PAGE_RECORDS * this.#longs * 8;
  }

  /** A record; what is in it is undefined. */
  take(): number {
    const number = this.#roomy.at(-1) ?? this.#add();
    const page = this.#pages[number]!;
    let slot = page.free;
    if (slot === NONE) slot = page.fresh++;
    else page.free = page.words[slot * this.#longs * 2]!;
    page.used++;
    this.#size++;
    if (page.full) this.#roomy.pop();
    return (number << PAGE_BITS) | slot;
  }

  give(record: number): void {
    const number = record >>> PAGE_BITS;
    const page = this.#pages[number]!;
    const slot = record & (PAGE_RECORDS - 1);
    if (page.full) this.#roomy.push(number);
    page.words[slot * this.#longs * 2] = page.free;
    page.free = slot;
    page.used--;
    this.#size--;
    if (page.used === 0) this.#remove(number);
  }

  page(record: number): Page {
    return this.#pages[record >>> PAGE_BITS]!;
  }

  /** Where a record is in `doubles` and `longs` of its page; in `words` at twice that, in `bytes` at eight times. */
  at(record: number): number {
    return (record & (PAGE_RECORDS - 1)) * this.#longs;
  }

  #add(): number {
    const number = this.#gone.pop() ?? this.#pages.length;
    this.#pages[number] = new Page(PAGE_RECORDS * this.#longs * 8);
    this.#roomy.push(number);
    return number;
  }

  #remove(number: number): void {
    this.#pages[number] = undefined;
    this.#gone.push(number);
    this.#roomy.splice(this.#roomy.lastIndexOf(number), 1);
  }
}
