/** A binary heap of items by rank, the least first; an item's rank can change while it is in. */
import { HELD_MOST, type Item } from './policy.ts';

export class Heap {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: Item): void {
    item.atHeap = this.#items.length;
    this.#items.push(item);
    this.#up(item);
  }

  remove(item: Item): void {
    const at = item.atHeap;
    const last = this.#items.pop()!;
    item.atHeap = -1;
    if (last === item) return;
    this.#items[at] = last;
    last.atHeap = at;
    this.#up(last);
    this.#down(last);
  }

  /** After its rank has changed. */
  moved(item: Item): void {
    this.#up(item);
    this.#down(item);
  }

  /** The least that may go: what is held is passed over, with what is nearest to it in rank next. */
  leastFree(candidate: Item | undefined): Item | undefined {
    const [least] = this.#items;
    if (least === undefined || (least !== candidate && !least.held)) return least;
    let found: Item | undefined;
    for (const item of this.#items.slice(0, HELD_MOST)) {
      if (item !== candidate && !item.held && (found === undefined || item.rank < found.rank)) found = item;
    }
    return found;
  }

  #up(item: Item): void {
    const items = this.#items;
    let at = item.atHeap;
    while (at > 0) {
      const above = items[(at - 1) >> 1]!;
      if (above.rank <= item.rank) break;
      items[at] = above;
      above.atHeap = at;
      at = (at - 1) >> 1;
    }
    items[at] = item;
    item.atHeap = at;
  }

  #down(item: Item): void {
    const items = this.#items;
    let at = item.atHeap;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && items[below + 1]!.rank < items[below]!.rank) below++;
      const smaller = items[below]!;
      if (smaller.rank >= item.rank) break;
      items[at] = smaller;
      smaller.atHeap = at;
      at = below;
    }
    items[at] = item;
    item.atHeap = at;
  }
}
