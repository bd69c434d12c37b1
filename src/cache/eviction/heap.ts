/** A binary heap of items by rank, the least first; an item's rank can change while it is in. */
import type { ItemsAtRest } from './items-at-rest.ts';
import { type Entry, HELD_MOST, type Item } from './policy.ts';

export class Heap {
  readonly #entries: Entry[] = [];
  readonly #atRest: ItemsAtRest | undefined;

  /** `atRest`: those that are but numbers here, if any ever are. */
  constructor(atRest?: ItemsAtRest) {
    this.#atRest = atRest;
  }

  get size(): number {
    return this.#entries.length;
  }

  add(item: Item): void {
    item.at = this.#entries.length;
    this.#entries.push(item);
    this.#up(item, item.at);
  }

  /** An item, or a copy of one at rest. */
  remove(item: Item): void {
    const at = item.at;
    const last = this.#entries.pop()!;
    item.at = -1;
    if (at < this.#entries.length) this.#down(last, this.#up(last, at));
  }

  /** After its rank has changed. */
  moved(item: Item): void {
    this.#down(item, this.#up(item, item.at));
  }

  /** An item that is in it goes to rest, or wakes: it stays where it is. */
  replace(item: Item, entry: Entry): void {
    this.#entries[item.at] = entry;
  }

  /** The least that may go: what is held is passed over, with what is nearest to it in rank next. */
  leastFree(candidate: Item | undefined): Item | undefined {
    const least = this.#itemAt(0);
    if (least === undefined || (least !== candidate && !least.held)) return least;
    let found: Item | undefined;
    for (let at = 1; at < Math.min(HELD_MOST, this.size); at++) {
      const item = this.#itemAt(at)!;
      if (item !== candidate && !item.held && (found === undefined || item.rank < found.rank)) found = item;
    }
    return found;
  }

  #itemAt(at: number): Item | undefined {
    const entry = this.#entries[at];
    return typeof entry === 'number' ? this.#atRest!.item(entry) : entry;
  }

  #rank(entry: Entry): number {
    return typeof entry === 'number' ? this.#atRest!.rank(entry) : entry.rank;
  }

  #put(entry: Entry, at: number): void {
    this.#entries[at] = entry;
    if (typeof entry === 'number') this.#atRest!.setPlace(entry, 'at', at);
    else entry.at = at;
  }

  /** Of what is to be at a place, or above it; where it came to be. */
  #up(entry: Entry, from: number): number {
    const rank = this.#rank(entry);
    let at = from;
    while (at > 0) {
      const above = this.#entries[(at - 1) >> 1]!;
      if (this.#rank(above) <= rank) break;
      this.#put(above, at);
      at = (at - 1) >> 1;
    }
    this.#put(entry, at);
    return at;
  }

  #down(entry: Entry, from: number): void {
    const entries = this.#entries;
    const rank = this.#rank(entry);
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= entries.length) break;
      if (below + 1 < entries.length && this.#rank(entries[below + 1]!) < this.#rank(entries[below]!)) below++;
      const smaller = entries[below]!;
      if (this.#rank(smaller) >= rank) break;
      this.#put(smaller, at);
      at = below;
    }
    this.#put(entry, at);
  }
}
