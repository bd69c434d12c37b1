/**
 * Writes the index behind the objects: what changed is collected and written in batches. An index that turns out to be damaged
 * is written anew from what is in memory.
 */
import type { Log } from '../telemetry/log.ts';
import { type IndexDatabase, type IndexRow, isCorrupt, mayPass } from './index-db.ts';
import { IndexLoader, type LoaderHost } from './index-loader.ts';
import type { CacheObject } from './object.ts';
import type { ObjectIndex, UnloadedRows } from './object-index.ts';
import { PendingRows } from './pending-rows.ts';
import { Syncer } from './syncer.ts';
import type { Tier } from './tier.ts';

/** A change is on its way to the index within this time. */
const FLUSH_MS = 500;
/** Rows a transaction: some 2 ms of the thread that serves requests. */
const BATCH_ROWS = 200;
/** When more is waiting than one transaction takes; and at the least, for the requests. */
const NEXT_BATCH_MS = 50;
const SOONEST_BATCH_MS = 5;
const UNHURRIED_ROWS = 1000;
/** At the end those that are but rows are noted as synced for so long at most: what is not counts as not synced. */
const LAST_ROWS_MS = 2000;

/**
 * The sooner the more wait: an object that waits cannot rest, and where small files are brought faster than rows are written
 * their objects would fill the memory.
 */
export function nextBatchMs(waiting: number): number {
  return Math.max(SOONEST_BATCH_MS, Math.min(NEXT_BATCH_MS, (NEXT_BATCH_MS * UNHURRIED_ROWS) / waiting));
}

export interface IndexWriterParts {
  /** `anew`: without what is there, which is damaged. */
  openIndex: (anew?: boolean) => IndexDatabase;
  tier: Tier;
  log: Log;
  /** Called with every row of an earlier run. */
  resume: (row: IndexRow) => void;
  /** Whether the number of a pin is that of one still. */
  pinned: (pin: number) => boolean;
  /** Whether an object rests. */
  rests: (id: number) => boolean;
  /** What was waiting to be written has been, or some of it. */
  written: () => void;
  /** Every row was looked at, or those that could not be were given up; again for each index that is begun. */
  lookedThrough: () => void;
  /** Those that rest are lost with their rows: so many. */
  rowsLost: () => number;
}

export class IndexWriter implements ObjectIndex {
  readonly #openIndex: (anew?: boolean) => IndexDatabase;
  readonly #parts: IndexWriterParts;
  readonly #tier: Tier;
  readonly #log: Log;
  #db: IndexDatabase;
  /** The index was damaged, and there was no room yet to begin a new one. */
  #lost = false;
  readonly #pending = new PendingRows();
  /** By id: every object with a row that is awake. */
  readonly #rows = new Map<number, CacheObject>();
  #loader: IndexLoader;
  readonly #syncer: Syncer;
  readonly #loaded = Promise.withResolvers<void>();
  #flushTimer: NodeJS.Timeout | undefined;
  #failing = false;
  batches = 0;
  #closed = false;
  /** All rows were looked at, and those that do not count any more are about to be deleted. */
  #settling = false;

