/**
 * Large files whose records are read in an order that cannot be known, as a mapped table that a job shuffles: what was not
 * fetched yet most likely will be. Once readers had to wait for so much of a file that the rest is no more than some times
 * that, the rest is brought, at the speed of the link; where there is room for a part of it, that part. Who reads few records of
 * a large table, or the same ones over and over, never comes that far.
 */
import { LRUCache } from 'lru-cache';
import { JobShare, type ShareParts } from './job-share.ts';
import { directoryOf, type Orders, type ReadFile } from './order.ts';
import { PIECE_BYTES } from './orders/readahead.ts';
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
  readonly share: JobShare;
}

export interface RestParts extends ShareParts {
  orders: Orders;
  nowMs: () => number;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
}

export class RestOfFiles {
  readonly #parts: RestParts;
  /** Those that are read here and there. */
  readonly #files: LRUCache<ReadFile, Watched>;

  constructor(parts: RestParts) {
    this.#parts = parts;
    const dispose = ({ order }: Watched): void => {
      if (order !== undefined) parts.orders.remove(order);
    };
    this.#files = new LRUCache({ max: FILES_MOST, dispose });
  }

  read(reader: RecordReader): void {
    if (reader.reads % READS_BETWEEN !== 0 || reader.pattern !== 'random' || this.#parts.bulk === 'off') return;
    if (this.#files.get(reader.file) !== undefined) return;
    this.#files.set(reader.file, { misses: 0, order: undefined, share: new JobShare(this.#parts) });
  }

  /** A READ of a file had to wait for the store. */
  missed(file: ReadFile, thread: number): void {
    const watched = this.#files.peek(file);
    if (watched === undefined) return;
    watched.misses++;
    const { order } = watched;
    if (order !== undefined) {
      if (order.came(this.#parts.nowMs())) this.#parts.orders.wake();
    } else if (!watched.share.closed && this.#isEnough(file, watched.misses)) void this.#begin(file, watched, thread);
  }

  forgotten(file: ReadFile): void {
    this.#files.delete(file);
  }

  stop(): void {
    this.#files.clear();
  }

  #isEnough(file: ReadFile, misses: number): boolean {
    const fetched = misses * MISS_BYTES;
    const rest = file.attributes.size - fetched;
    const { roomBytes } = this.#parts.orders;
    return (rest <= roomBytes || roomBytes >= PIECE_BYTES) && Math.min(rest, roomBytes) <= TIMES * fetched;
  }

  async #begin(file: ReadFile, watched: Watched, thread: number): Promise<void> {
    const { announced, nowMs, orders } = this.#parts;
    if (announced(directoryOf(file.path()))) return;
    if (!(await watched.share.isAlone(thread)) || watched.order !== undefined || this.#files.peek(file) !== watched)
      return;
    const { roomBytes } = orders;
    const { size } = file.attributes;
    const fits = size - watched.misses * MISS_BYTES <= roomBytes;
    watched.order = new RestOrder(file, fits ? Number.POSITIVE_INFINITY : roomBytes, nowMs);
    orders.add(watched.order);
  }
}
