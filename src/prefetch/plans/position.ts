/**
 * How far a job has come in its plan, from the items it is seen to read. Several workers read at once, each its own batch, so
 * that items come out of order; how much so is learned. One item far ahead says nothing (readahead of the kernel's may have
 * touched it); a few there, near each other, say that the job has gone on from there.
 */

/** Behind the foremost item, those that may well be read yet: so many, and more when readers were seen further apart. */
const APART_FIRST = 4096;
const MARGIN = 4;
/** Items near each other that make a jump believed. */
const JUMP_ITEMS = 4;

export class Position {
  /** The foremost item that was read, and those before it in all likelihood too. */
  reached = -1;
  #first = Number.POSITIVE_INFINITY;
  #mostBehind = 0;
  #jumpTo = -1;
  #jumpItems = 0;

  /** Items from the first that was read to the foremost. */
  get wentOn(): number {
    return Math.max(0, this.reached - this.#first);
  }

  /** Items before this one will not be read any more. */
  get passed(): number {
    return Math.max(0, this.reached - this.apart);
  }

  /** How many items readers may be apart. */
  get apart(): number {
    return APART_FIRST + MARGIN * this.#mostBehind;
  }

  /** The job has come to an item. Those before `given` are expected: the scheduler has them. */
  came(item: number, given: number): void {
    this.#first = Math.min(this.#first, item);
    if (item <= this.reached) this.#mostBehind = Math.max(this.#mostBehind, this.reached - item);
    else if (item < given || item - this.reached <= this.apart) this.reached = item;
    else this.#mayHaveJumped(item);
  }

  #mayHaveJumped(item: number): void {
    const near = Math.abs(item - this.#jumpTo) <= this.apart;
    this.#jumpItems = near ? this.#jumpItems + 1 : 1;
    this.#jumpTo = near ? Math.max(item, this.#jumpTo) : item;
    if (this.#jumpItems < JUMP_ITEMS) return;
    this.reached = this.#jumpTo;
    this.#jumpItems = 0;
  }
}
