/** Least recently used goes first (Belady 1966 compares it; Mattson et al., "Evaluation techniques for storage hierarchies", 1970). */
import { Heap } from './heap.ts';
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';

export class Lru implements EvictionPolicy {
  readonly name = 'lru';
  /** By when they were read. */
  readonly #heap: Heap;
  #latest = 0;
  #earliest = 0;

  constructor({ atRest }: PolicyParts) {
    this.#heap = new Heap(atRest);
  }

  accessed(item: Item): void {
    if (!item.resident) return;
    item.rank = ++this.#latest;
    this.#heap.moved(item);
  }

  admits(item: Item): boolean {
    return this.victim(item) !== undefined;
  }

  inserted(item: Item): void {
    item.rank = ++this.#latest;
    this.#heap.add(item);
  }

  resumed(item: Item): void {
    item.rank = --this.#earliest; // read before all that is known to have been read
    this.#heap.add(item);
  }

  grown(): void {}

  removed(item: Item): void {
    this.#heap.remove(item);
  }

  rests(item: Item, record: number): void {
    this.#heap.replace(item, record);
  }

  wakes(item: Item): void {
    this.#heap.replace(item, item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    return this.#heap.leastFree(candidate);
  }
}
