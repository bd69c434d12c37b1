/**
 * Brings what the index holds back into memory after a start, without keeping anyone waiting: in slices of some 2 ms, and
 * a file that is asked for before its slice has come by its key.
 */
import type { IndexDatabase, IndexRow, IndexTotals } from './index-db.ts';

const SLICE_ROWS = 300;
const SLICE_PAUSE_MS = 3;

export interface LoaderHost {
  /** Whether an id has an object already, or is about to be deleted. */
  handled(id: number): boolean;
  resume(row: IndexRow): void;
  /** A row that counts for nothing: it is to be deleted. */
  discard(id: number): void;
  /** Nothing is left to load; `damaged`: rows that were not right. */
  loaded(damaged: number): void;
  /** The index cannot be read on. */
  failed(error: unknown): void;
}

export class IndexLoader {
  readonly #db: IndexDatabase;
  readonly #host: LoaderHost;
  readonly #left: IndexTotals;
  readonly #lastId: number;
  /** Rows up to this id are in memory, or gone. */
  #done = 0;
  #damaged = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(db: IndexDatabase, host: LoaderHost) {
    this.#db = db;
    this.#host = host;
    this.#left = { ...db.totals };
    this.#lastId = db.lastId;
  }

  /** What is not in memory yet. */
  get left(): Readonly<IndexTotals> {
    return this.#left;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#step(), this.#lastId === 0 ? 0 : SLICE_PAUSE_MS);
  }

  /** The row of a file that is not in memory yet is resumed. */
  find(file: string): void {
    if (this.#ended || this.#left.rows <= 0) return;
    try {
      const row = this.#db.find(file);
      if (row !== undefined && row.id > this.#done && row.id <= this.#lastId && !this.#host.handled(row.id)) {
        this.#resume(row);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #step(): void {
    if (this.#ended) return;
    try {
      const { rows, unusable, damaged, last } = this.#db.slice(this.#done, SLICE_ROWS);
      for (const row of rows) if (row.id <= this.#lastId && !this.#host.handled(row.id)) this.#resume(row);
      for (const id of unusable) {
        if (id > this.#lastId || this.#host.handled(id)) continue;
        this.#host.discard(id);
        this.#left.rows--; // its bytes are given up with the rest: the row may say anything
      }
      this.#damaged += damaged;
      if (last === undefined || last >= this.#lastId) this.#end();
      else {
        this.#done = last;
        this.#timer = setTimeout(() => this.#step(), SLICE_PAUSE_MS);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #resume(row: IndexRow): void {
    this.#left.rows--;
    this.#left.bytes -= row.bytes;
    this.#host.resume(row);
  }

  #end(): void {
    this.#stop();
    this.#host.loaded(this.#damaged);
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#host.failed(error);
  }

  #stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** What was not loaded is given up; its bytes. */
  giveUp(): number {
    this.#stop();
    const { bytes } = this.#left;
    this.#left.rows = 0;
    this.#left.bytes = 0;
    return bytes;
  }
}
