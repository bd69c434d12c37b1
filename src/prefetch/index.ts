/** What brings data before it is read: what a mount has of it. */
import { PrefetchedSets, type ReadSet, type SetSnapshot } from './data-sets.ts';
import type { PrefetchHost } from './host.ts';
import type { BulkMode } from './job-share.ts';
import { LargeFiles } from './large-files.ts';
import type { StoreLimit } from './limit.ts';
import type { SequenceSnapshot } from './next-files.ts';
import type { ReadFile } from './order.ts';
import { Plans, type PlansOptions } from './plans/plans.ts';
import type { RangesSnapshot } from './repeated-ranges.ts';
import { Scheduler, type PrefetchSnapshot as SchedulerSnapshot } from './scheduler.ts';
import { Spent } from './spent.ts';

export interface PrefetchOptions {
  host: PrefetchHost;
  underWayMost: number;
  bytesMost: number;
  bulk: BulkMode;
  /** What may be ahead of one reader inside a large file, in bytes; 0: nothing is. */
  aheadBytes: number;
  limit?: StoreLimit | undefined;
  jobWidth: (thread: number) => Promise<number>;
  plans: PlansOptions;
}

export interface PrefetchSnapshot extends SchedulerSnapshot {
  sets: SetSnapshot[];
  sequences: SequenceSnapshot[];
  ranges: RangesSnapshot[];
}

/** Told of what is opened and read, in the turn of the operation. */
export class Prefetch {
  readonly scheduler: Scheduler;
  /** What it makes of how large files are read; undefined: nothing. */
  readonly largeFiles: LargeFiles | undefined;
  /** What jobs have announced. */
  readonly plans: Plans;
  readonly #sets: PrefetchedSets;

  constructor({ host, underWayMost, bytesMost, limit, bulk, aheadBytes, jobWidth, plans }: PrefetchOptions) {
    const spent = new Spent();
    this.scheduler = new Scheduler(host, spent, { underWayMost, bytesMost, limit });
    const announced = (path: string): boolean => this.plans.isFollowedIn(path);
    if (aheadBytes > 0) {
      this.largeFiles = new LargeFiles({ host, orders: this.scheduler, aheadBytes, announced, bulk, jobWidth });
    }
    this.#sets = new PrefetchedSets({
      ...{ host, orders: this.scheduler, spent, bulk, jobWidth },
      announced,
    });
    this.plans = new Plans({ orders: this.scheduler, spent, host }, plans);
  }

  /** `hidden`: its reads will not be seen. */
  opened(file: ReadFile, hidden: boolean, set: ReadSet | undefined, nowMs: number): void {
    this.scheduler.opened(file, hidden);
    if (!hidden) this.largeFiles?.opened(file);
    this.plans.opened(file, hidden);
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
    this.plans.read(file, offset, count);
    this.largeFiles?.answered(file, offset, missed, thread);
    if (missed && set !== undefined) this.#sets.missed(file, set, thread, nowMs);
  }

  snapshot(): PrefetchSnapshot {
    const sequences = this.largeFiles?.nextFiles.snapshot() ?? [];
    const ranges = this.largeFiles?.repeated.snapshot() ?? [];
    return { ...this.scheduler.snapshot(), sets: this.#sets.snapshot(), sequences, ranges };
  }

  async stop(): Promise<void> {
    this.plans.stop();
    this.largeFiles?.stop();
    this.#sets.stop();
    await this.scheduler.stop();
  }
}
