/**
 * A store behind a link, in a time of its own: requests take a latency, side by side, and their bytes come one after the other.
 * What a reader gets of it is the same on any machine, however busy. The scheduler, the orders and the streams are the real ones.
 */

import { Readers } from '../../src/access/data-set-readers.ts';
import { Streams } from '../../src/access/streams.ts';
import type { HeldFile, PrefetchHost } from '../../src/prefetch/host.ts';
import { Prefetch } from '../../src/prefetch/index.ts';
import type { BulkMode } from '../../src/prefetch/job-share.ts';
import { directoryOf } from '../../src/prefetch/order.ts';
import { Errno } from '../../src/sys/errno.ts';
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
      if (!this.#answer()) throw new Error('everybody waits and nothing is under way');
    }
  }

  /** Goes on until nothing is under way. */
  async untilIdle(): Promise<void> {
    do {
      for (let round = 0; round < ROUNDS; round++) await new Promise((resolve) => setImmediate(resolve));
    } while (this.#answer());
  }

  #answer(): boolean {
    this.#waiting.sort((a, b) => a.atMs - b.atMs);
    const next = this.#waiting.shift();
    if (next === undefined) return false;
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.answer();
    return true;
  }
}

/** What the cache has left, for all files. */
interface Room {
  bytes: number;
}

/** A file of the store, in a cache that keeps what there is room for. */
class VirtualFile {
  readonly file: FakeFile;
  readonly held: HeldFile;
  readonly #store: VirtualStore;
  readonly #room: Room;
  readonly #present: Uint8Array;
  /** Chunks that wait in memory for their reader. */
  readonly waiting = new Set<number>();
  readonly #underWay = new Map<number, Promise<void>>();
  #found: Promise<void> | undefined;

  constructor(store: VirtualStore, path: string, size: number, room: Room) {
    this.#store = store;
    this.#room = room;
    this.file = new FakeFile(path, size);
    this.#present = new Uint8Array(Math.ceil(size / CHUNK_BYTES));
    this.held = {
      fileKey: this.file.fileKey,
      size,
      opens: 1,
      missingBytes: (offset, length) => this.#missing(offset, length),
      fill: async (offset, length, { arrived, mayWait } = {}) => {
        if (!mayWait && this.#room.bytes < length) return -Errno.ENOSPC;
        const bytes = await this.#bring(offset, length, mayWait === true);
        arrived?.();
        return bytes;
      },
      release: () => {},
    };
  }

  /** Looked up and opened: a trip, once. */
  found(): Promise<void> {
    this.#found ??= this.#store.request(0);
    return this.#found;
  }

  /** A reader's: fetches what is missing of a range, and waits for what is on its way; the bytes that were fetched. */
  async bring(offset: number, length: number): Promise<number> {
    const bytes = await this.#bring(offset, length, false);
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk * CHUNK_BYTES < offset + length; chunk++) {
      this.waiting.delete(chunk);
    }
    return bytes;
  }

  async #bring(offset: number, length: number, waits: boolean): Promise<number> {
    const { size } = this.file.attributes;
    const last = Math.ceil(Math.min(offset + length, size) / CHUNK_BYTES) - 1;
    const fetches: Promise<void>[] = [];
    let bytes = 0;
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; ) {
      const under = this.#underWay.get(chunk);
      if (under !== undefined) fetches.push(under);
      if (under !== undefined || this.#has(chunk)) {
        chunk++;
        continue;
      }
      const first = chunk;
      while (chunk <= last && !this.#underWay.has(chunk) && !this.#has(chunk)) chunk++;
      bytes += (chunk - first) * CHUNK_BYTES;
      fetches.push(this.#fetch(first, chunk, waits));
    }
    await Promise.all(fetches);
    return bytes;
  }

  #missing(offset: number, length: number): number {
    let missing = 0;
    const end = Math.min(offset + length, this.file.attributes.size);
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk * CHUNK_BYTES < end; chunk++) {
      if (!this.#has(chunk)) missing += CHUNK_BYTES;
    }
    return Math.min(missing, length);
  }

  #has(chunk: number): boolean {
    return this.#present[chunk] === 1 || this.waiting.has(chunk);
  }

  #fetch(first: number, end: number, waits: boolean): Promise<void> {
    const fetch = this.#store.request((end - first) * CHUNK_BYTES).then(() => {
      for (let chunk = first; chunk < end; chunk++) {
        this.#underWay.delete(chunk);
        if (this.#room.bytes >= CHUNK_BYTES) {
          this.#present[chunk] = 1;
          this.#room.bytes -= CHUNK_BYTES;
        } else if (waits) this.waiting.add(chunk);
      }
    });
    for (let chunk = first; chunk < end; chunk++) this.#underWay.set(chunk, fetch);
    return fetch;
  }
}

