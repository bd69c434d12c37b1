/**
 * Whether a job reads its items, the files of a data set or the ranges of one large file, in the order of the pass before (no
 * shuffle, or one with the same seed each epoch), and where in that order it is. Workers take turns, so a place counts as the
 * next one when it is near; or near the last one of the same worker, where that is known: one may be far behind the others.
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

/** What a pass has read. */
class Pass {
  /** Items in the order in which they were read. */
  order: Uint32Array;
  /** Items read. */
  count = 0;
  /** The place of an item in the order; of others there is anything at all, perhaps of a pass long ago. */
  #places: Uint32Array;

  constructor(room: number) {
    this.order = new Uint32Array(room);
    this.#places = new Uint32Array(room);
  }

  add(item: number): void {
    if (this.count === this.order.length) this.order = roomFor(this.count, this.order);
    if (item >= this.#places.length) this.#places = roomFor(item, this.#places);
    this.#places[item] = this.count;
    this.order[this.count++] = item;
  }

  /** -1: the item was not read. */
  placeOf(item: number): number {
    const place = item < this.#places.length ? this.#places[item]! : this.count;
    return place < this.count && this.order[place] === item ? place : -1;
  }
}

function roomFor(index: number, array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(Math.max(index + 1, 2 * array.length));
  larger.set(array);
  return larger;
}

export class Repetition {
  #now: Pass;
  #before: Pass;
  #share = 0;
  #opens = 0;
  /** Of these, of files that the pass before had. */
  #known = 0;

  constructor(room = 1024) {
    this.#now = new Pass(room);
    this.#before = new Pass(room);
  }

  /** An item is read the first time in this pass, after another by the same reader; -1: after none, or that is not known. */
  read(item: number, after = -1): void {
    this.#now.add(item);
    if (this.#before.count === 0) return;
    const at = this.#opens++;
    const place = this.#before.placeOf(item);
    if (place < 0) return; // the pass before was not seen from its beginning, or the file is new
    const near =
      Math.abs(place - at) <= Math.max(NEAR_LEAST, NEAR_SHARE * this.#before.count) || this.#follows(place, after);
    this.#share += ((near ? 1 : 0) - this.#share) * Math.max(FADE, 1 / ++this.#known);
  }

  /** A reader who goes through the order leaves out what others read. */
  #follows(place: number, after: number): boolean {
    const last = after < 0 ? -1 : this.#before.placeOf(after);
    return last >= 0 && place > last && place - last <= NEAR_LEAST;
  }

  /** Another pass begins. What was noted of the one before the last is written over as this one goes on. */
  begin(): void {
    [this.#now, this.#before] = [this.#before, this.#now];
    this.#now.count = 0;
    this.#opens = 0;
    this.#known = 0;
    this.#share = 0;
  }

  get repeats(): boolean {
    return this.tells && this.#share >= SHARE_LEAST;
  }

  /** Whether `repeats` says anything: there are enough files, and enough of them were read in both passes. */
  get tells(): boolean {
    return this.#before.count >= FILES_LEAST && this.#known >= OPENS_LEAST;
  }

  /** Whether enough was read to tell. */
  get decided(): boolean {
    return this.#before.count < FILES_LEAST || this.#opens >= 2 * OPENS_LEAST;
  }

  /** Of the items read in this pass, the share that the pass before had. */
  get knownShare(): number {
    return this.#opens === 0 ? 0 : this.#known / this.#opens;
  }

  /** Items read in this pass. */
  get count(): number {
    return this.#now.count;
  }

  /** The place of an item in this pass; -1: it was not read yet. */
  placeNow(item: number): number {
    return this.#now.placeOf(item);
  }

  /** Its place in the pass before; -1: that did not have it. */
  placeBefore(item: number): number {
    return this.#before.placeOf(item);
  }

  /** Where the job is, about. */
  get at(): number {
    return this.#opens;
  }

  /** The item at a place; undefined: the pass before ended there. */
  itemAt(place: number): number | undefined {
    return place < this.#before.count ? this.#before.order[place] : undefined;
  }
}
