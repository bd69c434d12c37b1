/**
 * Reads what is kept from the disk, bit by bit, and holds it against its checksums, so that damage is found before it is
 * needed. At a bounded rate, and not while the mount or anyone else reads from that disk. A pass goes through all objects in
 * the order of their ids, goes on after a restart where it was, and is followed by a day of rest.
 */
import { secondsNow } from '../sys/clock.ts';
import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { DiskActivity } from './disk-activity.ts';
import type { IndexRow } from './index-db.ts';
import { CacheObject } from './object.ts';
import type { ObjectHost } from './object-host.ts';
import type { ObjectIndex } from './object-index.ts';
import { checksumOf } from './verify.ts';

const TICK_MS = 500;
/** How long everybody else must have been quiet. */
const QUIET_MS = 2000;
/** What others may read from the disk in a second without being disturbed. */
const OTHERS_BYTES = 1024 * 1024;
const REST_SECONDS = 86_400;
const NOTE_SECONDS = 30;
/** Looked up in the index at once. */
const ROWS = 64;

export interface ScrubSnapshot {
  /** off; waiting: for the rows of the index; running; paused: others read; resting: until the next pass. */
  state: 'off' | 'waiting' | 'running' | 'paused' | 'resting';
  bytesPerSecond: number;
  /** Read and checked since the start, and what was found. */
  checkedBytes: number;
  damagedChunks: number;
  /** Passes ended since the start; and the share of this pass that is done. */
  passes: number;
  done: number;
}

export interface ScrubHost extends ObjectHost {
  /** The object of a row, until it is put back; undefined: it is none any more. */
  bring(row: IndexRow): CacheObject | undefined;
  /** It need not be an object any more. */
  putBack(object: CacheObject): void;
}

export interface ScrubParts {
  host: ScrubHost;
  index: ObjectIndex;
  /** Objects, awake or not. */
  objects: () => number;
  /** Reads that the mount was asked so far. */
  reads: () => number;
  /** 0: off. May change. */
  bytesPerSecond: number;
  /** Milliseconds of quiet before it begins and after each disturbance; QUIET_MS unless said. */
  quietMs?: number | undefined;
}

export class Scrubber {
  bytesPerSecond: number;
  readonly #host: ScrubHost;
  readonly #index: ObjectIndex;
  readonly #objects: () => number;
  readonly #reads: () => number;
  readonly #quietMs: number;
  readonly #disk: DiskActivity;
  #state: ScrubSnapshot['state'] = 'waiting';
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** A pass is under way; what comes next in it, and after which id. */
  #passing = false;
  #upcoming: (CacheObject | IndexRow)[] = [];
  #at = 0;
  #object: CacheObject | undefined;
  /** The object is one only to be checked. */
  #brought = false;
  #chunk = 0;
  #walked = 0;
  /** Objects up to this id were checked in this pass, by this run or the one before. */
  #afterId = 0;
  #restUntilS = 0;
  #notedAtS = 0;

  /** Bytes that may be read now; negative after a chunk that was larger. */
  #budget = 0;
  #quietSinceMs = performance.now();
  #lastReads = 0;
  #ownBytes = 0;
  #checkedBytes = 0;
  #damagedChunks = 0;
  #passes = 0;

