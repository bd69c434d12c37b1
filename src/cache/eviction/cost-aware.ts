/**
 * By what a kept byte saves: GreedyDual-Size-Frequency (Cherkasova, "Improving WWW proxies performance with
 * Greedy-Dual-Size-Frequency caching policy", HP Labs 1998; after Cao and Irani, USITS 1997).
 *
 *   rank of an item = L + reads x what a miss costs / size;  the least goes;  L = the rank of what went last
 *
 * Unlike there, reads are remembered of items that are not kept, and none comes in whose rank is not above that of what
 * would go: what is read once, or is large, pushes nothing out.
 */
import { Heap } from './heap.ts';
import { History } from './history.ts';
import { type EvictionPolicy, type Item, type PolicyParts, savedPerByte } from './policy.ts';

export class CostAware implements EvictionPolicy {
  readonly name = 'cost-aware';
  readonly #heap: Heap;
  readonly #history = new History();
  #inflation = 0;
  #tick = 0;

  constructor({ atRest }: PolicyParts) {
    this.#heap = new Heap(atRest);
  }

  accessed(item: Item): void {
    this.#tick++;
    if (!item.resident && !this.#history.recall(item)) item.uses = 0;
    item.uses++;
    item.tick = this.#tick;
    item.rank = this.#inflation + item.uses * savedPerByte(item);
    if (item.resident) this.#heap.moved(item);
    else this.#history.remember(item);
  }

  admits(item: Item): boolean {
    return this.#below(item) !== undefined;
  }

  inserted(item: Item): void {
    if (item.uses === 0) item.rank = this.#inflation + savedPerByte(item); // kept by an earlier daemon
    this.#heap.add(item);
  }

  grown(): void {}

  removed(item: Item): void {
    this.#heap.remove(item);
    this.#history.remember(item);
  }

  rests(item: Item, record: number): void {
    this.#heap.replace(item, record);
  }

  wakes(item: Item): void {
    this.#heap.replace(item, item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    const least = this.#below(candidate);
    if (least !== undefined) this.#inflation = Math.max(this.#inflation, least.rank);
    return least;
  }

  #below(candidate: Item | undefined): Item | undefined {
    const least = this.#heap.leastFree(candidate);
    return least === undefined || (candidate !== undefined && least.rank >= candidate.rank) ? undefined : least;
  }
}
