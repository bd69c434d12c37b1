/** Least recently used goes first (Belady 1966 compares it; Mattson et al., "Evaluation techniques for storage hierarchies", 1970). */
import { List } from './list.ts';
import type { EvictionPolicy, Item } from './policy.ts';

export class Lru implements EvictionPolicy {
  readonly name = 'lru';
  readonly #list = new List();

  accessed(item: Item): void {
    if (!item.resident) return;
    this.#list.remove(item);
    this.#list.unshift(item);
  }

  admits(item: Item): boolean {
    return this.victim(item) !== undefined;
  }

  inserted(item: Item): void {
    this.#list.unshift(item);
  }

  resumed(item: Item): void {
    this.#list.push(item); // read before all that is known to have been read
  }

  grown(_item: Item, bytes: number): void {
    this.#list.bytes += bytes;
  }

  removed(item: Item): void {
    this.#list.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    return this.#list.lastFree(candidate);
  }
}
