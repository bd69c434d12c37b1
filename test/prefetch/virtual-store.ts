/**
 * A store behind a link, in a time of its own: requests take a latency, side by side, and their bytes come one after the other.
 * What a reader gets of it is the same on any machine, however busy. The scheduler, the orders and the streams are the real ones.
 */

import { Readers } from '../../src/access/data-set-readers.ts';
import { Streams } from '../../src/access/streams.ts';
import type { HeldFile, PrefetchHost } from '../../src/prefetch/host.ts';
import { Prefetch } from '../../src/prefetch/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { FakeFile, handleOf } from '../access/trace-support.ts';

const CHUNK_BYTES = 64 * 1024;
const MIB = 1024 * 1024;
/** Rounds of the event loop after which nothing is left that waits for no answer. */
const ROUNDS = 4;

export interface Link {
  latencyMs: number;
  bytesPerSecond: number;
}

export class VirtualStore {
  readonly #link: Link;
  nowMs = 1000;
  requests = 0;
  bytes = 0;
  #freeAtMs = 0;
  readonly #waiting: { atMs: number; answer: () => void }[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  request(bytes: number): Promise<void> {
    this.requests++;
    this.bytes += bytes;
    const { latencyMs, bytesPerSecond } = this.#link;
    const atMs = Math.max(this.#freeAtMs, this.nowMs + latencyMs) + (bytes / bytesPerSecond) * 1000;
    this.#freeAtMs = atMs;
    return new Promise((answer) => this.#waiting.push({ atMs, answer }));
  }

  /** Goes from answer to answer until `work` is done. */
  async during(work: Promise<void>): Promise<void> {
    let done = false;
    void work.then(() => {
      done = true;
    });
    for (;;) {
      for (let round = 0; round < ROUNDS; round++) await new Promise((resolve) => setImmediate(resolve));
      if (done) return;
      this.#waiting.sort((a, b) => a.atMs - b.atMs);
      const next = this.#waiting.shift();
      if (next === undefined) throw new Error('everybody waits and nothing is under way');
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.answer();
    }
  }
}

/** A large file of the store, a cache that holds all of it, and who reads it. */
export class VirtualFile {
  readonly size: number;
  readonly file: FakeFile;
  readonly store: VirtualStore;
  readonly prefetch: Prefetch;
  readonly streams: Streams = new Streams(new Readers((thread) => ({ pid: thread, command: 'reader', job: 1 })));
  readonly #present: Uint8Array;
  readonly #underWay = new Map<number, Promise<void>>();

  constructor(store: VirtualStore, size: number, aheadBytes = 8 * MIB) {
    this.store = store;
    this.size = size;
    this.file = new FakeFile('big', size);
    this.#present = new Uint8Array(Math.ceil(size / CHUNK_BYTES));
    this.prefetch = new Prefetch({
      host: this.#host(),
      requestsMost: 36,
      bytesMost: 64 * MIB,
      bulk: 'off',
      aheadBytes,
      jobWidth: async () => 1,
      plans: { log: silentLog, mountpoint: '/mnt/ml' },
    });
    this.streams.listener = this.prefetch.inFile;
  }

  /** Reads as a process of this number would; `seconds` it took, in the time of the store. */
  async reads(reads: Iterable<readonly [offset: number, size: number]>, process = 7): Promise<number> {
    const handle = handleOf(this.file, 'tier');
    const begunMs = this.store.nowMs;
    for (const [offset, size] of reads) {
      const { nowMs } = this.store;
      this.streams.reading(handle, process, offset, size, nowMs);
      await this.#bring(offset, size);
      this.prefetch.read(this.file, offset, size, false, undefined, process, this.store.nowMs);
    }
    return (this.store.nowMs - begunMs) / 1000;
  }

  /** Fetches what is missing of a range, and waits for what is on its way; the bytes that were fetched. */
  async #bring(offset: number, length: number): Promise<number> {
    const last = Math.ceil(Math.min(offset + length, this.size) / CHUNK_BYTES) - 1;
    const waits: Promise<void>[] = [];
    let bytes = 0;
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; ) {
      const under = this.#underWay.get(chunk);
      if (under !== undefined) waits.push(under);
      if (under !== undefined || this.#present[chunk] === 1) {
        chunk++;
        continue;
      }
      const first = chunk;
      while (chunk <= last && !this.#underWay.has(chunk) && this.#present[chunk] === 0) chunk++;
      bytes += (chunk - first) * CHUNK_BYTES;
      waits.push(this.#fetch(first, chunk));
    }
    await Promise.all(waits);
    return bytes;
  }

  #fetch(first: number, end: number): Promise<void> {
    const fetch = this.store.request((end - first) * CHUNK_BYTES).then(() => {
      for (let chunk = first; chunk < end; chunk++) {
        this.#present[chunk] = 1;
        this.#underWay.delete(chunk);
      }
    });
    for (let chunk = first; chunk < end; chunk++) this.#underWay.set(chunk, fetch);
    return fetch;
  }

  #host(): PrefetchHost {
    const { store, size } = this;
    const held: HeldFile = {
      fileKey: this.file.fileKey,
      size,
      opens: 1,
      missingBytes: (offset, length) => {
        let missing = 0;
        const end = Math.min(offset + length, size);
        for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk++) {
          if (this.#present[chunk] === 0) missing += CHUNK_BYTES;
        }
        return Math.min(missing, length);
      },
      fill: async (offset, length, arrived) => {
        const bytes = await this.#bring(offset, length);
        arrived?.();
        return bytes;
      },
      release: () => {},
    };
    return {
      nowMs: () => store.nowMs,
      hold: async () => held,
      list: async () => ({ files: [], directories: [] }),
      capacityBytes: () => 4 * size,
      freeBytes: () => 4 * size,
      keeps: () => true,
      drop: async () => 0,
      claim: () => {},
      defect: (error) => {
        throw error;
      },
      use: () => store,
    };
  }
}
