/** SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI 2024): in order of arrival; a hand passes over what was read since it came by. */
import { List } from './list.ts';
import type { EvictionPolicy, Item } from './policy.ts';

export class Sieve implements EvictionPolicy {
  readonly name = 'sieve';
  readonly #list = new List();
  #hand: Item | undefined;

  accessed(item: Item): void {
    item.uses = item.resident ? 1 : 0;
  }

  admits(item: Item): boolean {
    return this.#list.lastFree(item) !== undefined;
  }

  inserted(item: Item): void {
    item.uses = 0;
    this.#list.unshift(item);
  }

  grown(_item: Item, bytes: number): void {
    this.#list.bytes += bytes;
  }

  removed(item: Item): void {
    if (this.#hand === item) this.#hand = item.previous;
    this.#list.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    if (this.#list.lastFree(candidate) === undefined) return undefined;
    for (;;) {
      const item: Item = this.#hand ?? this.#list.last!;
      this.#hand = item.previous;
      if (item.uses > 0) item.uses = 0;
      else if (item !== candidate && !item.held) return item;
    }
  }
}
