/**
 * What is remembered of items that are not kept: how often and when each was read. 16 bytes an item, by the number that
 * stands for it; it grows with the items to a million of them, and then the longest unread of a bucket makes place.
 */
import type { Item } from './policy.ts';

/** A cache line of ids. */
const BUCKET = 16;
const FIRST = 1 << 14;
const MOST = 1 << 20;

export class History {
  #ids = new Uint32Array(FIRST);
  #uses = new Float32Array(FIRST);
  #ticks = new Uint32Array(FIRST);
  #clocks = new Uint32Array(FIRST);
  #count = 0;

  /** Puts what is remembered into the item; false: nothing is. */
  recall(item: Item): boolean {
    const at = this.#find(item.id);
    if (at < 0) return false;
    item.uses = this.#uses[at]!;
    item.tick = this.#ticks[at]!;
    item.clock = this.#clocks[at]!;
    return true;
  }

  remember({ id, uses, tick, clock }: Item): void {
    if (this.#count > this.#ids.length / 2 && this.#ids.length < MOST) this.#grow();
    this.#put(id, uses, tick, clock);
  }

  #bucket(id: number): number {
    const hash = Math.imul(id, 0x9e3779b1);
    return (hash ^ (hash >>> 15)) & (this.#ids.length - BUCKET);
  }

  #find(id: number): number {
    const wanted = id >>> 0 || 1;
    const start = this.#bucket(wanted);
    for (let at = start; at < start + BUCKET; at++) if (this.#ids[at] === wanted) return at;
    return -1;
  }

  #put(id: number, uses: number, tick: number, clock: number): void {
    const wanted = id >>> 0 || 1; // 0: free
    let at = this.#find(wanted);
    if (at < 0) {
      const start = this.#bucket(wanted);
      at = start;
      for (let other = start; other < start + BUCKET; other++) {
        if (this.#ids[other] === 0) {
          at = other;
          break;
        }
        if (this.#ticks[other]! < this.#ticks[at]!) at = other;
      }
      if (this.#ids[at] === 0) this.#count++;
    }
    this.#ids[at] = wanted;
    this.#uses[at] = uses;
    this.#ticks[at] = tick;
    this.#clocks[at] = clock;
  }

  #grow(): void {
    const [ids, uses, ticks, clocks] = [this.#ids, this.#uses, this.#ticks, this.#clocks];
    const length = ids.length * 2;
    this.#ids = new Uint32Array(length);
    this.#uses = new Float32Array(length);
    this.#ticks = new Uint32Array(length);
    this.#clocks = new Uint32Array(length);
    this.#count = 0;
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== 0) this.#put(ids[at]!, uses[at]!, ticks[at]!, clocks[at]!);
    }
  }
}
