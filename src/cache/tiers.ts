/**
 * A cache of several tiers, fastest first, each with a size, an index, a policy and a health of its own (disk-cache.ts). A
 * tier knows nothing of the others; here is decided which of them serves a content, which takes a new one, and what moves.
 *
 *   acquire   the fastest tier that has all of it
 *             nothing of it is there -> the fastest with room for the whole; when none has, the last, where others may go for it
 *   up        read from a slower tier, and a faster one has room, or by its policy something there is worth less
 *   down      what has to leave a faster tier is copied to the next that takes it: one that has room, or whose policy says so
 *
 * What moves up stays below as well until the room is wanted there: such doubles are the first to go (`spare`), and until then
 * it costs nothing to move down again. A tier in memory ends with the process; so what came to it from the source is copied
 * below too, where there is room.
 *
 * INVARIANT: an object is given to new readers only where it is complete, if it is complete anywhere.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../telemetry/log.ts';
import type { BufferPool } from './buffers.ts';
import type { Cache, CachedContent, CacheSnapshot, ContentKey, ContentReader, TierSnapshot } from './cache.ts';
import type { DiskCache } from './disk-cache.ts';
import type { ObjectItem } from './eviction/object-item.ts';
import { NO_RULE, type Rules } from './eviction/rules.ts';
import { copyObject } from './move.ts';
import { type Move, Mover, type Pace } from './mover.ts';
import type { CacheObject } from './object.ts';
import type { ScrubSnapshot } from './scrub.ts';
import { TieredPinning } from './tiered-pinning.ts';

/** No file takes more of a faster tier than this: it is for many small ones, of which each saves a trip. */
const SHARE_MOST = 1 / 4;
/** Doubles looked at for one that nobody uses. */
const LOOKED_AT = 64;
/** Objects of an earlier run that are looked up in one turn of the loop, and the time between two turns. */
const LOOKED_AT_ONCE = 100;
const PAUSE_MS = 5;

export interface TierPlace {
  cache: DiskCache;
  /** It ends with the process. */
  volatile: boolean;
}

export interface TieredCacheParts {
  /** Fastest first; two at least. */
  places: readonly TierPlace[];
  /** Of all tiers. */
  buffers: BufferPool;
  rules: Rules;
  log: Log;
}

export class PlacedTier {
  readonly cache: DiskCache;
  readonly volatile: boolean;
  readonly at: number;
  /** Files of which a faster tier has all as well: their objects may go first. Most are but rows of the index. */
  readonly doubles = new Set<string>();
  readonly copyBelow: Move;

  constructor({ cache, volatile }: TierPlace, at: number, copyBelow: (tier: PlacedTier) => Move) {
    this.cache = cache;
    this.volatile = volatile;
    this.at = at;
    this.copyBelow = copyBelow(this);
  }

  get healthy(): boolean {
    return this.cache.tier.healthy;
  }

  /** A double that nobody uses. */
  spare(): CacheObject | undefined {
    let left = LOOKED_AT;
    for (const file of this.doubles) {
      const object = this.cache.objectOf(file);
      if (object === undefined) this.doubles.delete(file);
      else if (object.item.resident && !object.held && !object.item.pinned) return object;
      if (--left === 0) break;
    }
    return undefined;
  }

  /** All of an object's content is here. */
  has({ key }: { readonly key: ContentKey }): boolean {
    return this.cache.has(key);
  }

  /** No file takes more than its share. */
  mayHold(size: number): boolean {
    return size <= this.cache.tier.sizeBytes * SHARE_MOST;
  }
}

export class TieredCache implements Cache {
  readonly #tiers: readonly PlacedTier[];
  readonly #last: PlacedTier;
  readonly #rules: Rules;
  readonly #mover: Mover;
  readonly pinning: TieredPinning;
  readonly loaded: Promise<void>;
  /** Copies that have not come to their end: until then there are two objects of a file, and no double. */
  #copying = 0;

