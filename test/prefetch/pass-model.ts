/**
 * A job that reads a data set in passes, a store that brings so many files in the time the job reads one, and a cache that keeps
 * what there is room for: everything about them is counted, nothing is timed.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { PrefetchedSets } from '../../src/prefetch/data-sets.ts';
import type { HeldFile, PrefetchHost } from '../../src/prefetch/host.ts';
import type { ReadFile } from '../../src/prefetch/order.ts';
import { Scheduler } from '../../src/prefetch/scheduler.ts';
import { Spent } from '../../src/prefetch/spent.ts';
import { Errno } from '../../src/sys/errno.ts';

export const FILE_BYTES = 100_000;
/** Turns of the loop in which everything that a read sets off has come to rest. */
const TURNS = 6;

export interface PassModelOptions {
  files: number;
  /** Of the cache, in files. */
  capacity: number;
  /** Files that the store brings while the job reads one. */
  perRead: number;
  /** Files that the job reads until the store brings one that was asked for; default: none. */
  latencyReads?: number;
  /** How long reading one takes, in ms; default 1. */
  readMs?: number;
  /** Of the scheduler. */
  underWayMost?: number;
  bulk?: 'auto' | 'off' | 'all';
  jobWidth?: number;
}

/** Of one pass: files that were there when they were opened, and files the store was asked for. */
export interface PassCounts {
  hits: number;
  fetched: number;
}

export class PassModel {
  readonly paths: string[];
  readonly cached = new Set<string>();
  readonly scheduler: Scheduler;
  readonly sets: PrefetchedSets;
  /** Fetched ahead that was there or that there was no room for. */
  refused = 0;
  fetched = 0;
  failing = false;
  pass = 0;
  nowMs = 1000;
  readonly #capacity: number;
  readonly #perRead: number;
  readonly #latencyReads: number;
  readonly #readMs: number;
  #reads = 0;
  #claimed = 0;
  readonly #underWay = new Set<string>();
  readonly #waiting: { fromRead: number; bring: () => void }[] = [];

  constructor({
    files,
    capacity,
    perRead,
    latencyReads = 0,
    readMs = 1,
    underWayMost = 32,
    bulk = 'auto',
    jobWidth = 1,
  }: PassModelOptions) {
    this.#capacity = capacity;
    this.#perRead = perRead;
    this.#latencyReads = latencyReads;
    this.#readMs = readMs;
    this.paths = Array.from({ length: files }, (_, i) => `data/f${i}`);
    const spent = new Spent();
    const host = this.#host();
    this.scheduler = new Scheduler(host, spent, { underWayMost, bytesMost: underWayMost * 2 ** 20 });
    this.sets = new PrefetchedSets({ host, orders: this.scheduler, spent, bulk, jobWidth: async () => jobWidth });
  }

  /** Files that are on their way for nobody. */
  get aheadUnderWay(): number {
    return this.#waiting.length;
  }

  /** One pass in this order. */
  async read(order: readonly string[]): Promise<PassCounts> {
    this.pass++;
    const counts: PassCounts = { hits: 0, fetched: -this.fetched };
    for (const path of order) {
      if (await this.open(path)) counts.hits++;
    }
    counts.fetched += this.fetched;
    return counts;
  }

  /** True: it was there. */
  async open(path: string): Promise<boolean> {
    const file = readFile(path);
    const set = { path: 'data', pass: this.pass };
    this.nowMs += this.#readMs;
    this.scheduler.opened(file, true);
    this.sets.opened(file, set, this.nowMs);
    const hit = this.cached.has(path);
    if (!hit) {
      const kept = this.#free - this.#claimed >= FILE_BYTES;
      if (kept || !this.#underWay.has(path)) this.fetched++; // else it waits for the same, which counts when it is kept
      this.sets.missed(file, set, 1, this.nowMs);
      if (kept) this.cached.add(path);
    }
    this.#reads++;
    for (let left = this.#perRead; left > 0 && this.#waiting[0] !== undefined; left--) {
      if (this.#waiting[0].fromRead > this.#reads) break;
      this.#waiting.shift()!.bring();
    }
    for (let i = 0; i < TURNS; i++) await turn();
    return hit;
  }

  async stop(): Promise<void> {
    this.sets.stop();
    const stopped = this.scheduler.stop();
    for (const { bring } of this.#waiting.splice(0)) bring();
    await stopped;
  }

  get #free(): number {
    return (this.#capacity - this.cached.size) * FILE_BYTES;
  }

  #host(): PrefetchHost {
    return {
      nowMs: () => this.nowMs,
      hold: async (file) => this.#held(typeof file === 'string' ? file : file.path()),
      list: async (path) => ({
        files: path === 'data' ? this.paths.map((file) => file.slice('data/'.length)) : [],
        directories: [],
      }),
      capacityBytes: () => this.#capacity * FILE_BYTES,
      freeBytes: () => this.#free,
      claim: (bytes) => {
        this.#claimed = bytes;
      },
      keeps: (fileKey) => this.cached.has(fileKey),
      drop: async (fileKey) => (this.cached.delete(fileKey) ? FILE_BYTES : 0),
      defect: (error) => {
        throw error;
      },
      use: () => ({ requests: 0, bytes: 0 }),
    };
  }

  #held(path: string): HeldFile {
    return {
      fileKey: path,
      size: FILE_BYTES,
      opens: 0,
      missingBytes: () => (this.cached.has(path) ? 0 : FILE_BYTES),
      fill: async (_offset, _length, options) => {
        this.#underWay.add(path);
        await new Promise<void>((bring) => {
          this.#waiting.push({ fromRead: this.#reads + this.#latencyReads, bring });
        });
        this.#underWay.delete(path);
        options?.arrived?.();
        if (this.failing) return -Errno.EIO;
        if (this.cached.has(path)) return 0;
        if (this.#free < FILE_BYTES) {
          this.refused++;
          return -Errno.ENOSPC;
        }
        this.fetched++;
        this.cached.add(path);
        return FILE_BYTES;
      },
      release: () => {},
    };
  }
}

function readFile(path: string): ReadFile {
  return { nodeId: 1, fileKey: path, attributes: { size: FILE_BYTES }, path: () => path };
}

/** Fisher and Yates, by a seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const all = [...items];
  let state = seed >>> 0 || 1;
  for (let i = all.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (i + 1));
    [all[i], all[other]] = [all[other]!, all[i]!];
  }
  return all;
}
