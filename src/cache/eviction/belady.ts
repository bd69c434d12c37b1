/**
 * MIN (Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966): what is read
 * again latest goes, and what is read again later than all that is kept does not come in. It knows the future, so it is for
 * the simulator only.
 *
 * For items of one size no policy hits more often. With sizes the best is not known (it is NP-hard: Chrobak et al., 2012);
 * this takes them in the same order whatever their size, which is close where sizes are alike.
 */
import { Heap } from './heap.ts';
import type { EvictionPolicy, Item } from './policy.ts';

export class Belady implements EvictionPolicy {
  readonly name = 'belady';
  readonly #heap = new Heap();

  accessed(item: Item): void {
    item.rank = -item.nextUse;
    if (item.resident) this.#heap.moved(item);
  }

  admits(item: Item): boolean {
    return this.victim(item) !== undefined;
  }

  inserted(item: Item): void {
    item.rank = -item.nextUse;
    this.#heap.add(item);
  }

  grown(): void {}

  removed(item: Item): void {
    this.#heap.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    const latest = this.#heap.leastFree(candidate);
    return latest !== undefined && candidate !== undefined && latest.rank >= candidate.rank ? undefined : latest;
  }
}
