/** What brings data before it is read: what a mount has of it. */
import { type BulkMode, PrefetchedSets, type ReadSet } from './data-sets.ts';
import type { PrefetchHost } from './host.ts';
import type { StoreLimit } from './limit.ts';
import type { ReadFile } from './order.ts';
import { Scheduler, type PrefetchSnapshot as SchedulerSnapshot } from './scheduler.ts';
import { Spent } from './spent.ts';

export interface PrefetchOptions {
  host: PrefetchHost;
  requestsMost: number;
  bytesMost: number;
  bulk: BulkMode;
  limit?: StoreLimit | undefined;
  jobWidth: (thread: number) => Promise<number>;
}

export interface PrefetchSnapshot extends SchedulerSnapshot {
  sets: ReturnType<PrefetchedSets['snapshot']>;
}

/** Told of what is opened and read, in the turn of the operation. */
export class Prefetch {
  readonly scheduler: Scheduler;
  readonly #sets: PrefetchedSets;

  constructor({ host, requestsMost, bytesMost, limit, bulk, jobWidth }: PrefetchOptions) {
    const spent = new Spent();
    this.scheduler = new Scheduler(host, spent, { requestsMost, bytesMost, limit });
    this.#sets = new PrefetchedSets({ host, orders: this.scheduler, spent, bulk, jobWidth });
  }

  /** `hidden`: its reads will not be seen. */
  opened(file: ReadFile, hidden: boolean, set: ReadSet | undefined, nowMs: number): void {
    this.scheduler.opened(file, hidden);
    if (set !== undefined) this.#sets.opened(file, set, nowMs);
  }

  /** `missed`: the store had to be waited for. */
  read(
    file: ReadFile,
    offset: number,
    count: number,
    missed: boolean,
    set: ReadSet | undefined,
    thread: number,
    nowMs: number,
  ): void {
    this.scheduler.read(file, offset, count);
    if (missed && set !== undefined) this.#sets.missed(file, set, thread, nowMs);
  }

  snapshot(): PrefetchSnapshot {
    return { ...this.scheduler.snapshot(), sets: this.#sets.snapshot() };
  }

  async stop(): Promise<void> {
    this.#sets.stop();
    await this.scheduler.stop();
  }
}
