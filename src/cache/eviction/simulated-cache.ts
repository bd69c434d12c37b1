/**
 * A cache without bytes: takes, keeps and removes by a policy what the one on disk would (disk-cache.ts, object.ts), and
 * counts. Files up to 1 MiB are fetched whole; of larger ones the chunks that are read. One reader at a time: what is read
 * is kept before the next read.
 */

import { ChunkMap } from '../chunk-map.ts';
import { chunkBytesOf, WHOLE_FILE_BYTES } from '../chunk-size.ts';
import { type EvictionPolicy, Item } from './policy.ts';
import { Event, type Workload, type WorkloadItem } from './workload.ts';

const PROGRESS_EVENTS = 1 << 16;

export interface Simulated {
  /** Reads, and those all of whose bytes were in the cache. */
  reads: number;
  readHits: number;
  /** Their bytes, and those of them that were in the cache. */
  readBytes: number;
  hitBytes: number;
  /** Asked of the store. */
  storeBytes: number;
  evictions: number;
  evictedBytes: number;
  /** The most that was in use. */
  mostBytes: number;
}

export interface SimulatedCacheParts {
  policy: EvictionPolicy;
  capacityBytes: number;
  /** Undefined: by the size of the file. */
  chunkBytes: number | undefined;
}

class SimulatedObject extends Item {
  /** Of a file in chunks; undefined: it is there as a whole or not at all. */
  map: ChunkMap | undefined;

  constructor({ id, size, directory, extension }: WorkloadItem) {
    super(id, size, directory);
    this.extension = extension;
  }
}

export class SimulatedCache {
  readonly #policy: EvictionPolicy;
  readonly #capacityBytes: number;
  readonly #chunkBytes: number | undefined;
  readonly #workload: Workload;
  readonly #objects: (SimulatedObject | undefined)[];
  #usedBytes = 0;
  readonly counts: Simulated = {
    reads: 0,
    readHits: 0,
    readBytes: 0,
    hitBytes: 0,
    storeBytes: 0,
    evictions: 0,
    evictedBytes: 0,
    mostBytes: 0,
  };

  constructor(workload: Workload, { policy, capacityBytes, chunkBytes }: SimulatedCacheParts) {
    this.#workload = workload;
    this.#policy = policy;
    this.#capacityBytes = capacityBytes;
    this.#chunkBytes = chunkBytes;
    this.#objects = new Array(workload.items.length).fill(undefined);
  }

  /**
   * Runs events `from` to before `to`. `nextOpens`: of Workload.nextOpens, for MIN. `progress` is told the share done, now
   * and then.
   */
  run(from: number, to: number, nextOpens?: Float64Array, progress?: (share: number) => void): void {
    const { kinds, which, offsets, lengths, timesMs } = this.#workload;
    for (let at = from; at < to; at++) {
      const item = which[at]!;
      const nowMs = timesMs[at]!;
      if (kinds[at] === Event.OPEN) this.#open(item, nowMs, nextOpens?.[at]);
      else if (kinds[at] === Event.READ) this.#read(item, offsets[at]!, lengths[at]!, nowMs);
      else this.#drop(item);
      if (at % PROGRESS_EVENTS === 0) progress?.((at - from) / (to - from));
    }
  }

  #open(index: number, nowMs: number, nextUse: number | undefined): void {
    let object = this.#objects[index];
    if (object?.resident !== true) object = new SimulatedObject(this.#workload.items[index]!);
    if (nextUse !== undefined) object.nextUse = nextUse;
    this.#policy.accessed(object, nowMs);
    if (!object.resident && !this.#hasRoom(object) && !this.#policy.admits(object, nowMs)) {
      this.#objects[index] = undefined; // read from the store, until it is opened again
      return;
    }
    this.#objects[index] = object;
  }

  #hasRoom({ size }: Item): boolean {
    const wanted = size <= WHOLE_FILE_BYTES ? size : Math.min(size, chunkBytesOf(size, this.#chunkBytes));
    return this.#usedBytes + wanted <= this.#capacityBytes;
  }

  #read(index: number, offset: number, length: number, nowMs: number): void {
    const { counts } = this;
    const { size } = this.#workload.items[index]!;
    const end = Math.min(offset + length, size);
    if (end <= offset) return;
    const object = this.#objects[index];
    counts.reads++;
    counts.readBytes += end - offset;
    if (object === undefined) {
      counts.storeBytes += end - offset;
      return;
    }
    const missed =
      size <= WHOLE_FILE_BYTES
        ? this.#readWhole(object, offset, end, nowMs)
        : this.#readChunks(object, offset, end, nowMs);
    if (missed === 0) counts.readHits++;
    counts.hitBytes += end - offset - missed;
  }

  /** Returns how many of the bytes were missing. */
  #readWhole(object: SimulatedObject, offset: number, end: number, nowMs: number): number {
    if (object.resident) return 0;
    this.counts.storeBytes += object.size;
    this.#keep(object, object.size, nowMs);
    return end - offset;
  }

  #readChunks(object: SimulatedObject, offset: number, end: number, nowMs: number): number {
    const bytes = chunkBytesOf(object.size, this.#chunkBytes);
    object.map ??= new ChunkMap(Math.ceil(object.size / bytes));
    const last = Math.floor((end - 1) / bytes);
    let missed = 0;
    for (let chunk = Math.floor(offset / bytes); chunk <= last; ) {
      if (object.map.has(chunk)) {
        chunk++;
        continue;
      }
      const first = chunk;
      while (chunk <= last && !object.map.has(chunk)) chunk++;
      const from = first * bytes;
      const to = Math.min(chunk * bytes, object.size);
      missed += Math.min(to, end) - Math.max(from, offset);
      this.counts.storeBytes += to - from;
      if (this.#keep(object, to - from, nowMs)) for (let each = first; each < chunk; each++) object.map.set(each);
    }
    return missed;
  }

  #keep(object: SimulatedObject, bytes: number, nowMs: number): boolean {
    if (bytes > this.#capacityBytes) return false;
    while (this.#usedBytes + bytes > this.#capacityBytes) {
      const victim = this.#policy.victim(object, nowMs) as SimulatedObject | undefined;
      if (victim === undefined) return false;
      this.counts.evictions++;
      this.counts.evictedBytes += victim.bytes;
      this.#remove(victim);
    }
    this.#usedBytes += bytes;
    this.counts.mostBytes = Math.max(this.counts.mostBytes, this.#usedBytes);
    object.bytes += bytes;
    if (object.resident) this.#policy.grown(object, bytes);
    else {
      object.resident = true;
      this.#policy.inserted(object, nowMs);
    }
    return true;
  }

  #drop(index: number): void {
    const object = this.#objects[index];
    if (object?.resident) this.#remove(object);
    this.#objects[index] = undefined;
  }

  #remove(object: SimulatedObject): void {
    this.#policy.removed(object);
    this.#usedBytes -= object.bytes;
    object.bytes = 0;
    object.resident = false;
    object.map = undefined;
  }
}