  constructor({ host, index, objects, reads, bytesPerSecond, quietMs }: ScrubParts) {
    this.#host = host;
    this.#index = index;
    this.#objects = objects;
    this.#reads = reads;
    this.bytesPerSecond = bytesPerSecond;
    this.#quietMs = quietMs ?? QUIET_MS;
    this.#disk = new DiskActivity(host.tier.directory);
    void index.loaded.then(() => this.#begin());
  }

  snapshot(): ScrubSnapshot {
    const objects = this.#objects();
    return {
      state: this.bytesPerSecond === 0 ? 'off' : this.#state,
      bytesPerSecond: this.bytesPerSecond,
      checkedBytes: this.#checkedBytes,
      damagedChunks: this.#damagedChunks,
      passes: this.#passes,
      done: this.#state === 'resting' || objects === 0 ? 1 : Math.min(1, this.#walked / objects),
    };
  }

  #begin(): void {
    if (this.#stopped) return;
    this.#afterId = Number(this.#index.note('scrubbedId') ?? 0) || 0;
    this.#restUntilS = Number(this.#index.note('scrubRestUntil') ?? 0) || 0;
    this.#next();
  }

  stop(): void {
    if (!this.#stopped && this.#passing) this.#note();
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #next(): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#tick(), TICK_MS).unref();
  }

  async #tick(): Promise<void> {
    try {
      const perTick = (this.bytesPerSecond * TICK_MS) / 1000;
      this.#budget = Math.min(this.#budget + perTick, perTick);
      if (this.#disturbs()) this.#state = 'paused';
      else if (this.bytesPerSecond > 0) await this.#work();
    } catch (error) {
      this.#host.defect(error);
    }
    this.#next();
  }

  /** Whether anybody else reads, or did just now. */
  #disturbs(): boolean {
    const reads = this.#reads();
    const others = this.#disk.readSince() - this.#ownBytes;
    const now = performance.now();
    if (reads !== this.#lastReads || others > (OTHERS_BYTES * TICK_MS) / 1000) this.#quietSinceMs = now;
    this.#lastReads = reads;
    this.#ownBytes = 0;
    return now - this.#quietSinceMs < this.#quietMs;
  }

  async #work(): Promise<void> {
    if (!this.#passing && secondsNow() < this.#restUntilS) {
      this.#state = 'resting';
      return;
    }
    this.#state = 'running';
    while (this.#budget > 0 && !this.#stopped) {
      this.#object ??= this.#nextObject();
      if (this.#object !== undefined) await this.#workOn(this.#object);
      else if (this.#lookUp()) await new Promise(setImmediate);
      else {
        this.#endPass();
        return;
      }
    }
    if (secondsNow() - this.#notedAtS > NOTE_SECONDS) this.#note();
  }

  /** The next that holds bytes at rest, of those that were looked up; undefined: there is none among them. */
  #nextObject(): CacheObject | undefined {
    this.#chunk = 0;
    for (let next = this.#upcoming.shift(); next !== undefined; next = this.#upcoming.shift()) {
      this.#walked++;
      if (!next.synced || next.bytes === 0) continue;
      this.#brought = !(next instanceof CacheObject);
      const object = next instanceof CacheObject ? next : this.#host.bring(next);
      if (object !== undefined && !object.dropped && object.synced && object.bytes > 0) return object;
    }
    return undefined;
  }

  /** Looks up what comes next in the pass. False: there is nothing more. */
  #lookUp(): boolean {
    if (!this.#passing) this.#at = this.#afterId;
    this.#passing = true;
    const { found, last } = this.#index.after(this.#at, ROWS);
    if (last === undefined) return false;
    this.#at = last;
    this.#upcoming = found;
    return true;
  }

  #endPass(): void {
    this.#passes++;
    this.#passing = false;
    this.#walked = 0;
    this.#afterId = 0;
    this.#restUntilS = secondsNow() + REST_SECONDS;
    this.#state = 'resting';
    this.#note();
  }

  #note(): void {
    this.#notedAtS = secondsNow();
    this.#index.setNote('scrubbedId', String(this.#afterId));
    this.#index.setNote('scrubRestUntil', String(this.#restUntilS));
  }

  /** As many chunks of an object as there is budget for. */
  async #workOn(object: CacheObject): Promise<void> {
    const fd = object.dropped ? -1 : this.#host.tier.openDirect(object.id);
    try {
      while (fd >= 0 && this.#chunk < object.chunks.count && !object.dropped && !this.#stopped) {
        if (this.#budget <= 0) return;
        const chunk = this.#chunk++;
        if (object.chunks.has(chunk)) await this.#check(object, chunk, fd);
      }
    } finally {
      if (fd >= 0) sys.close.now(fd);
    }
    if (fd === -Errno.ENOENT && !object.dropped) object.broken();
    if (object.id > this.#afterId) this.#afterId = object.id;
    if (this.#brought) this.#host.putBack(object);
    this.#object = undefined;
  }

  async #check(object: CacheObject, chunk: number, fd: number): Promise<void> {
    if (await this.#right(object, chunk, fd)) return;
    if (await this.#right(object, chunk, fd)) return; // once more: it may have been written anew meanwhile
    this.#damagedChunks++;
    object.damaged(chunk);
  }

  async #right(object: CacheObject, chunk: number, fd: number): Promise<boolean> {
    const [start, end] = [object.start(chunk), object.end(chunk)];
    const { tier, buffers, integrity } = this.#host;
    const expected = object.chunks.sum(chunk);
    const sum = await checksumOf(tier, buffers, fd, start, end);
    this.#budget -= end - start;
    this.#ownBytes += end - start;
    this.#checkedBytes += end - start;
    if (object.dropped || !object.chunks.has(chunk) || object.chunks.sum(chunk) !== expected) return true; // gone, or another
    integrity.checked(sum === expected);
    if (sum === expected) object.chunks.trust(chunk);
    return sum === expected;
  }
}
