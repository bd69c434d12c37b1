/**
 * The index of one tier: which object holds which version of which file, which chunks of it are there, and their checksums.
 * SQLite, written in batches off the read path.
 *
 * WAL: a commit is not synced, a checkpoint is (log-checkpoint.ts). So after a machine stop the index may lag behind, never be
 * torn; and a row says `synced` only after its object was. Rows without it count for nothing after another boot.
 * SQLite does not see a flipped bit in a value, so each row carries a checksum of itself, the seal.
 *
 * Opening it counts by one small index, without reading the rows: milliseconds where that took seconds. Rows are read by need
 * (`find`) and in slices (`slice`).
 */
import * as fs from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import type { Log } from '../telemetry/log.ts';
import { LogCheckpoint } from './log-checkpoint.ts';

export const SCHEMA_VERSION = 3;

export interface IndexRow {
  id: number;
  file: string;
  version: string;
  size: number;
  chunkBytes: number;
  /** The chunk map; null when complete. */
  chunks: Uint8Array | null;
  /** CRC-32 of each chunk: a number for a file of one chunk, else 32 bits each. */
  sums: number | Uint8Array;
  /** Bytes present. */
  bytes: number;
  exposed: number;
  synced: number;
  /** When it was last used, to some minutes; seconds since 1970. */
  used: number;
  /** The number of what pins it (eviction/pins.ts); 0: nothing does. */
  pin: number;
}

/** Of what the index holds, or of what of it was not read yet. */
export interface IndexTotals {
  rows: number;
  bytes: number;
}

export interface IndexSlice {
  rows: IndexRow[];
  /** Rows that count for nothing: damaged, or of another boot and not synced. Their files are left over. */
  unusable: number[];
  /** Those of them that are damaged. */
  damaged: number;
  /** The last id of the slice; undefined: there is nothing more. */
  last: number | undefined;
}

export const COLUMNS = 'id, file, version, size, chunkBytes, chunks, sums, bytes, exposed, synced, used, pin, seal';

export class IndexDatabase {
  #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #find: StatementSync;
  readonly #slice: StatementSync;
  readonly #get: StatementSync;
  readonly #has: StatementSync;
  readonly #boot: string;
  readonly #log: LogCheckpoint;
  /** To be written when the log may be. */
  readonly #held = new Map<string, string>();
  readonly totals: IndexTotals;
  /** The highest id in it; 0 when it is empty. */
  readonly lastId: number;
  /** Another boot than the one that wrote it: only what was synced counts. */
  readonly rebooted: boolean;

