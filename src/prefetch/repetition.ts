/**
 * Whether a job reads its files in the order of the pass before (no shuffle, or one with the same seed each epoch), and
 * where in that order it is. Workers take turns, so a place counts as the next one when it is near.
 */

/** Places ahead and behind that count as next, since readers overtake each other: so many, or a share of all. */
const NEAR_LEAST = 256;
const NEAR_SHARE = 1 / 8;
/** Of very few files any order looks like any other. */
const FILES_LEAST = 4 * NEAR_LEAST;
/** Share of the opens at the expected place, fading over this many, that makes it so. */
const FADE = 1 / 64;
const SHARE_LEAST = 0.9;
const OPENS_LEAST = 48;
const NOWHERE = 0xffff_ffff;

export class Repetition {
  /** Items in the order of this pass, and of the one before. */
  #now: Uint32Array;
  #count = 0;
  #before: Uint32Array;
  #beforeCount = 0;
  /** The place of an item in the pass before. */
  #place: Uint32Array = new Uint32Array(0);
  #share = 0;
  #opens = 0;
  /** Of these, of files that the pass before had. */
  #known = 0;

  constructor(room = 1024) {
    this.#now = new Uint32Array(room);
    this.#before = new Uint32Array(room);
  }

  /** An item is read the first time in this pass. */
  read(item: number): void {
    if (this.#count === this.#now.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#now);
      this.#now = larger;
    }
    this.#now[this.#count++] = item;
    if (this.#beforeCount === 0) return;
    const at = this.#opens++;
    const place = this.#place[item] ?? NOWHERE;
    if (place === NOWHERE) return; // the pass before was not seen from its beginning, or the file is new
    const near = Math.abs(place - at) <= Math.max(NEAR_LEAST, NEAR_SHARE * this.#beforeCount);
    this.#share += ((near ? 1 : 0) - this.#share) * Math.max(FADE, 1 / ++this.#known);
  }

  /** Another pass begins; `items`: so many are known. */
  begin(items: number): void {
    const last = this.#now;
    this.#now = this.#before;
    this.#before = last;
    this.#beforeCount = this.#count;
    this.#count = 0;
    this.#opens = 0;
    this.#known = 0;
    this.#share = 0;
    this.#place = new Uint32Array(items).fill(NOWHERE);
    for (let at = 0; at < this.#beforeCount; at++) {
      const item = this.#before[at]!;
      if (item < items) this.#place[item] = at;
    }
  }

  get repeats(): boolean {
    return this.#beforeCount >= FILES_LEAST && this.#known >= OPENS_LEAST && this.#share >= SHARE_LEAST;
  }

  /** Whether enough was read to tell. */
  get decided(): boolean {
    return this.#beforeCount < FILES_LEAST || this.#opens >= 2 * OPENS_LEAST;
  }

  /** Where the job is, about. */
  get at(): number {
    return this.#opens;
  }

  /** The item at a place; undefined: the pass before ended there. */
  itemAt(place: number): number | undefined {
    return place < this.#beforeCount ? this.#before[place] : undefined;
  }
}
