/**
 * Brings SQLite's write-ahead log into its database without the thread that serves requests waiting for the disk. Where SQLite
 * does that it syncs both files in the same call: hundreds of milliseconds on a disk that is busy. Here the pool syncs, and the
 * calls between only copy in memory:
 *
 *   sync the log -> copy it into the database -> sync the database -> empty the log -> sync the log
 *
 * All that while nothing may be written: SQLite would begin the log anew over what the database may not have yet, or copy what
 * the log may lose. (sqlite.org/wal.html; sqlite.org/pragma.html#pragma_wal_checkpoint)
 *
 * INVARIANT: the connection syncs nothing by itself only where it is certain that its next write begins an empty log or goes on
 * with one. A log that was copied and could not be emptied is begun anew by SQLite with a sync of its head.
 */
import * as fs from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import * as sys from '../sys/libc.ts';

/** So long a log is copied: 4 KiB a page, copied in some 10 ms. */
const LOG_BYTES = 8 * 1024 * 1024;

const SYNC_NOTHING = 'PRAGMA synchronous = OFF';
/** The head of a log that is begun anew, and a checkpoint; no commit. */
const SYNC_SOME = 'PRAGMA synchronous = NORMAL';

export class LogCheckpoint {
  readonly #db: DatabaseSync;
  /**
   * Closed after the connection: to close any descriptor of a database drops the locks that this process has of it.
   * (sqlite.org/howtocorrupt.html#posix_close_bug)
   */
  readonly #database: number;
  readonly #log: number;
  readonly #logBytes: number;
  /** The database has pages of the log that are not synced. */
  #copied = false;
  #underWay: Promise<void> | undefined;
  #ended = false;
  #closed = false;

  /** Of a database in WAL mode that was written to; `path`: its file. `logBytes`: for tests. */
  constructor(db: DatabaseSync, path: string, logBytes = LOG_BYTES) {
    this.#db = db;
    this.#database = fs.openSync(path, 'r');
    this.#log = fs.openSync(`${path}-wal`, 'r');
    this.#logBytes = logBytes;
    db.exec(`PRAGMA wal_autocheckpoint = 0; ${SYNC_NOTHING}`);
  }

  /** Nothing may be written. */
  get underWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** After a write. `then`: called when it led to a checkpoint, and that has ended. */
  wrote(then: () => void): void {
    if (this.#ended || this.underWay || fs.fstatSync(this.#log).size < this.#logBytes) return;
    this.#underWay = this.#run().finally(() => {
      this.#underWay = undefined;
      if (!this.#ended) then();
    });
  }

  /** Begins none any more; resolves when none is under way. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#underWay;
  }

  /** Closes the connection, and with that brings what is left in the log into the database. Once: the descriptors may be others' then. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    try {
      if (this.#copied) fs.fdatasyncSync(this.#database); // SQLite takes what is copied for synced, and removes the log
      this.#db.exec(SYNC_SOME);
    } finally {
      this.#closeAll();
    }
  }

  #closeAll(): void {
    try {
      this.#db.close();
    } finally {
      const closed = (): void => {
        for (const fd of [this.#database, this.#log]) fs.closeSync(fd);
      };
      if (this.#underWay === undefined) closed();
      else void this.#underWay.then(closed); // the pool may have them in hand
    }
  }

  async #run(): Promise<void> {
    try {
      if (!(await this.#synced(this.#log)) || !this.#pragma('PASSIVE')) return;
      this.#copied = true;
      if (!(await this.#synced(this.#database))) return;
      this.#copied = false;
      if (!this.#pragma('TRUNCATE')) this.#db.exec(SYNC_SOME);
      else if (await this.#synced(this.#log)) this.#db.exec(SYNC_NOTHING);
    } catch {
      // it is damaged: the next write meets the same, and sees to it
    }
  }

  /** False: it could not be, or nobody needs it any more. */
  async #synced(fd: number): Promise<boolean> {
    return (await sys.fdatasync.later(fd)) === 0 && this.#db.isOpen;
  }

  /** Without a sync. False: another process reads the log, or writes. */
  #pragma(mode: 'PASSIVE' | 'TRUNCATE'): boolean {
    this.#db.exec(SYNC_NOTHING);
    const { busy, log, checkpointed } = this.#db.prepare(`PRAGMA wal_checkpoint(${mode})`).get() as {
      busy: number;
      log: number;
      checkpointed: number;
    };
    return busy === 0 && log === checkpointed;
  }
}