  private constructor(db: DatabaseSync, path: string, storeId: string, boot: string) {
    this.#db = db;
    this.#boot = boot;
    db.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4000;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    `);
    const meta = readMeta(db);
    refuseOther(meta, storeId);
    db.exec(`
      CREATE TABLE IF NOT EXISTS objects (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL,
        chunkBytes INTEGER NOT NULL, chunks BLOB, sums, bytes INTEGER NOT NULL, exposed INTEGER NOT NULL,
        synced INTEGER NOT NULL, used INTEGER NOT NULL, pin INTEGER NOT NULL, seal INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS byFile ON objects (file, bytes);
    `);
    this.rebooted = meta.has('boot') && meta.get('boot') !== boot;
    this.#putMeta('schema', String(SCHEMA_VERSION));
    this.#putMeta('store', storeId);
    if (!this.rebooted) this.#putMeta('boot', boot);
    this.#put = db.prepare(
      `INSERT OR REPLACE INTO objects (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = db.prepare('DELETE FROM objects WHERE id = ?');
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM objects WHERE file = ? ORDER BY id DESC LIMIT 1`);
    this.#slice = db.prepare(`SELECT ${COLUMNS} FROM objects WHERE id > ? ORDER BY id LIMIT ?`);
    this.#get = db.prepare(`SELECT ${COLUMNS} FROM objects WHERE id = ?`);
    this.#has = db.prepare('SELECT 1 FROM objects WHERE id = ?');
    const { rows, bytes } = db.prepare('SELECT count(*) AS rows, total(bytes) AS bytes FROM objects').get()!;
    this.totals = { rows: Number(rows), bytes: Number(bytes) };
    this.lastId = Number(db.prepare('SELECT max(id) AS id FROM objects').get()!.id ?? 0);
    if (!Number.isSafeInteger(this.lastId) || !Number.isFinite(this.totals.bytes))
      throw new Error('its ids are damaged');
    this.#log = new LogCheckpoint(db, path);
  }

  /**
   * Opens the index; one that cannot be used (damaged, newer, another store's) is moved aside and begun anew. Throws, and leaves
   * it as it is, when it cannot be read, the disk is full, or something else is wrong that is not in the index.
   */
  static open(path: string, storeId: string, log: Log, boot = bootIdNow()): IndexDatabase {
    try {
      return IndexDatabase.#try(path, storeId, boot);
    } catch (error) {
      if (mayPass(error)) throw error;
      moveAside(path);
      log.warn({ index: path, reason: (error as Error).message }, 'the cache index was unusable and is begun anew');
      return IndexDatabase.#try(path, storeId, boot);
    }
  }

  static #try(path: string, storeId: string, boot: string): IndexDatabase {
    const db = new DatabaseSync(path);
    try {
      return new IndexDatabase(db, path, storeId, boot);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** The newest row of a file, when it is right. */
  find(file: string): IndexRow | undefined {
    const row = this.#find.get(file) as unknown as SealedRow | undefined;
    return row !== undefined && this.#counts(row) ? row : undefined;
  }

  /** A row that this run has written or seen to count, when it is still right. */
  get(id: number): IndexRow | undefined {
    const row = this.#get.get(id) as unknown as SealedRow | undefined;
    return row !== undefined && sealOf(row) === row.seal ? row : undefined;
  }

  /** The rows after an id, in the order of their ids. */
  slice(after: number, most: number): IndexSlice {
    const found = this.#slice.all(after, most) as unknown as SealedRow[];
    const slice: IndexSlice = { rows: [], unusable: [], damaged: 0, last: found.at(-1)?.id };
    for (const row of found) {
      if (this.#counts(row)) slice.rows.push(row);
      else {
        slice.unusable.push(row.id);
        if (sealOf(row) !== row.seal) slice.damaged++;
      }
    }
    return slice;
  }

  has(id: number): boolean {
    return this.#has.get(id) !== undefined;
  }

  #counts(row: SealedRow): boolean {
    return sealOf(row) === row.seal && (row.synced === 1 || !this.rebooted);
  }

  /** Every row of another boot that does not count is deleted: those that are left do. */
  settled(): void {
    this.setMeta('boot', this.#boot);
  }

  meta(key: string): string | undefined {
    return this.#held.get(key) ?? this.#db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value?.toString();
  }

  setMeta(key: string, value: string): void {
    if (this.busy) this.#held.set(key, value);
    else this.#putMeta(key, value);
  }

  #putMeta(key: string, value: string): void {
    this.#db.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
  }

  /** Its log is being brought into the database: nothing can be written for a while. */
  get busy(): boolean {
    return this.#log.underWay;
  }

  /** Resolves when it is not busy, and it will not be any more. */
  async endCheckpoints(): Promise<void> {
    await this.#log.end();
    this.#writeHeld();
  }

  #writeHeld(): void {
    for (const [key, value] of this.#held) this.#putMeta(key, value);
    this.#held.clear();
  }

  /** Writes one batch as one transaction, when it is not busy. Throws what SQLite says; nothing of the batch is written then. */
  write(rows: Iterable<IndexRow>, deleted: Iterable<number>): void {
    if (this.busy) throw new Error('the index is busy');
    this.#db.exec('BEGIN');
    try {
      for (const id of deleted) this.#delete.run(id);
      for (const r of rows) {
        const { id, file, version, size, chunkBytes, chunks, sums, bytes, exposed, synced, used, pin } = r;
        const seal = sealOf(r);
        this.#put.run(id, file, version, size, chunkBytes, chunks, sums, bytes, exposed, synced, used, pin, seal);
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
    this.#log.wrote(() => this.#writeHeld());
  }

  close(): void {
    this.#log.close();
  }
}

export interface SealedRow extends IndexRow {
  seal: number;
}

export function sealOf(row: IndexRow): number {
  const { id, file, version, size, chunkBytes, chunks, sums, bytes, exposed, synced, used, pin } = row;
  const list = typeof sums === 'number' ? sums : '';
  const words = `${id} ${file} ${version} ${size} ${chunkBytes} ${bytes} ${exposed} ${synced} ${used} ${pin} ${list}`;
  let seal = crc32(words, chunks === null ? 1 : 0);
  if (chunks instanceof Uint8Array) seal = crc32(chunks, seal);
  return sums instanceof Uint8Array ? crc32(sums, seal) : seal;
}

function readMeta(db: DatabaseSync): Map<string, string> {
  const meta = new Map<string, string>();
  for (const row of db.prepare('SELECT key, value FROM meta').all()) meta.set(String(row.key), String(row.value));
  return meta;
}

/** Throws when the index is not one this version can use for this store. */
function refuseOther(meta: ReadonlyMap<string, string>, storeId: string): void {
  const schema = meta.get('schema');
  if (schema !== undefined && schema !== String(SCHEMA_VERSION)) throw new Error(`it has schema version ${schema}`);
  if (meta.has('store') && meta.get('store') !== storeId) throw new Error(`it belongs to ${meta.get('store')}`);
}

/** Makes way for a new index, or another file of the cache; the old one is kept once, to be looked at. */
export function moveAside(path: string): void {
  const aside = `${path}.unusable`;
  for (const suffix of ['', '-wal', '-shm']) fs.rmSync(aside + suffix, { force: true });
  if (fs.existsSync(path)) fs.renameSync(path, aside);
  for (const suffix of ['-wal', '-shm']) fs.rmSync(path + suffix, { force: true });
}

/** SQLITE_CORRUPT, SQLITE_NOTADB: what is written in it cannot be believed any more. */
export function isCorrupt(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode ?? 0;
  return [11, 26].includes(code & 0xff);
}

/** IOERR_WRITE, _FSYNC, _TRUNCATE, _SHMOPEN, _SHMSIZE, _SHMMAP. (sqlite.org/rescode.html) */
const NOT_WRITTEN: readonly number[] = [778, 1034, 1546, 4618, 4874, 5386];

/**
 * SQLITE_BUSY, LOCKED, NOMEM, FULL, CANTOPEN (no descriptor is left, or no inode for its log), or that it could not be written:
 * that is said of the machine, and what the index holds may be as good as it was.
 */
export function isOutside(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode ?? 0;
  return [5, 6, 7, 13, 14].includes(code & 0xff) || NOT_WRITTEN.includes(code);
}

/** IOERR_READ: its disk failed to read. */
export function isUnread(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === 266;
}

/** It cannot be read, or something outside is wrong: what was asked now may be answered another time. */
export function mayPass(error: unknown): boolean {
  return isOutside(error) || isUnread(error);
}

/** Names this boot of the machine: what another boot wrote and did not sync may be lost. */
export function bootIdNow(): string {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return 'unknown';
  }
}
