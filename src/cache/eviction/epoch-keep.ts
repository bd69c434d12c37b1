/**
 * Fill, then keep. Where each item of a data set is read once an epoch and a share c of it is kept, no policy hits more
 * than c (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966, for each item alike), and to
 * change nothing reaches it; LRU hits nothing in a fixed order. (Quiver, FAST 2020; CoorDL, VLDB 2021.)
 *
 * What was kept goes when its data set is idle (the job ended, or went on to another) or has not been read for passes.
 */
import { DataSets } from './data-sets.ts';
import { History } from './history.ts';
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';

/** Items looked at for one that its set has left behind. */
const STALE_SAMPLE = 8;

export class EpochKeep implements EvictionPolicy {
  readonly name: string = 'epoch-keep';
  protected readonly sets: DataSets;
  protected readonly random: () => number;
  readonly #history = new History();
  /** Reads so far. */
  protected tick = 0;

  constructor({ random = Math.random, atRest }: PolicyParts) {
    this.sets = new DataSets(atRest);
    this.random = random;
  }

  accessed(item: Item, nowMs: number): void {
    this.tick++;
    const set = this.sets.of(item, nowMs);
    const claimed = item.resident && this.sets.claim(item, nowMs);
    // One that was brought ahead was last read before that, if it was.
    const known = (item.resident && !item.ahead) || this.#history.recall(item);
    item.ahead = false;
    set.came(nowMs);
    if (known && !claimed) {
      if (set.cameAgain(item, this.tick, nowMs)) this.readAgain(item);
    } else {
      set.seen++;
      if (claimed) set.again++; // an earlier daemon saw it read
      item.uses = 0;
    }
    item.set = set;
    item.tick = this.tick;
    item.clock = set.clock;
    item.lastMs = nowMs;
    if (!item.resident) this.#history.remember(item);
  }

  /** `item.tick` is still that of the read before. */
  protected readAgain(item: Item): void {
    item.uses++;
  }

  admits(item: Item, nowMs: number): boolean {
    return this.victim(item, nowMs) !== undefined;
  }

  inserted(item: Item, nowMs: number): void {
    this.sets.add(item, nowMs);
    if (item.ahead && item.set !== undefined) item.clock = item.set.clock; // it was asked for as if it had been read
  }

  grown(item: Item, bytes: number): void {
    if (item.set !== undefined) item.set.pool.bytes += bytes;
  }

  removed(item: Item): void {
    this.sets.remove(item);
    this.#history.remember(item);
  }

  rests(item: Item, record: number): void {
    item.set?.pool.replace(item, record);
  }

  wakes(item: Item): void {
    item.set?.pool.replace(item, item);
  }

  victim(candidate: Item | undefined, nowMs: number): Item | undefined {
    return this.released(candidate, nowMs) ?? (candidate === undefined ? this.anyOf(undefined) : undefined);
  }

  /** What nobody reads any more. */
  protected released(candidate: Item | undefined, nowMs: number): Item | undefined {
    const own = candidate?.set;
    const idle = this.sets.most(this.random, (set) =>
      set !== own && this.sets.isIdle(set, nowMs) ? nowMs - set.lastMs + 1 : 0,
    );
    const item = idle?.pool.lastFree(candidate);
    if (item !== undefined) return item;
    const { active } = this.sets;
    if (active.length === 0) return undefined;
    const { pool } = active[Math.floor(this.random() * active.length)]!;
    for (let tries = 0; tries < STALE_SAMPLE; tries++) {
      const some = pool.any(this.random);
      if (some !== undefined && some !== candidate && !some.held && some.set?.stale(some)) return some;
    }
    return undefined;
  }

  /** Of the set that has most. */
  protected anyOf(candidate: Item | undefined): Item | undefined {
    return this.sets.most(this.random, ({ pool }) => pool.bytes + 1)?.pool.lastFree(candidate);
  }
}
