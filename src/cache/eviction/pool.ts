/** Items in no order: in, out, and one of them at random, each at once. */
import { HELD_MOST, type Item } from './policy.ts';

export class Pool {
  readonly items: Item[] = [];
  readonly #index: 'at' | 'atSet';
  bytes = 0;

  /** `index`: the field that says where in this pool an item is. */
  constructor(index: 'at' | 'atSet') {
    this.#index = index;
  }

  get size(): number {
    return this.items.length;
  }

  add(item: Item): void {
    item[this.#index] = this.items.length;
    this.items.push(item);
    this.bytes += item.bytes;
  }

  remove(item: Item): void {
    const at = item[this.#index];
    const last = this.items.pop()!;
    if (last !== item) {
      this.items[at] = last;
      last[this.#index] = at;
    }
    item[this.#index] = -1;
    this.bytes -= item.bytes;
  }

  /** Undefined: it is empty. */
  any(random: () => number): Item | undefined {
    return this.items[Math.floor(random() * this.items.length)];
  }

  /** The one added last that may go: where all are worth the same. */
  lastFree(candidate: Item | undefined): Item | undefined {
    const { items } = this;
    for (let at = items.length - 1, tries = 0; at >= 0 && tries < HELD_MOST; at--, tries++) {
      const item = items[at]!;
      if (item !== candidate && !item.held) return item;
    }
    return undefined;
  }
}
