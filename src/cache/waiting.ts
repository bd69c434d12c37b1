/**
 * What was brought ahead of a reader who comes soon, and found no room in the tier: it waits in memory. Who reads it to its end
 * takes it; what nobody comes for goes after a while. A bound for all objects of a cache; what is beyond it is not fetched.
 */
import { performance } from '../sys/clock.ts';
import { type Fetch, PAGE_BYTES } from './fetch.ts';

const WAITING_MOST_BYTES = 32 * 1024 * 1024;
const LONGEST_MS = 30_000;
const SWEEP_MS = 5000;

interface Waiter {
  readonly fetch: Fetch;
  readonly of: Waiting;
  readonly sinceMs: number;
  /** Not read yet. */
  leftBytes: number;
}

/** Of a cache. */
export class WaitingRoom {
  readonly #mostBytes: number;
  /** Those that came first are first. */
  readonly #waiters = new Set<Waiter>();
  #bytes = 0;
  #sweeps: NodeJS.Timeout | undefined;

  constructor(mostBytes: number = WAITING_MOST_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** Memory in use, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  takes(bytes: number): boolean {
    return this.#bytes + bytes <= this.#mostBytes;
  }

  enter(waiter: Waiter): void {
    waiter.fetch.buffer.retain();
    this.#waiters.add(waiter);
    this.#bytes += waiter.fetch.buffer.bytes.length;
    this.#sweeps ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  leave(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    this.#bytes -= waiter.fetch.buffer.bytes.length;
    waiter.fetch.buffer.release();
    if (this.#waiters.size > 0) return;
    clearInterval(this.#sweeps);
    this.#sweeps = undefined;
  }

  /** Nobody comes any more. */
  clear(): void {
    for (const { of, fetch } of this.#waiters) of.remove(fetch);
  }

  #sweep(): void {
    const beforeMs = performance.now() - LONGEST_MS;
    for (const waiter of this.#waiters) {
      if (waiter.sinceMs > beforeMs) return;
      waiter.of.remove(waiter.fetch);
    }
  }
}

/** Of one object. */
export class Waiting {
  readonly #room: WaitingRoom;
  readonly #emptied: () => void;
  /** By page. */
  readonly #pages = new Map<number, Waiter>();

  /** `emptied`: called when nothing waits any more. */
  constructor(room: WaitingRoom, emptied: () => void) {
    this.#room = room;
    this.#emptied = emptied;
  }

  get empty(): boolean {
    return this.#pages.size === 0;
  }

  takes(bytes: number): boolean {
    return this.#room.takes(bytes);
  }

  /** A fetch of whole pages, on its way. */
  put(fetch: Fetch): void {
    const waiter = { fetch, of: this, sinceMs: performance.now(), leftBytes: fetch.length };
    this.#room.enter(waiter);
    for (const page of pagesOf(fetch)) {
      const other = this.#pages.get(page);
      if (other !== undefined) this.#leave(other);
      this.#pages.set(page, waiter);
    }
  }

  /** The one that has the byte at an offset. */
  at(offset: number): Fetch | undefined {
    return this.#pages.get(Math.floor(offset / PAGE_BYTES))?.fetch;
  }

  /** Those that have all of a range between them; undefined: some of it does not wait. */
  covering(offset: number, end: number): Fetch[] | undefined {
    const fetches: Fetch[] = [];
    for (let at = offset; at < end; ) {
      const fetch = this.at(at);
      if (fetch === undefined) return undefined;
      fetches.push(fetch);
      at = fetch.offset + fetch.length;
    }
    return fetches;
  }

  /** A reader has a range: what is read to its end waits no more. */
  taken(offset: number, end: number): void {
    for (let at = offset; at < end && !this.empty; ) {
      const waiter = this.#pages.get(Math.floor(at / PAGE_BYTES));
      if (waiter === undefined) {
        at = (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES;
        continue;
      }
      const to = Math.min(end, waiter.fetch.offset + waiter.fetch.length);
      waiter.leftBytes -= to - at;
      if (waiter.leftBytes <= 0) this.#gone(waiter);
      at = to;
    }
  }

  /** Nobody will come for any of it. */
  clear(): void {
    if (this.empty) return;
    for (const waiter of new Set(this.#pages.values())) this.#leave(waiter);
    this.#emptied();
  }

  /** Nothing came of it, or nobody came for it. */
  remove(fetch: Fetch): void {
    const waiter = this.#pages.get(fetch.offset / PAGE_BYTES);
    if (waiter?.fetch === fetch) this.#gone(waiter);
  }

  #gone(waiter: Waiter): void {
    this.#leave(waiter);
    if (this.empty) this.#emptied();
  }

  #leave(waiter: Waiter): void {
    for (const page of pagesOf(waiter.fetch)) if (this.#pages.get(page) === waiter) this.#pages.delete(page);
    this.#room.leave(waiter);
  }
}

function* pagesOf({ offset, length }: Fetch): Generator<number> {
  for (let at = offset; at < offset + length; at += PAGE_BYTES) yield at / PAGE_BYTES;
}
