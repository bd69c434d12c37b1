/**
 * S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new items pass a small queue (a tenth),
 * those read again meanwhile, or remembered from a while ago, come to the main one, which gives each a second chance.
 */
import { List } from './list.ts';
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';

const SMALL_SHARE = 0.1;
const USES_MOST = 3;

export class S3Fifo implements EvictionPolicy {
  readonly name = 's3-fifo';
  readonly #small = new List();
  readonly #main = new List();
  /** Ids of what left the small queue, in order, as many as the main one has items. */
  readonly #ghosts = new Set<number>();
  #mainCount = 0;
  readonly #capacityBytes: () => number;

  constructor({ capacityBytes }: PolicyParts) {
    this.#capacityBytes = capacityBytes;
  }

  accessed(item: Item): void {
    if (item.resident) item.uses = Math.min(item.uses + 1, USES_MOST);
  }

  admits(): boolean {
    return true;
  }

  inserted(item: Item): void {
    item.uses = 0;
    if (this.#ghosts.delete(item.id)) this.#toMain(item);
    else this.#small.unshift(item);
  }

  grown(item: Item, bytes: number): void {
    if (item.list !== undefined) item.list.bytes += bytes;
  }

  removed(item: Item): void {
    if (item.list === this.#main) this.#mainCount--;
    item.list?.remove(item);
  }

  victim(candidate: Item | undefined): Item | undefined {
    const small = this.#small.lastFree(candidate);
    const crowded = this.#small.bytes >= this.#capacityBytes() * SMALL_SHARE || this.#main.last === undefined;
    if (small !== undefined && crowded) return this.#fromSmall(candidate);
    return this.#fromMain(candidate) ?? this.#fromSmall(candidate);
  }

  #fromSmall(candidate: Item | undefined): Item | undefined {
    for (let item = this.#small.lastFree(candidate); item !== undefined; item = this.#small.lastFree(candidate)) {
      if (item.uses <= 1) {
        this.#ghost(item.id);
        return item;
      }
      this.#small.remove(item);
      item.uses = 0;
      this.#toMain(item);
    }
    return this.#fromMain(candidate);
  }

  #fromMain(candidate: Item | undefined): Item | undefined {
    for (let item = this.#main.lastFree(candidate); item !== undefined; item = this.#main.lastFree(candidate)) {
      if (item.uses === 0) return item;
      item.uses--;
      this.#main.remove(item);
      this.#main.unshift(item);
    }
    return undefined;
  }

  #toMain(item: Item): void {
    this.#mainCount++;
    this.#main.unshift(item);
  }

  #ghost(id: number): void {
    this.#ghosts.add(id);
    while (this.#ghosts.size > Math.max(16, this.#mainCount)) {
      for (const oldest of this.#ghosts) {
        this.#ghosts.delete(oldest);
        break;
      }
    }
  }
}
