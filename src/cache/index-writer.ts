/**
 * Writes the index behind the objects: what changed is collected and written in batches, and objects that have come to
 * rest are synced, which is what lets them count after a machine stop.
 */
import * as fs from 'node:fs';
import * as sys from '../sys/libc.ts';
import type { Log } from '../telemetry/log.ts';
import type { IndexDatabase, IndexRow } from './index-db.ts';
import type { CacheObject } from './object.ts';
import type { Tier } from './tier.ts';

/** A change is on its way to the index within this time. */
const FLUSH_MS = 500;
/** Rows a transaction: some 2 ms of the thread that serves requests. */
const BATCH_ROWS = 400;
/** How long an object must have been left alone before it is synced. */
const REST_MS = 5000;
const SYNC_MS = 2000;
const SYNCS_A_ROUND = 32;
/** At the end the whole tier is synced, unless its disk takes longer than this; what was not, does not count as synced. */
const LAST_SYNC_MS = 3000;

export interface IndexWriterParts {
  openIndex: () => IndexDatabase;
  tier: Tier;
  log: Log;
}

export class IndexWriter {
  readonly #openIndex: () => IndexDatabase;
  readonly #tier: Tier;
  readonly #log: Log;
  #db: IndexDatabase;
  readonly #dirty = new Set<CacheObject>();
  readonly #deleted = new Set<number>();
  readonly #unsynced = new Set<CacheObject>();
  /** Ids with a row. */
  readonly #rows = new Set<number>();
  #flushTimer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  #syncing = false;
  #failing = false;
  #closed = false;

  constructor({ openIndex, tier, log }: IndexWriterParts) {
    this.#openIndex = openIndex;
    this.#tier = tier;
    this.#log = log;
    this.#db = openIndex();
    this.#syncTimer = setInterval(() => void this.#syncRested(), SYNC_MS).unref();
  }

  takeRows(): IndexRow[] {
    return this.#db.takeRows();
  }

  knows(id: number): boolean {
    return this.#rows.has(id);
  }

  /** An object that came from a row. */
  resumed(object: CacheObject): void {
    this.#rows.add(object.id);
    if (!object.synced) this.#unsynced.add(object);
  }

  put(object: CacheObject): void {
    object.writtenAtMs = performance.now();
    this.#rows.add(object.id);
    this.#dirty.add(object);
    if (!object.synced) this.#unsynced.add(object);
    this.#schedule();
  }

  delete(object: CacheObject): void {
    this.#dirty.delete(object);
    this.#unsynced.delete(object);
    if (!this.#rows.delete(object.id)) return;
    this.#deleted.add(object.id);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#flushTimer !== undefined || this.#closed) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      this.#flushBatch();
      if (this.#dirty.size > 0 || this.#deleted.size > 0) this.#schedule();
    }, FLUSH_MS).unref();
  }

  /** Writes one batch; what could not be written stays for the next. */
  #flushBatch(): boolean {
    const objects: CacheObject[] = [];
    for (const object of this.#dirty) {
      objects.push(object);
      if (objects.length === BATCH_ROWS) break;
    }
    const deleted = [...this.#deleted].slice(0, BATCH_ROWS);
    try {
      this.#db.write(
        objects.map((object) => object.row()),
        deleted,
      );
    } catch (error) {
      if (!this.#failing) {
        this.#log.error({ tier: this.#tier.directory, error: String(error) }, 'the cache index cannot be written');
      }
      this.#failing = true;
      return false;
    }
    this.#failing = false;
    for (const object of objects) this.#dirty.delete(object);
    for (const id of deleted) this.#deleted.delete(id);
    return true;
  }

  /** Syncs what has come to rest, one object after the other, through the pool. */
  async #syncRested(): Promise<void> {
    if (this.#syncing) return;
    this.#syncing = true;
    let left = SYNCS_A_ROUND;
    const before = performance.now() - REST_MS;
    for (const object of this.#unsynced) {
      if (left === 0 || this.#closed) break;
      if (object.writtenAtMs > before) continue;
      left--;
      if (await this.#sync(object)) {
        this.#unsynced.delete(object);
        if (!object.dropped) this.put(object);
      }
    }
    this.#syncing = false;
  }

  async #sync(object: CacheObject): Promise<boolean> {
    const fd = this.#tier.open(object.id, object.key.size); // its own: the object's may be closed meanwhile
    if (fd < 0) return true; // gone: the next read finds out
    const written = object.writtenAtMs;
    const result = await sys.fdatasync.later(fd);
    sys.close.now(fd);
    if (result < 0 || object.writtenAtMs !== written) return false;
    object.synced = true;
    return true;
  }

  /** Begins a new index where the old one has vanished with its directory. */
  reopen(): void {
    try {
      this.#db.close();
    } catch {
      // its file is gone
    }
    this.#dirty.clear();
    this.#deleted.clear();
    this.#unsynced.clear();
    this.#rows.clear();
    this.#db = this.#openIndex();
  }

  async shutdown(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    clearInterval(this.#syncTimer);
    if (this.#unsynced.size > 0 && (await this.#syncAll())) {
      for (const object of this.#unsynced) {
        object.synced = true;
        this.#dirty.add(object);
      }
    }
    while ((this.#dirty.size > 0 || this.#deleted.size > 0) && this.#flushBatch());
    try {
      this.#db.close();
    } catch (error) {
      this.#log.warn({ tier: this.#tier.directory, error: String(error) }, 'the cache index was not closed');
    }
  }

  async #syncAll(): Promise<boolean> {
    let fd: number;
    try {
      fd = fs.openSync(this.#tier.directory, 'r');
    } catch {
      return false;
    }
    const timeout = new Promise<number>((resolve) => setTimeout(() => resolve(-1), LAST_SYNC_MS).unref());
    const synced = sys.syncfs.later(fd).then((result) => {
      fs.closeSync(fd);
      return result;
    });
    return (await Promise.race([synced, timeout])) === 0;
  }
}