  constructor(parts: IndexWriterParts) {
    const { openIndex, tier, log } = parts;
    this.#openIndex = openIndex;
    this.#parts = parts;
    this.#tier = tier;
    this.#log = log;
    this.#db = openIndex();
    this.#syncer = new Syncer(tier, {
      isRow: (id) => parts.rests(id) || this.#loader.waits(id),
      row: (id) => this.rowAtRest(id),
      awake: (id) => this.#rows.get(id),
      synced: (object) => this.touch(object),
      syncedRow: (row) => this.#amend(row),
    });
    this.#loader = this.#load();
  }

  /** Counts the bytes of all rows in the tier's space at once; they become objects by need. */
  #load(): IndexLoader {
    const host: LoaderHost = {
      handled: (id) => this.#rows.has(id) || this.#pending.deletes(id) || this.#parts.rests(id),
      pinned: (pin) => this.#parts.pinned(pin),
      resume: (row) => this.#parts.resume(row),
      discard: (id) => this.#discard(id),
      unsynced: (id) => this.#syncer.addRow(id),
      lookedThrough: (damaged, surplus) => this.#lookedThrough(damaged, surplus),
      failed: (error) => this.#rebuild(error),
    };
    const loader = new IndexLoader(this.#db, host);
    this.#tier.count(loader.left.bytes);
    loader.start();
    return loader;
  }

  get unloaded(): UnloadedRows {
    const { rows, complete, pinned } = this.#loader.left;
    return { rows: Math.max(0, rows), complete, pinned };
  }

  /** Resolves when every row of earlier runs was looked at or given up: what no row speaks of then is left over. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** The lowest id that no row has. */
  get firstFreeId(): number {
    return this.#db.lastId + 1;
  }

  /** Resumes the object of a file now, when it is but a row. */
  find(file: string): void {
    const row = this.#loader.row(file);
    if (row !== undefined) this.#loader.resume(row);
  }

  /** The row of a file that is no object. */
  rowOf(file: string): IndexRow | undefined {
    return this.#loader.row(file);
  }

  /** Resumes some objects of earlier runs, in the order of their ids. */
  bring(most: number): void {
    this.#loader.bring(most);
  }

  writes(object: CacheObject): boolean {
    if (!this.#rows.has(object.id) || this.#pending.has(object)) return true;
    return object.item.unclaimed && (this.#syncer.has(object) || object.id > this.#loader.lastId);
  }

  returned(object: CacheObject): void {
    this.#rows.delete(object.id);
    this.#loader.returned(object.row());
  }

  rested(object: CacheObject): void {
    this.#rows.delete(object.id);
    this.#syncer.rested(object);
  }

  rowAtRest(id: number): IndexRow | undefined {
    const pending = this.#pending.row(id);
    if (pending !== undefined) return pending;
    if (this.#lost) return undefined;
    try {
      return this.#db.get(id);
    } catch (error) {
      this.#unread(error);
      return undefined;
    }
  }

  lost(id: number): void {
    this.#discard(id);
  }

  /** The objects and rows after an id, in the order of their ids, `most` of them; what changed just now may not be among them. */
  after(id: number, most: number): { found: (CacheObject | IndexRow)[]; last: number | undefined } {
    try {
      const { rows, last } = this.#db.slice(id, most);
      const there = rows.filter((row) => !this.#pending.deletes(row.id));
      return { found: there.map((row) => this.#rows.get(row.id) ?? row), last };
    } catch {
      return { found: [], last: undefined }; // the next batch of rows meets the same trouble, and sees to it
    }
  }

  #lookedThrough(damaged: number, surplus: number): void {
    this.#tier.free(surplus);
    this.#settling = this.#db.rebooted;
    this.#settle();
    if (damaged > 0) {
      const fields = { tier: this.#tier.directory, rows: damaged };
      this.#log.warn(fields, 'rows of the cache index were damaged; their files are fetched again');
    }
    this.#loaded.resolve();
    this.#parts.lookedThrough();
  }

  /**
   * From now on the index is of this boot. Not before the rows are gone that do not count after another one: a daemon that is
   * killed in between would leave them to count again.
   */
  #settle(): void {
    if (!this.#settling || this.#pending.deletions > 0) return;
    try {
      this.#db.settled();
      this.#settling = false;
    } catch {
      // the next batch of rows meets the same trouble, and says so
    }
  }

  /** Nothing more will come of the rows that were counted and not loaded. */
  #giveUpUnloaded(): void {
    this.#tier.free(this.#loader.giveUp());
  }

  /** A row that no object is made of. */
  discard(row: IndexRow): void {
    this.#discard(row.id);
    this.#tier.free(row.bytes);
  }

  #discard(id: number): void {
    this.#syncer.cancel(id);
    this.#pending.delete(id);
    this.#schedule();
  }

  knows(id: number): boolean {
    if (this.#rows.has(id) || this.#closed) return true; // it cannot be asked any more
    if (this.#lost || this.#pending.deletes(id)) return false;
    try {
      return this.#db.has(id);
    } catch (error) {
      this.#unread(error);
      return true;
    }
  }

  /** Kept with the index, for who has a place to remember. */
  note(key: string): string | undefined {
    return this.#db.meta(key);
  }

  setNote(key: string, value: string): void {
    try {
      if (!this.#closed) this.#db.setMeta(key, value);
    } catch {
      // the next batch of rows meets the same trouble, and says so
    }
  }

  resumed(object: CacheObject): void {
    this.#pending.dropRow(object.id); // the row that this object is of is the one before
    this.#rows.set(object.id, object);
    this.#syncer.cancel(object.id);
    this.#syncer.add(object);
  }

  woken(object: CacheObject): void {
    if (this.#pending.dropRow(object.id)) this.#pending.put(object);
    this.#rows.set(object.id, object);
    this.#syncer.woken(object);
  }

  put(object: CacheObject): void {
    object.writtenAtMs = performance.now();
    this.#rows.set(object.id, object);
    this.#pending.put(object);
    this.#syncer.add(object);
    this.#schedule();
  }

  /** Writes its row again, though its file is as it was. */
  touch(object: CacheObject): void {
    this.#pending.put(object);
    this.#schedule();
  }

  /** Writes a row of what is no object in memory. */
  #amend(row: IndexRow): void {
    this.#pending.putRow(row);
    this.#schedule();
  }

  delete(object: CacheObject): void {
    this.#pending.drop(object);
    this.#syncer.delete(object);
    if (!this.#rows.delete(object.id)) return;
    this.#pending.delete(object.id);
    this.#schedule();
  }

  #schedule(afterMs = FLUSH_MS): void {
    if (this.#flushTimer !== undefined || this.#closed) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      const written = this.#flushBatch();
      if (this.#pending.size > 0) this.#schedule(written ? nextBatchMs(this.#pending.size) : FLUSH_MS);
    }, afterMs).unref();
  }

  /** Batches until all objects that wait now are written: the first come first. */
  get waiting(): number {
    return Math.ceil(this.#pending.objects / BATCH_ROWS);
  }

  /** Writes one batch; what could not be written stays for the next. */
  #flushBatch(): boolean {
    if (this.#lost && !this.#beginAnew(false)) return false;
    if (this.#db.busy) return false;
    try {
      this.#pending.write(BATCH_ROWS, (rows, deleted) => this.#db.write(rows, deleted));
    } catch (error) {
      if (isCorrupt(error)) this.#rebuild(error);
      else this.#fails('written', error);
      return false;
    }
    this.#failing = false;
    this.batches++;
    this.#settle();
    this.#parts.written();
    return true;
  }

  #fails(done: 'read' | 'written', error: unknown): void {
    if (!this.#failing) {
      this.#log.error({ tier: this.#tier.directory, error: String(error) }, `the cache index cannot be ${done}`);
    }
    this.#failing = true;
  }

  #unread(error: unknown): void {
    if (mayPass(error)) this.#fails('read', error);
    else this.#rebuild(error);
  }

  /** Begins a new index where the old one has vanished with its directory. */
  reopen(): void {
    this.#closeQuietly();
    this.#giveUpUnloaded();
    this.#pending.clear();
    this.#syncer.clear();
    this.#rows.clear();
    this.#db = this.#openIndex();
    this.#lost = false;
    this.#loader = this.#load();
  }

  /** The index is damaged: a new one is written of what is in memory. What was but rows is lost. */
  #rebuild(error: unknown): void {
    if (this.#lost) return;
    const unloaded = this.unloaded.rows;
    this.#closeQuietly();
    this.#giveUpUnloaded();
    const lost = unloaded + this.#parts.rowsLost();
    this.#pending.clearRows();
    const fields = { tier: this.#tier.directory, reason: (error as Error).message, lost };
    this.#log.warn(fields, 'the cache index is damaged and is begun anew');
    this.#lost = true;
    for (const object of this.#rows.values()) this.#pending.put(object);
    this.#beginAnew(true);
    this.#schedule();
  }

  /** `first`: the damaged one is still in its place. False: it cannot be now, and is tried again with the next batch. */
  #beginAnew(first: boolean): boolean {
    try {
      this.#db = this.#openIndex(first);
    } catch (error) {
      this.#fails('written', error);
      return false;
    }
    this.#lost = false;
    this.#loader = this.#load();
    return true;
  }

  #closeQuietly(): void {
    try {
      this.#db.close();
    } catch {
      // its file is gone, or damaged
    }
  }

  async shutdown(): Promise<void> {
    this.#closed = true;
    this.#loader.giveUp();
    this.#loaded.resolve();
    clearTimeout(this.#flushTimer);
    this.#syncer.end();
    const synced = await this.#syncer.syncAll();
    try {
      await this.#db.endCheckpoints();
      while (this.#pending.size > 0 && this.#flushBatch());
      if (synced) this.#noteSynced();
      this.#db.close();
    } catch (error) {
      this.#log.warn({ tier: this.#tier.directory, error: String(error) }, 'the cache index was not closed');
    }
  }

  /** Writes the rows of what is no object in memory as synced. */
  #noteSynced(): void {
    const untilMs = performance.now() + LAST_ROWS_MS;
    for (let more = true; more; ) {
      more = this.#syncer.tellRows(BATCH_ROWS, untilMs);
      if (!this.#flushBatch()) return;
    }
  }
}
