/**
 * The default. Data sets that are read in epochs are kept as epoch-keep does; everything else competes by what a kept byte
 * saves:
 *
 *   worth of an item = how often it is read x what a miss of it costs / its size
 *
 * How often: in epochs once a pass, for all items of the set alike; else reads so far, each counting half as much after a
 * while (LRFU: Lee et al., IEEE Transactions on Computers 2001). Cost and size as in GreedyDual-Size-Frequency
 * (Cherkasova, HP Labs 1998). What goes is the least of a sample (Hyperbolic caching: Blankstein et al., ATC 2017).
 *
 * The first read of an item counts for nothing: what is read once (checkpoints, scans) pushes nothing out. Data sets read
 * in epochs share alike: what is kept of the largest makes place for another until they have the same. What an earlier daemon
 * kept makes place for nothing until a pass has shown who reads it, or it is clear that nobody does.
 */
import type { DataSet } from './data-sets.ts';
import { EpochKeep } from './epoch-keep.ts';
import { type EvictionPolicy, type Item, type PolicyParts, savedPerByte } from './policy.ts';
import { Pool } from './pool.ts';

const SAMPLE = 24;
/** Reads count half after as many reads as this times the items kept. */
const HALF_LIFE_ITEMS = 16;
const HALF_LIFE_LEAST = 1024;
/** A set is larger than another only by more than this many items: else they would take from each other for ever. */
const EVEN_ITEMS = 2;

export class Mix extends EpochKeep implements EvictionPolicy {
  override readonly name: string = 'mix';
  readonly #all: Pool;

  constructor(parts: PolicyParts) {
    super(parts);
    this.#all = new Pool('at', parts.atRest);
  }

  protected override readAgain(item: Item): void {
    item.uses = this.#uses(item) + 1;
  }

  override inserted(item: Item, nowMs: number): void {
    super.inserted(item, nowMs);
    this.#all.add(item);
  }

  override grown(item: Item, bytes: number): void {
    super.grown(item, bytes);
    this.#all.bytes += bytes;
  }

  override removed(item: Item): void {
    super.removed(item);
    this.#all.remove(item);
  }

  override rests(item: Item, record: number): void {
    super.rests(item, record);
    this.#all.replace(item, record);
  }

  override wakes(item: Item): void {
    super.wakes(item);
    this.#all.replace(item, item);
  }

  override victim(candidate: Item | undefined, nowMs: number): Item | undefined {
    const released = this.released(candidate, nowMs);
    if (released !== undefined) return released;
    if (candidate === undefined) return this.#least(undefined, undefined).item ?? this.anyOf(undefined);
    const worth = this.#worth(candidate);
    if (worth === 0) return undefined;
    const { set } = candidate;
    // What nobody has read twice is worth nothing yet.
    const unproven = this.sets.most(this.random, (other) =>
      other === set || other.proven || this.sets.isUnclaimed(other) ? 0 : other.pool.bytes + 1,
    );
    const read = unproven?.pool.lastFree(candidate);
    if (read !== undefined) return read;
    if (set?.inEpochs) {
      const larger = this.#largerThan(set, candidate)?.pool.lastFree(candidate);
      if (larger !== undefined) return larger;
    }
    const least = this.#least(candidate, set?.inEpochs ? set : undefined);
    return least.worth < worth ? least.item : undefined;
  }

  /** Another set read in epochs that has more of the cache. */
  #largerThan(set: DataSet, { size }: Item): DataSet | undefined {
    const even = set.pool.bytes + EVEN_ITEMS * size;
    return this.sets.most(this.random, (other) =>
      other !== set && other.inEpochs && !this.sets.isUnclaimed(other) && other.pool.bytes > even
        ? other.pool.bytes
        : 0,
    );
  }

  /** `inEpochs`: the candidate's set; then nothing of other such sets: they share alike. */
  #least(candidate: Item | undefined, inEpochs: DataSet | undefined): { item?: Item; worth: number } {
    let item: Item | undefined;
    let worth = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < SAMPLE; tries++) {
      const some = this.#all.any(this.random);
      if (some === undefined) break;
      if (some === candidate || some.held || (inEpochs !== undefined && some.set?.inEpochs)) continue;
      const its = this.#worth(some);
      if (its >= worth) continue;
      item = some;
      worth = its;
    }
    return item === undefined ? { worth } : { item, worth };
  }

  #worth(item: Item): number {
    const { set } = item;
    if (set === undefined) return 0;
    if (this.sets.isUnclaimed(set)) return Number.POSITIVE_INFINITY; // it was worth keeping, and may be yet
    if (!set.proven) return 0;
    if (set.passTicks === 0) return item.resident ? Number.POSITIVE_INFINITY : 0; // proven to an earlier daemon only
    if (!set.inEpochs) return ((this.#uses(item) * Math.LN2) / this.#halfLife) * savedPerByte(item);
    return item.resident && set.stale(item) ? 0 : savedPerByte(item) / set.passTicks;
  }

  /** Reads again, fading. */
  #uses({ uses, tick }: Item): number {
    return uses === 0 ? 0 : uses * 2 ** ((tick - this.tick) / this.#halfLife);
  }

  get #halfLife(): number {
    return Math.max(HALF_LIFE_LEAST, HALF_LIFE_ITEMS * this.#all.size);
  }
}
