/**
 * W-TinyLFU (Einziger et al., "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 2017): new
 * items pass a window (a hundredth, LRU); what leaves it comes to the main part (segmented LRU, four fifths protected) only
 * if it was read more often than what would go there, by a sketch of counts that fade.
 */
import { List } from './list.ts';
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';

const WINDOW_SHARE = 0.01;
const PROTECTED_SHARE = 0.8;
const COUNT_MOST = 15;
const ROWS = 4;
/** Counts are halved after as many reads as this times the items kept. */
const SAMPLE_ITEMS = 10;
const WIDTH = 1 << 18;

/** A count-min sketch (Cormode and Muthukrishnan, 2005). */
class Sketch {
  readonly #counts = new Uint8Array(ROWS * WIDTH);
  #added = 0;

  add(id: number, items: number): void {
    const least = this.count(id);
    if (least < COUNT_MOST) {
      for (let row = 0; row < ROWS; row++) {
        const at = slot(id, row);
        if (this.#counts[at] === least) this.#counts[at] = least + 1; // conservative update
      }
    }
    if (++this.#added < SAMPLE_ITEMS * Math.max(items, 64)) return;
    this.#added >>= 1;
    for (let at = 0; at < this.#counts.length; at++) this.#counts[at] = this.#counts[at]! >> 1;
  }

  count(id: number): number {
    let least = COUNT_MOST;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.#counts[slot(id, row)]!);
    return least;
  }
}

function slot(id: number, row: number): number {
  let hash = Math.imul(id ^ Math.imul(row + 1, 0x85ebca6b), 0x9e3779b1);
  hash ^= hash >>> 15;
  return row * WIDTH + ((Math.imul(hash, 0xc2b2ae35) >>> 8) & (WIDTH - 1));
}

export class WTinyLfu implements EvictionPolicy {
  readonly name = 'w-tinylfu';
  readonly #window = new List();
  readonly #probation = new List();
  readonly #protected = new List();
  readonly #sketch = new Sketch();
  readonly #capacityBytes: () => number;
  #count = 0;

  constructor({ capacityBytes }: PolicyParts) {
    this.#capacityBytes = capacityBytes;
  }

  accessed(item: Item): void {
    this.#sketch.add(item.id, this.#count);
    const { list } = item;
    if (list === undefined) return;
    list.remove(item);
    if (list === this.#window) this.#window.unshift(item);
    else this.#protected.unshift(item);
    const most = this.#capacityBytes() * (1 - WINDOW_SHARE) * PROTECTED_SHARE;
    while (this.#protected.bytes > most && this.#protected.last !== undefined) {
      const last = this.#protected.last;
      this.#protected.remove(last);
      this.#probation.unshift(last);
    }
  }

  admits(): boolean {
    return true;
  }

  inserted(item: Item): void {
    this.#count++;
    this.#window.unshift(item);
    // While there is room, what leaves the window need not compete.
    this.#shiftWindow(item);
  }

  grown(item: Item, bytes: number): void {
    if (item.list !== undefined) item.list.bytes += bytes;
  }

  removed(item: Item): void {
    this.#count--;
    item.list?.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    const main = this.#probation.lastFree(candidate) ?? this.#protected.lastFree(candidate);
    const late = this.#window.lastFree(candidate);
    if (late === undefined || main === undefined) return late ?? main;
    const crowded = this.#window.bytes + (candidate?.size ?? 0) > this.#capacityBytes() * WINDOW_SHARE;
    if (!crowded) return main;
    if (this.#sketch.count(late.id) <= this.#sketch.count(main.id)) return late;
    this.#window.remove(late);
    this.#probation.unshift(late);
    return main;
  }

  #shiftWindow(newest: Item): void {
    const most = this.#capacityBytes() * WINDOW_SHARE;
    const used = this.#window.bytes + this.#probation.bytes + this.#protected.bytes;
    if (used > this.#capacityBytes() * 0.99) return; // full: the next victim decides
    while (this.#window.bytes > most && this.#window.last !== undefined && this.#window.last !== newest) {
      const last = this.#window.last;
      this.#window.remove(last);
      this.#probation.unshift(last);
    }
  }
}