type Read = readonly [offset: number, size: number, process?: number];

/** A mount of files of the store, by their paths, and who reads them. */
export class VirtualMount {
  readonly store: VirtualStore;
  readonly prefetch: Prefetch;
  readonly streams: Streams = new Streams(new Readers((thread) => ({ pid: thread, command: 'reader', job: 1 })));
  readonly #files = new Map<string, VirtualFile>();
  readonly #capacityBytes: number;
  readonly #room: Room;

  constructor(
    store: VirtualStore,
    sizes: Readonly<Record<string, number>>,
    aheadBytes = 8 * MIB,
    bulk: BulkMode = 'off',
    capacityBytes = Number.POSITIVE_INFINITY,
  ) {
    this.store = store;
    const most = 4 * Object.values(sizes).reduce((sum, size) => sum + size, 0);
    this.#capacityBytes = Math.min(capacityBytes, most);
    this.#room = { bytes: this.#capacityBytes };
    for (const [path, size] of Object.entries(sizes)) {
      this.#files.set(path, new VirtualFile(store, path, size, this.#room));
    }
    this.prefetch = new Prefetch({
      host: this.#host(),
      underWayMost: 36,
      bytesMost: 64 * MIB,
      bulk,
      aheadBytes,
      jobWidth: async () => 1,
      plans: { log: silentLog, mountpoint: '/mnt/ml' },
    });
    this.streams.listener = this.prefetch.largeFiles;
  }

  /**
   * Reads as a process of this number would, or as that of each READ; in the time of the store, `seconds` it took, and of these to
   * the first bytes.
   */
  async reads(
    path: string,
    reads: Iterable<Read> | AsyncIterable<Read>,
    process = 7,
  ): Promise<{ seconds: number; firstSeconds: number }> {
    const virtual = this.#files.get(path)!;
    const handle = handleOf(virtual.file, 'tier');
    const begunMs = this.store.nowMs;
    let firstMs = 0;
    await virtual.found();
    this.prefetch.opened(virtual.file, false, undefined, this.store.nowMs);
    for await (const [offset, size, by = process] of reads) {
      const { nowMs } = this.store;
      this.streams.reading(handle, by, offset, size, nowMs);
      const missed = (await virtual.bring(offset, size)) > 0;
      if (firstMs === 0) firstMs = this.store.nowMs;
      this.prefetch.read(virtual.file, offset, size, missed, undefined, by, this.store.nowMs);
    }
    return { seconds: (this.store.nowMs - begunMs) / 1000, firstSeconds: (firstMs - begunMs) / 1000 };
  }

  #host(): PrefetchHost {
    const { store } = this;
    return {
      nowMs: () => store.nowMs,
      hold: async (file) => {
        const virtual = this.#files.get(typeof file === 'string' ? file : file.path());
        if (virtual === undefined) return -Errno.ENOENT;
        await virtual.found();
        return virtual.held;
      },
      list: async (path) => {
        await store.request(0);
        const files = [...this.#files.keys()].filter((name) => directoryOf(name) === path);
        return { files: files.map((name) => name.slice(path.length + 1)), directories: [] };
      },
      capacityBytes: () => this.#capacityBytes,
      freeBytes: () => this.#room.bytes,
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
