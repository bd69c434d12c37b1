/**
 * Rows of earlier runs become objects when they are wanted, not before: there may be a million of them. A file is found by its
 * key; others are brought a few at a time when something has to go for new content; and the scrub has its own look at each.
 *
 * Meanwhile all rows are looked through once after the start, in slices of some 2 ms, for those that count for nothing.
 */
import { PinTally } from './eviction/pins.ts';
import { type IndexDatabase, type IndexRow, type IndexTotals, mayPass } from './index-db.ts';

const SLICE_ROWS = 300;
const SLICE_PAUSE_MS = 3;
/** Where the index cannot be read it is tried again, until it has failed on and on for so long. */
const RETRY_MS = 5000;
const PATIENCE_MS = 60_000;

export interface LoaderHost {
  /** Whether an id has an object already, or is about to be deleted. */
  handled(id: number): boolean;
  /** Whether a row's pin is one still. */
  pinned(pin: number): boolean;
  resume(row: IndexRow): void;
  /** A row that counts for nothing: it is to be deleted. */
  discard(id: number): void;
  /** A row that counts, and will not after another boot. */
  unsynced(id: number): void;
  /** All rows were looked at; `damaged`: those that were not right. `surplus`: bytes that were counted and are not there. */
  lookedThrough(damaged: number, surplus: number): void;
  /** The index cannot be read on. */
  failed(error: unknown): void;
}

/** Rows that are no objects, and as far as is known how many of them are of complete content, and what they are pinned by. */
export interface RowsLeft extends IndexTotals {
  complete: number;
  readonly pinned: PinTally;
}

export class IndexLoader {
  readonly #db: IndexDatabase;
  readonly #host: LoaderHost;
  /** By what the index says as a whole, until all rows were looked at. */
  readonly #left: RowsLeft;
  /** The same, of the rows up to `#lookedAt`, each of which was found to be right. */
  readonly #seen: IndexTotals = { rows: 0, bytes: 0 };
  /** Rows after it are of this run. */
  readonly lastId: number;
  #lookedAt = 0;
  /** Where bringing goes on. */
  #broughtTo = 0;
  #damaged = 0;
  #ended = false;
  /** When reading it failed last, and since when it did on and on (monotonic ms). */
  #failedAtMs = Number.NEGATIVE_INFINITY;
  #failingSinceMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(db: IndexDatabase, host: LoaderHost) {
    this.#db = db;
    this.#host = host;
    this.#left = { ...db.totals, complete: 0, pinned: new PinTally() };
    this.lastId = db.lastId;
  }

  get left(): Readonly<RowsLeft> {
    return this.#left;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#lookOn(), this.lastId === 0 ? 0 : SLICE_PAUSE_MS);
  }

  /** The row of a file that is no object; undefined: there is none that counts, or it cannot be read just now. */
  row(file: string): IndexRow | undefined {
    if (this.#ended || this.#left.rows <= 0) return undefined;
    try {
      const row = this.#db.find(file);
      return row !== undefined && this.waits(row.id) ? row : undefined;
    } catch (error) {
      this.#bears(error);
      return undefined;
    }
  }

  /** Whether an id may be of a row that is no object. */
  waits(id: number): boolean {
    return id <= this.lastId && !this.#host.handled(id);
  }

  resume(row: IndexRow): void {
    this.#count(row, -1);
    this.#host.resume(row);
  }

  /** An object is one no more: its row is, as it was. */
  returned(row: IndexRow): void {
    this.#count(row, 1);
  }

  #count({ id, bytes, chunks, pin }: IndexRow, by: 1 | -1): void {
    this.#left.rows += by;
    this.#left.bytes += by * bytes;
    if (id > this.#lookedAt) return;
    this.#seen.rows += by;
    this.#seen.bytes += by * bytes;
    if (chunks === null) this.#left.complete += by;
    this.#left.pinned.add(pin, by, by * bytes);
  }

  /** Resumes the next `most` rows or so, in the order of their ids and over again; not those that are pinned. */
  bring(most: number): void {
    if (this.#ended || this.#left.rows <= 0) return;
    try {
      const { rows, last } = this.#db.slice(this.#broughtTo, most);
      for (const row of rows) if (this.waits(row.id) && !this.#host.pinned(row.pin)) this.resume(row);
      this.#broughtTo = last === undefined || last >= this.lastId ? 0 : last;
    } catch (error) {
      this.#bears(error);
    }
  }

  #lookOn(): void {
    if (this.#ended) return;
    try {
      const { rows, unusable, damaged, last } = this.#db.slice(this.#lookedAt, SLICE_ROWS);
      for (const row of rows) if (this.waits(row.id)) this.#see(row);
      for (const id of unusable) if (this.waits(id)) this.#host.discard(id); // its bytes are surplus: it may say anything
      this.#damaged += damaged;
      this.#lookedAt = last ?? this.lastId;
      if (this.#lookedAt >= this.lastId) this.#lookedThrough();
      else this.#timer = setTimeout(() => this.#lookOn(), SLICE_PAUSE_MS);
    } catch (error) {
      if (this.#bears(error)) this.#timer = setTimeout(() => this.#lookOn(), RETRY_MS);
    }
  }

  #see({ id, bytes, chunks, synced, pin }: IndexRow): void {
    this.#seen.rows++;
    this.#seen.bytes += bytes;
    if (chunks === null) this.#left.complete++;
    if (synced === 0) this.#host.unsynced(id);
    this.#left.pinned.add(pin, 1, bytes);
  }

  #lookedThrough(): void {
    const surplus = this.#left.bytes - this.#seen.bytes;
    Object.assign(this.#left, this.#seen);
    this.#host.lookedThrough(this.#damaged, surplus);
  }

  /** True: what was asked counts as not there this time. Else it is over. */
  #bears(error: unknown): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#failedAtMs > 2 * RETRY_MS) this.#failingSinceMs = nowMs;
    this.#failedAtMs = nowMs;
    if (mayPass(error) && nowMs - this.#failingSinceMs < PATIENCE_MS) return true;
    this.#stop();
    this.#host.failed(error);
    return false;
  }

  #stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** What was not resumed is given up; its bytes. */
  giveUp(): number {
    this.#stop();
    const { bytes } = this.#left;
    Object.assign(this.#left, { rows: 0, bytes: 0, complete: 0 });
    this.#left.pinned.clear();
    return bytes;
  }
}
