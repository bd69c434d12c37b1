/** Items in no order: in, out, and one of them at random, each at once. */
import type { ItemsAtRest } from './items-at-rest.ts';
import { type Entry, HELD_MOST, type Item } from './policy.ts';

export class Pool {
  readonly entries: Entry[] = [];
  readonly #place: 'at' | 'atSet';
  readonly #atRest: ItemsAtRest | undefined;
  bytes = 0;

  /** `place`: the field that says where in this pool an item is. `atRest`: those that are but numbers here, if any ever are. */
  constructor(place: 'at' | 'atSet', atRest?: ItemsAtRest) {
    this.#place = place;
    this.#atRest = atRest;
  }

  get size(): number {
    return this.entries.length;
  }

  add(entry: Entry): void {
    this.#put(entry, this.entries.length);
    this.bytes += typeof entry === 'number' ? this.#atRest!.bytes(entry) : entry.bytes;
  }

  /** An item, or a copy of one at rest. */
  remove(item: Item): void {
    const at = item[this.#place];
    const last = this.entries.pop()!;
    if (at < this.entries.length) this.#put(last, at);
    item[this.#place] = -1;
    this.bytes -= item.bytes;
  }

  /** Empties it, for another pool of the same place. */
  takeAll(): Entry[] {
    this.bytes = 0;
    return this.entries.splice(0);
  }

  /** An item that is in it goes to rest, or wakes: it stays where it is. */
  replace(item: Item, entry: Entry): void {
    this.entries[item[this.#place]] = entry;
  }

  #put(entry: Entry, at: number): void {
    this.entries[at] = entry;
    if (typeof entry === 'number') this.#atRest!.setPlace(entry, this.#place, at);
    else entry[this.#place] = at;
  }

  #itemAt(at: number): Item | undefined {
    const entry = this.entries[at];
    return typeof entry === 'number' ? this.#atRest!.item(entry) : entry;
  }

  /** Undefined: it is empty. */
  any(random: () => number): Item | undefined {
    return this.#itemAt(Math.floor(random() * this.entries.length));
  }

  /** The one added last that may go: where all are worth the same. */
  lastFree(candidate: Item | undefined): Item | undefined {
    for (let at = this.entries.length - 1, tries = 0; at >= 0 && tries < HELD_MOST; at--, tries++) {
      const item = this.#itemAt(at)!;
      if (item !== candidate && !item.held) return item;
    }
    return undefined;
  }
}