  constructor({ places, buffers, rules, log }: TieredCacheParts) {
    const below =
      (tier: PlacedTier): Move =>
      (object, pace) =>
        this.#copyBelow(tier, object, pace);
    this.#tiers = places.map((place, at) => new PlacedTier(place, at, below));
    this.#last = this.#tiers.at(-1)!;
    this.#rules = rules;
    this.#mover = new Mover(buffers, (error) =>
      log.error({ error: String(error) }, 'the cache failed to move an object'),
    );
    this.loaded = Promise.all(places.map(({ cache }) => cache.loaded)).then(() => {});
    for (const tier of this.#tiers) {
      tier.cache.neighbours = {
        leaving: (object) => this.#leaving(tier, object),
        spare: () => tier.spare(),
        reused: (object) => this.#read(tier, object),
        keptBelow: (object) => tier !== this.#last && this.#last.has(object),
        queued: (object) => this.#mover.queued(object),
        completed: (object) => this.#completed(tier, object),
        removed: (object) => this.#removed(tier, object),
      };
    }
    const copy = { tiers: this.#tiers, copy: (moving: Moving): Promise<boolean> => this.#copy(moving) };
    this.pinning = new TieredPinning({ rules, ...copy });
    void this.loaded.then(() => this.#findDoubles());
  }

  // --- Cache -----------------------------------------------------------------------------------------------------------

  acquire(key: ContentKey, reader?: ContentReader): CachedContent | undefined {
    const best = this.#best(key);
    if (reader?.passing) return (best?.tier ?? this.#last).cache.acquire(key, reader);
    if (best === undefined) return this.#enter(key, reader);
    const { tier, object } = best;
    // What a faster tier cannot bring to its end is begun anew where there is room.
    if (tier !== this.#last && !object.held && !tier.cache.promise(object)) {
      tier.cache.remove(object);
      return this.#enter(key, reader);
    }
    const content = tier.cache.acquire(key, reader);
    this.#read(tier, object);
    return content;
  }

  /** Where a content is: the fastest tier that has all of it, else the one that has most. */
  #best(key: ContentKey): { tier: PlacedTier; object: CacheObject } | undefined {
    let best: { tier: PlacedTier; object: CacheObject } | undefined;
    for (const tier of this.#tiers) {
      const object = tier.cache.lookup(key);
      if (object === undefined) continue;
      if (object.complete && tier.healthy) return { tier, object };
      if (best === undefined || (object.complete && !best.object.complete)) best = { tier, object };
      else if (!best.object.complete && object.bytes > best.object.bytes) best = { tier, object };
    }
    return best;
  }

  /** Of a content that no tier has anything of. */
  #enter(key: ContentKey, reader: ContentReader | undefined): CachedContent | undefined {
    const rule = reader === undefined ? NO_RULE : this.#rules.of(key.file, () => reader.path());
    // What is always kept is kept where nothing has to leave for another tier; what never is, the last tier counts.
    for (const tier of rule === NO_RULE ? this.#tiers : []) {
      if (tier === this.#last || !tier.mayHold(key.size) || !tier.cache.fits(key.size)) continue;
      const content = tier.cache.acquire(key, reader);
      if (content === undefined) continue;
      tier.cache.promise(content as CacheObject);
      return content;
    }
    return this.#last.cache.acquire(key, reader);
  }

  refuses(file: string, reader: ContentReader): boolean {
    return this.#last.cache.refuses(file, reader);
  }

  has(key: ContentKey): boolean {
    return this.#tiers.some(({ cache }) => cache.has(key));
  }

  presentBytes(key: ContentKey): number {
    return Math.max(...this.#tiers.map(({ cache }) => cache.presentBytes(key)));
  }

  keeps(file: string): boolean {
    return this.#tiers.some(({ cache }) => cache.keeps(file));
  }

  freeBytes(): number {
    return this.#tiers.reduce((sum, { cache }) => sum + cache.freeBytes(), 0);
  }

  sizeBytes(): number {
    return this.#tiers.reduce((sum, { cache }) => sum + cache.sizeBytes(), 0);
  }

  drop(file: string): void {
    for (const { cache } of this.#tiers) cache.drop(file);
  }

  claim(bytes: number): void {
    this.#last.cache.claim(bytes); // whatever the faster ones have no room for comes here
  }

  async give(file: string): Promise<number> {
    const given = await Promise.all(this.#tiers.map(({ cache }) => cache.give(file)));
    return given.reduce((sum, bytes) => sum + bytes, 0);
  }

  async resize(path: string, sizeBytes: number): Promise<void> {
    await this.#tiers.find(({ cache }) => cache.tier.name === path)?.cache.resize(path, sizeBytes);
  }

  setScrubRate(bytesPerSecond: number): void {
    for (const { cache, volatile } of this.#tiers) if (!volatile) cache.setScrubRate(bytesPerSecond);
  }

  snapshot(): CacheSnapshot {
    const all = this.#tiers.map(({ cache }) => cache.snapshot());
    const doubles = this.#tiers.reduce((sum, tier) => sum + tier.doubles.size, 0);
    const sum = (of: (snapshot: CacheSnapshot) => number): number => all.reduce((total, each) => total + of(each), 0);
    return {
      tiers: all.flatMap(({ tiers }) => tiers),
      sizeBytes: sum(({ sizeBytes }) => sizeBytes),
      usedBytes: sum(({ usedBytes }) => usedBytes),
      objects: sum(({ objects }) => objects) - doubles - this.#copying,
      completeObjects: sum(({ completeObjects }) => completeObjects) - doubles,
      objectsInMemory: sum(({ objectsInMemory }) => objectsInMemory),
      waitingBytes: sum(({ waitingBytes }) => waitingBytes),
      hits: sum(({ hits }) => hits),
      hitBytes: sum(({ hitBytes }) => hitBytes),
      misses: sum(({ misses }) => misses),
      missBytes: sum(({ missBytes }) => missBytes),
      refused: {
        noRoom: sum(({ refused }) => refused.noRoom),
        disk: sum(({ refused }) => refused.disk),
        neverCache: sum(({ refused }) => refused.neverCache),
      },
      policy: all[0]!.policy,
      evictions: sum(({ evictions }) => evictions),
      evictedBytes: sum(({ evictedBytes }) => evictedBytes),
      ...this.pinning.snapshot(),
      heldBytes: sum(({ heldBytes }) => heldBytes),
      checkedChunks: sum(({ checkedChunks }) => checkedChunks),
      damagedChunks: sum(({ damagedChunks }) => damagedChunks),
      scrub: scrubOfAll(all.filter((_, at) => !this.#tiers[at]!.volatile)),
      health: healthOf(all.flatMap(({ tiers }) => tiers)),
    };
  }

  async shutdown(): Promise<void> {
    await this.#mover.stop();
    for (const { cache } of this.#tiers) await cache.shutdown();
  }

  // --- moving ----------------------------------------------------------------------------------------------------------

  /** Somebody reads an object of this tier: does it belong in a faster one? */
  #read(tier: PlacedTier, object: CacheObject): void {
    if (tier.at === 0 || object.key.size === 0 || this.#mover.queued(object)) return;
    for (const faster of this.#tiers.slice(0, tier.at)) {
      if (!faster.healthy || !faster.mayHold(object.key.size)) continue;
      if (faster.has(object)) {
        this.#mover.add(object, letGo, true);
        return;
      }
      const item = faster.cache.candidate(object, true);
      if (item === undefined || !object.complete) continue;
      const moving = { object, from: tier, to: faster, item };
      this.#mover.add(object, (_, pace) => this.#promote({ ...moving, pace }), true);
      return;
    }
  }

  async #promote({ object, from, to, item, pace }: Moving): Promise<void> {
    if (object.dropped || !object.complete || to.has(object)) return;
    if (!(await this.#copy({ object, from, to, item, pace }))) return;
    const { moved } = to.cache;
    moved.promotions++;
    moved.promotedBytes += object.key.size;
    this.#doubled(from, object);
    object.letGo?.(); // the next open is served from the faster tier
  }

  async #copy({ object, from, to, item, pace }: Moving): Promise<boolean> {
    this.#copying++;
    try {
      return await copyObject({ object, from: from.cache, to: to.cache, item, pace });
    } finally {
      this.#copying--;
    }
  }

  /** A faster tier has this one as well. What is always kept does not count as spare for that. */
  #doubled(tier: PlacedTier, object: CacheObject): void {
    if (!object.dropped && !object.item.pinned) tier.doubles.add(object.key.file);
  }

  #removed(from: PlacedTier, object: CacheObject): void {
    const { file } = object.key;
    for (const tier of this.#tiers) {
      if (!tier.doubles.has(file)) continue;
      if (tier === from || !this.#tiers.slice(0, tier.at).some((faster) => faster.has(object)))
        tier.doubles.delete(file);
    }
  }

  /** An object is to leave a tier for the room it takes. True: another has all of it. */
  async #leaving(tier: PlacedTier, object: CacheObject): Promise<boolean> {
    if (!object.complete) return false;
    if (this.#tiers.some((other) => other !== tier && other.has(object))) return true;
    for (const slower of this.#tiers.slice(tier.at + 1)) {
      const item = slower.healthy ? slower.cache.candidate(object, false) : undefined;
      if (item !== undefined && (await this.#demote({ object, from: tier, to: slower, item, pace: undefined })))
        return true;
    }
    return false;
  }

  async #demote({ object, from, to, item, pace }: Moving): Promise<boolean> {
    if (!(await this.#copy({ object, from, to, item, pace }))) return false;
    const { moved } = to.cache;
    moved.demotions++;
    moved.demotedBytes += object.key.size;
    if (from.has(object)) this.#doubledBelow(to, object.key);
    return true;
  }

  /** The double of an object that a faster tier has. */
  #doubledBelow(tier: PlacedTier, key: ContentKey): void {
    if (tier.has({ key })) tier.doubles.add(key.file);
  }

  /** What came to a tier in memory is copied below, where there is room: it need not be fetched again after the next start. */
  #completed(tier: PlacedTier, object: CacheObject): void {
    if (tier.volatile) this.#mover.add(object, tier.copyBelow, false);
  }

  async #copyBelow(tier: PlacedTier, object: CacheObject, pace: Pace): Promise<void> {
    if (object.dropped || !object.complete) return;
    const lasting = this.#tiers.filter(({ at, volatile }) => at > tier.at && !volatile);
    if (lasting.some((other) => other.has(object))) return;
    const to = lasting.find(({ cache }) => cache.fits(object.key.size));
    const item = to?.cache.candidate(object, false);
    if (to === undefined || item === undefined) return;
    await this.#demote({ object, from: tier, to, item, pace });
  }

  /** What an earlier run left in two tiers. */
  async #findDoubles(): Promise<void> {
    for (const tier of this.#tiers) {
      const below = this.#tiers.slice(tier.at + 1);
      if (below.length === 0 || tier.volatile) continue;
      for (let at: number | undefined = 0; at !== undefined; await sleep(PAUSE_MS, undefined, { ref: false })) {
        const { contents, last } = tier.cache.contentsAfter(at, LOOKED_AT_ONCE);
        for (const key of contents) for (const slower of below) if (tier.has({ key })) this.#doubledBelow(slower, key);
        at = last;
      }
    }
  }
}

export interface Moving {
  object: CacheObject;
  from: PlacedTier;
  to: PlacedTier;
  item: ObjectItem;
  /** Undefined: somebody waits for the room. */
  pace: Pace | undefined;
}

/** Of an object that its readers hold, and that a faster tier has: when they have gone, the next open is served from there. */
async function letGo(object: CacheObject): Promise<void> {
  object.letGo?.();
}

/** The state of the first that has most to say; bytes and passes of all. */
function scrubOfAll(all: readonly CacheSnapshot[]): ScrubSnapshot {
  const order: ScrubSnapshot['state'][] = ['running', 'paused', 'waiting', 'resting', 'off'];
  const scrubs = all.map(({ scrub }) => scrub);
  const sum = (of: (scrub: ScrubSnapshot) => number): number => scrubs.reduce((total, each) => total + of(each), 0);
  return {
    state: order.find((state) => scrubs.some((each) => each.state === state)) ?? 'off',
    bytesPerSecond: sum(({ bytesPerSecond }) => bytesPerSecond),
    checkedBytes: sum(({ checkedBytes }) => checkedBytes),
    damagedChunks: sum(({ damagedChunks }) => damagedChunks),
    passes: sum(({ passes }) => passes),
    done: scrubs.length === 0 ? 1 : Math.min(...scrubs.map(({ done }) => done)),
  };
}

function healthOf(tiers: readonly TierSnapshot[]): string {
  const ill = tiers.filter(({ health }) => health !== 'ok').map(({ path, health }) => `${path}: ${health}`);
  return ill.length === 0 ? 'ok' : ill.join('; ');
}
