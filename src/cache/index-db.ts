/**
 * The index of one tier: which object holds which version of which file, and which chunks of it are there. SQLite, written
 * in batches off the read path.
 *
 * WAL with synchronous=NORMAL: a commit is not synced, a checkpoint is. So after a machine stop the index may lag behind,
 * never be torn; and a row says `synced` only after its object was. Rows without it count for nothing after another boot.
 */
import * as fs from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Log } from '../telemetry/log.ts';

const SCHEMA_VERSION = 1;

export interface IndexRow {
  id: number;
  file: string;
  version: string;
  size: number;
  chunkBytes: number;
  /** The chunk map; null when complete. */
  chunks: Uint8Array | null;
  /** Bytes present. */
  bytes: number;
  exposed: number;
  synced: number;
}

export class IndexDatabase {
  #db: DatabaseSync;
  #rows: IndexRow[] = [];
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  /** Another boot than the one that wrote it: only what was synced counts. */
  readonly rebooted: boolean;

  private constructor(db: DatabaseSync, storeId: string, boot: string) {
    this.#db = db;
    db.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -2000;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS objects (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
        chunkBytes INTEGER NOT NULL, chunks BLOB, bytes INTEGER NOT NULL, exposed INTEGER NOT NULL, synced INTEGER NOT NULL
      );
    `);
    const meta = new Map<string, string>();
    for (const row of db.prepare('SELECT key, value FROM meta').all()) meta.set(String(row.key), String(row.value));
    const schema = meta.get('schema');
    if (schema !== undefined && schema !== String(SCHEMA_VERSION)) throw new Error(`it has schema version ${schema}`);
    if (meta.has('store') && meta.get('store') !== storeId) throw new Error(`it belongs to ${meta.get('store')}`);
    this.rebooted = meta.has('boot') && meta.get('boot') !== boot;
    const set = db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    set.run('schema', String(SCHEMA_VERSION));
    set.run('store', storeId);
    this.#put = db.prepare('INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM objects WHERE id = ?');
    if (this.rebooted) db.exec('DELETE FROM objects WHERE synced = 0');
    set.run('boot', boot);
    // Read here, where an index with a damaged page can still be begun anew.
    const all = 'SELECT id, file, version, size, chunkBytes, chunks, bytes, exposed, synced FROM objects';
    this.#rows = db.prepare(all).all() as unknown as IndexRow[];
  }

  /** Opens the index; one that cannot be used (damaged, newer, another store's) is moved aside and begun anew. */
  static open(path: string, storeId: string, log: Log, boot = bootId()): IndexDatabase {
    try {
      return IndexDatabase.#try(path, storeId, boot);
    } catch (error) {
      const aside = `${path}.unusable`;
      for (const suffix of ['', '-wal', '-shm']) fs.rmSync(aside + suffix, { force: true });
      if (fs.existsSync(path)) fs.renameSync(path, aside);
      for (const suffix of ['-wal', '-shm']) fs.rmSync(path + suffix, { force: true });
      log.warn({ index: path, reason: (error as Error).message }, 'the cache index was unusable and is begun anew');
      return IndexDatabase.#try(path, storeId, boot);
    }
  }

  static #try(path: string, storeId: string, boot: string): IndexDatabase {
    const db = new DatabaseSync(path);
    try {
      return new IndexDatabase(db, storeId, boot);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** What was there when it was opened; handed out once. */
  takeRows(): IndexRow[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }

  /** Writes one batch as one transaction. Throws what SQLite says; nothing of the batch is written then. */
  write(rows: Iterable<IndexRow>, deleted: Iterable<number>): void {
    this.#db.exec('BEGIN');
    try {
      for (const id of deleted) this.#delete.run(id);
      for (const r of rows) {
        this.#put.run(r.id, r.file, r.version, r.size, r.chunkBytes, r.chunks, r.bytes, r.exposed, r.synced);
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#db.close();
  }
}

/** Names this boot of the machine: what another boot wrote and did not sync may be lost. */
function bootId(): string {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return 'unknown';
  }
}
