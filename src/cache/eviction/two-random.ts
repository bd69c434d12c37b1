/** Of two at random, the one that was read longer ago goes (after Azar et al., "Balanced allocations", 1994; Psounis and Prabhakar, INFOCOM 2001). */
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';
import { Pool } from './pool.ts';

export class TwoRandom implements EvictionPolicy {
  readonly name = '2-random';
  readonly #pool = new Pool('at');
  readonly #random: () => number;
  #tick = 0;

  constructor({ random = Math.random }: PolicyParts) {
    this.#random = random;
  }

  accessed(item: Item): void {
    item.tick = ++this.#tick;
  }

  admits(): boolean {
    return true;
  }

  inserted(item: Item): void {
    this.#pool.add(item);
  }

  grown(): void {}

  removed(item: Item): void {
    this.#pool.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    const free = (item: Item | undefined): Item | undefined =>
      item === candidate || item?.held === true ? undefined : item;
    const one = free(this.#pool.any(this.#random));
    const other = free(this.#pool.any(this.#random));
    if (one === undefined || other === undefined) return one ?? other ?? this.#pool.lastFree(candidate);
    return one.tick < other.tick ? one : other;
  }
}
