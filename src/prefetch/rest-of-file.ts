/**
 * Large files whose records are read in an order that cannot be known, as a mapped table that a job shuffles: what was not
 * fetched yet most likely will be. Once readers had to wait for so much of a file that the rest is no more than some times
 * that, and there is room for all of it, the rest is brought, at the speed of the link. Who reads few records of a large table,
 * or the same ones over and over, never comes that far.
 */
import type { BulkMode } from './data-sets.ts';
import { directoryOf, type Orders, type ReadFile } from './order.ts';
import { RestOrder } from './orders/rest.ts';

/** Of what readers had to fetch: the rest may be so many times that. */
const TIMES = 3;
/** Fetched by a miss of one record, about: a chunk. */
const MISS_BYTES = 64 * 1024;
/** READs after which it is looked at anew whether a reader reads here and there. */
const READS_BETWEEN = 16;
/** Files at once; of more, those that were read longest ago are forgotten. */
const FILES_MOST = 16;

/** One reader of one file. */
export interface RecordReader {
  readonly file: ReadFile;
  /** READs so far. */
  readonly reads: number;
  readonly pattern: string;
}

interface Watched {
  misses: number;
  order: RestOrder | undefined;
  /** It is not known yet whether the job is alone. */
  asking: boolean;
  /** The job shares the file with other nodes: each reads its part. */
  shared: boolean;
}

export interface RestParts {
  orders: Orders;
  nowMs: () => number;
  bulk: BulkMode;
  /** Over how many nodes a job is spread, by a thread of it; 1: it is alone, or cannot be seen. */
  jobWidth: (thread: number) => Promise<number>;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
}

export class RestOfFiles {
  readonly #parts: RestParts;
  /** Those that are read here and there; used last at the end. */
  readonly #files = new Map<ReadFile, Watched>();

  constructor(parts: RestParts) {
    this.#parts = parts;
  }

  read(reader: RecordReader): void {
    if (reader.reads % READS_BETWEEN !== 0 || reader.pattern !== 'random' || this.#parts.bulk === 'off') return;
    const watched = this.#files.get(reader.file) ?? { misses: 0, order: undefined, asking: false, shared: false };
    this.#files.delete(reader.file);
    this.#files.set(reader.file, watched);
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= FILES_MOST) break;
      this.forgotten(oldest);
    }
  }

  /** A READ of a file had to wait for the store. */
  missed(file: ReadFile, thread: number): void {
    const watched = this.#files.get(file);
    if (watched === undefined || watched.shared) return;
    watched.misses++;
    const { order } = watched;
    if (order !== undefined) order.came(this.#parts.nowMs());
    else if (!watched.asking && this.#isEnough(file, watched.misses)) void this.#begin(file, watched, thread);
  }

  forgotten(file: ReadFile): void {
    const order = this.#files.get(file)?.order;
    if (order !== undefined) this.#parts.orders.remove(order);
    this.#files.delete(file);
  }

  stop(): void {
    for (const file of [...this.#files.keys()]) this.forgotten(file);
  }

  #isEnough(file: ReadFile, misses: number): boolean {
    const fetched = misses * MISS_BYTES;
    const rest = file.attributes.size - fetched;
    return rest <= TIMES * fetched && rest <= this.#parts.orders.roomBytes;
  }

  async #begin(file: ReadFile, watched: Watched, thread: number): Promise<void> {
    const { bulk, jobWidth, announced, nowMs, orders } = this.#parts;
    if (announced(directoryOf(file.path()))) return;
    if (bulk === 'auto') {
      watched.asking = true;
      watched.shared = (await jobWidth(thread)) > 1;
      watched.asking = false;
      if (watched.shared || this.#files.get(file) !== watched) return;
    }
    watched.order = new RestOrder(file, nowMs);
    orders.add(watched.order);
  }
}
