/**
 * Syncs the objects of a tier behind their readers, which is what lets them count after a machine stop: those that have been
 * left alone for a while, one after the other, and at the end the whole tier at once. What an unmount did not get to, and a
 * daemon that was killed, the next run makes up for.
 *
 * INVARIANT: a row is said to be synced only when its object was not written to since the sync began, and has not been awake.
 */
import * as fs from 'node:fs';
import * as sys from '../sys/libc.ts';
import type { IndexRow } from './index-db.ts';
import { NumberQueue } from './number-queue.ts';
import type { CacheObject } from './object.ts';
import type { Tier } from './tier.ts';

/**
 * How long an object must have been left alone before it is synced. By then the kernel has written most of it by itself
 * (dirty_expire_centisecs: 30 s); sooner, the disk would be kept busy while the epoch is read.
 */
const REST_MS = 35_000;
const ROUND_EVERY_MS = 2000;
/** A round ends after so many, and goes on while it took no longer than this: what the kernel has written is synced at once. */
const SYNCS_A_ROUND = 32;
const ROUND_MS = 50;
/** Of those that are but rows, so many a round are looked at: what is awake again, or gone, costs no more than the look. */
const LOOKED_AT_A_ROUND = 8192;
/** At the end the whole tier is synced, unless its disk takes longer than this; what was not, does not count as synced. */
const LAST_SYNC_MS = 3000;

export interface SyncerHost {
  /** Whether an object is but a row: it rests, or is of an earlier run and was not asked for yet. */
  isRow(id: number): boolean;
  /** Such a row; undefined: it is gone, damaged, or cannot be read. */
  row(id: number): IndexRow | undefined;
  awake(id: number): CacheObject | undefined;
  /** An object, and a row, that is to be written as synced. */
  synced(object: CacheObject): void;
  syncedRow(row: IndexRow): void;
}

export class Syncer {
  readonly #tier: Tier;
  readonly #host: SyncerHost;
  readonly #objects = new Set<CacheObject>();
  /** Ids of rows that are to be synced, the one that waits longest first; 8 bytes each. */
  readonly #rows = new NumberQueue();
  /** A row that is being synced, and has not been awake or gone since that began. */
  #underWay = 0;
  readonly #timer: NodeJS.Timeout;
  #busy = false;
  #ended = false;

  constructor(tier: Tier, host: SyncerHost) {
    this.#tier = tier;
    this.#host = host;
    this.#timer = setInterval(() => void this.#round(), ROUND_EVERY_MS).unref();
  }

  has(object: CacheObject): boolean {
    return this.#objects.has(object);
  }

  /** An object that is awake, as it is now. */
  add(object: CacheObject): void {
    if (!object.synced) this.#objects.add(object);
  }

  delete(object: CacheObject): void {
    this.#objects.delete(object);
  }

  /** A row of an earlier run that is not synced. */
  addRow(id: number): void {
    this.#rows.push(id);
  }

  /** An object that was awake is but a row. */
  rested(object: CacheObject): void {
    if (this.#objects.delete(object) && !object.queued) this.#rows.push(object.id);
  }

  /** An object that rested is awake. */
  woken(object: CacheObject): void {
    if (!this.cancel(object.id)) object.queued = !object.synced;
    this.add(object);
  }

  /** What is but a row is about to be awake, or gone: its sync says nothing of it. False: none was under way. */
  cancel(id: number): boolean {
    if (this.#underWay !== id) return false;
    this.#underWay = 0;
    return true;
  }

  /** Of objects that are awake nothing is known any more. */
  clear(): void {
    this.#objects.clear();
  }

  async #round(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const beganMs = performance.now();
    let synced = 0;
    const goesOn = (): boolean => !this.#ended && (synced < SYNCS_A_ROUND || performance.now() < beganMs + ROUND_MS);
    for (const object of this.#objects) {
      if (!goesOn()) break;
      if (object.writtenAtMs > beganMs - REST_MS) continue;
      synced++;
      if (await this.#sync(object)) {
        this.#objects.delete(object);
        if (!object.dropped) this.#host.synced(object);
      }
    }
    for (let looked = 0; looked < LOOKED_AT_A_ROUND && this.#rows.size > 0 && goesOn(); looked++) {
      const row = this.#nextRow();
      if (row === undefined) continue;
      synced++;
      await this.#syncRow(row);
    }
    this.#busy = false;
  }

  async #sync(object: CacheObject): Promise<boolean> {
    const written = object.writtenAtMs;
    const result = await this.#syncFile(object.id, object.key.size);
    if (result === undefined) return true; // gone: the next read finds out
    if (result < 0 || object.writtenAtMs !== written) return false;
    object.synced = true;
    return true;
  }

  async #syncRow(row: IndexRow): Promise<void> {
    this.#underWay = row.id;
    const result = await this.#syncFile(row.id, row.size);
    if (result === 0 && this.#underWay === row.id && this.#host.isRow(row.id)) this.#host.syncedRow(asSynced(row));
  }

  /** By a descriptor of its own: the object's may be closed meanwhile. Undefined: there is no such file. */
  async #syncFile(id: number, size: number): Promise<number | undefined> {
    const fd = this.#tier.open(id, size);
    if (fd < 0) return undefined;
    const result = await sys.fdatasync.later(fd);
    sys.close.now(fd);
    return result;
  }

  /** The next of those that are but rows, when it is to be synced still. */
  #nextRow(): IndexRow | undefined {
    const id = this.#rows.shift()!;
    if (this.#host.isRow(id)) {
      const row = this.#host.row(id);
      return row?.synced === 0 ? row : undefined;
    }
    const awake = this.#host.awake(id);
    if (awake !== undefined) awake.queued = false;
    return undefined;
  }

  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
  }

  /** At the end: syncs all. Of what is awake it tells its host; true: there may be rows to be told of too. */
  async syncAll(): Promise<boolean> {
    const beganMs = performance.now();
    if (this.#objects.size + this.#rows.size === 0 || !(await this.#syncTier())) return false;
    for (const object of this.#objects) {
      if (object.writtenAtMs >= beganMs) continue; // a fetch that was under way: it may have been written too late
      object.synced = true;
      this.#host.synced(object);
    }
    return true;
  }

  /** After `syncAll`: nothing was written to any of them since. False: these were the last. */
  tellRows(most: number, untilMs: number): boolean {
    for (let told = 0; told < most && this.#rows.size > 0; ) {
      if (performance.now() >= untilMs) return false;
      const row = this.#nextRow();
      if (row === undefined) continue;
      this.#host.syncedRow(asSynced(row));
      told++;
    }
    return this.#rows.size > 0;
  }

  async #syncTier(): Promise<boolean> {
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

function asSynced(row: IndexRow): IndexRow {
  return { ...row, synced: 1 };
}
