/**
 * The shelf as SQLite beside the cache's index: a row for each directory, one for each part of its entries, each sealed with
 * a checksum of itself. Read by need, written off the read path.
 *
 * What was changed is committed before the change is made. A commit outlives kill -9, not the stop of a machine: so a mount
 * that may change something marks the shelf with the boot it runs in, synced, and another boot that finds the mark forgets all.
 */
import * as fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import type { Log } from '../telemetry/log.ts';
import type { Generation, Shelf, ShelfDraft, ShelfSnapshot, ShelvedDirectory } from './shelf.ts';
import {
  prepare,
  type Row,
  SCHEMA,
  SCHEMA_SQL,
  type State,
  type Statements,
  sealOf,
  sealOfChange,
  sealOfPart,
} from './shelf-rows.ts';

/** Whoever changes more is better off when nothing is kept: each is a commit. */
const CHANGES_MOST = 65_536;

export interface ShelfOptions {
  path: string;
  /** What the names are of, and as whom they were seen: of anything else the shelf knows nothing. */
  identity: string;
  limitBytes: number;
  /** Changes can be made through this mount. */
  writable: boolean;
  bootId: string;
  log: Log;
}

export class ShelfDatabase implements Shelf {
  readonly #db: DatabaseSync;
  readonly #options: ShelfOptions;
  readonly #statements: Statements;
  readonly #state: State;
  /** By file: the generation in which it was changed last. */
  readonly #changed = new Map<string, Generation>();
  /** By directory row: those used by this mount and not yet noted so. */
  readonly #used = new Set<number>();
  #nextId: number;
  #bytes: number;
  #directories: number;
  #recalled = 0;
  #written = 0;
  #damaged = 0;
  #closed = false;

  /** Opens the shelf; one that cannot be used (damaged, newer, of something else) is begun anew. */
  static open(options: ShelfOptions): ShelfDatabase {
    const there = fs.existsSync(options.path);
    try {
      return new ShelfDatabase(options);
    } catch (error) {
      if (!there) throw error;
      removeShelf(options.path);
      const fields = { shelf: options.path, reason: (error as Error).message };
      options.log.warn(fields, 'what earlier mounts knew of names cannot be used and is begun anew');
      return new ShelfDatabase(options);
    }
  }

  private constructor(options: ShelfOptions) {
    this.#options = options;
    this.#db = new DatabaseSync(options.path);
    try {
      this.#db.exec(SCHEMA_SQL);
      this.#statements = prepare(this.#db);
      this.#state = this.#readState();
      this.#readChanges();
      const { id, bytes, rows } = this.#db
        .prepare('SELECT max(id) AS id, total(bytes) AS bytes, count(*) AS rows FROM directories')
        .get() as { id: number | null; bytes: number; rows: number };
      if (!Number.isFinite(bytes) || !Number.isSafeInteger(id ?? 0)) throw new Error('its ids are damaged');
      this.#nextId = (id ?? 0) + 1;
      this.#bytes = bytes;
      this.#directories = rows;
      this.#begin();
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #readState(): State {
    const { identity, bootId } = this.#options;
    const row = this.#db.prepare('SELECT words, seal FROM state').get() as { words: string; seal: number } | undefined;
    if (row === undefined) {
      return { schema: SCHEMA, identity, generation: 0, writableIn: '', changes: 0, changesSum: 0 };
    }
    if (crc32(row.words) !== row.seal) throw new Error('its state is damaged');
    const state = JSON.parse(row.words) as State;
    if (state.schema !== SCHEMA) throw new Error(`it has schema version ${state.schema}`);
    if (state.identity !== identity) throw new Error('it is of another source, or of another user');
    if (state.writableIn !== '' && state.writableIn !== bootId) {
      throw new Error('the machine stopped while a mount could change something');
    }
    return state;
  }

  #readChanges(): void {
    let sum = 0;
    for (const row of this.#db.prepare('SELECT file, generation, seal FROM changes').iterate()) {
      const { file, generation, seal } = row as { file: string; generation: number; seal: number };
      if (sealOfChange(file, generation) !== seal) throw new Error('its changes are damaged');
      sum = (sum + seal) >>> 0;
      this.#changed.set(file, generation);
    }
    const { changes, changesSum } = this.#state;
    if (this.#changed.size !== changes || sum !== changesSum) throw new Error('its changes are damaged');
  }

  /** Begins a generation; what a mount that ended in the middle had begun to write goes. */
  #begin(): void {
    this.#state.generation++;
    this.#state.writableIn = this.#options.writable ? this.#options.bootId : '';
    this.#db.exec('PRAGMA synchronous = FULL');
    this.#transaction(() => {
      this.#db.prepare('DELETE FROM parts WHERE directory >= ?').run(this.#nextId);
      this.#putState();
    });
    this.#db.exec('PRAGMA synchronous = NORMAL');
  }

  #putState(): void {
    const words = JSON.stringify(this.#state);
    this.#statements.putState.run(words, crc32(words));
  }

  #transaction(body: () => void): void {
    this.#db.exec('BEGIN');
    try {
      body();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Does something with the database; when that fails, nothing is kept any more: the next mount begins anew. */
  #attempt<T>(otherwise: T, body: () => T): T {
    if (this.#closed) return otherwise;
    try {
      return body();
    } catch (error) {
      this.#giveUp((error as Error).message);
      return otherwise;
    }
  }

  #giveUp(reason: string): void {
    this.#shut();
    try {
      removeShelf(this.#options.path);
      this.#options.log.warn({ shelf: this.#options.path, reason }, 'names are not kept for the next mount');
    } catch (error) {
      const fields = { shelf: this.#options.path, reason, error: (error as Error).message };
      this.#options.log.error(
        fields,
        'what is kept of names cannot be written nor removed: remove it before the next mount',
      );
    }
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  find(path: string): ShelvedDirectory | undefined {
    return this.#attempt(undefined, () => {
      const row = this.#statements.find.get(path) as unknown as Row | undefined;
      if (row === undefined) return undefined;
      if (sealOf(row) !== row.seal) {
        this.#isDamaged(row);
        return undefined;
      }
      if (!this.holds(row.file, row.generation)) return undefined;
      if (row.used !== this.#state.generation) this.#used.add(row.id);
      this.#recalled++;
      return row;
    });
  }

  part(directory: ShelvedDirectory, part: number): Uint8Array | undefined {
    const row = directory as Row;
    return this.#attempt(undefined, () => {
      const found = this.#statements.part.get(row.id, part) as { bytes: Uint8Array; seal: number } | undefined;
      if (found !== undefined && sealOfPart(row.id, part, found.bytes) === found.seal) return found.bytes;
      this.#isDamaged(row);
      return undefined;
    });
  }

  get changes(): boolean {
    return this.#changed.size > 0;
  }

  holds(file: string, generation: Generation): boolean {
    const changed = this.#changed.get(file);
    return changed === undefined || changed < generation;
  }

  sample(count: number): ShelvedDirectory[] {
    return this.#attempt([], () => {
      const rows = new Map<string, Row>();
      for (let i = 0; i < count; i++) {
        const row = this.#statements.next.get(Math.floor(Math.random() * this.#nextId)) as unknown as Row | undefined;
        if (row !== undefined && sealOf(row) === row.seal && this.holds(row.file, row.generation))
          rows.set(row.path, row);
      }
      return [...rows.values()];
    });
  }

  recent(entriesMost: number): string[] {
    return this.#attempt([], () => {
      const paths: string[] = [];
      let entries = 0;
      for (const found of this.#statements.recent.iterate()) {
        const row = found as { path: string; entries: number };
        entries += row.entries;
        if (entries > entriesMost) break;
        paths.push(row.path);
      }
      return paths.sort();
    });
  }

  #isDamaged(row: Row): void {
    if (this.#damaged++ === 0) {
      this.#options.log.warn(
        { shelf: this.#options.path },
        'what was kept of names is damaged in part; the source is asked',
      );
    }
    this.#transaction(() => this.#remove(row));
  }

  /** Within a transaction. */
  #remove({ id, bytes }: Pick<Row, 'id' | 'bytes'>): void {
    this.#statements.removeParts.run(id);
    if (Number(this.#statements.remove.run(id).changes) === 0) return;
    this.#bytes -= bytes;
    this.#directories--;
  }

  // --- writing -------------------------------------------------------------------------------------------------------

  draft(directory: Omit<ShelvedDirectory, 'parts' | 'generation'>, bytes: number): ShelfDraft | undefined {
    return this.#attempt(undefined, () => {
      if (!this.#makeRoom(bytes)) return undefined;
      const { generation } = this.#state;
      const row: Row = { ...directory, id: this.#nextId++, parts: 0, generation, bytes: 0, used: generation, seal: 0 };
      return {
        part: (part: Uint8Array) =>
          this.#attempt(false, () => {
            const at = row.parts;
            this.#statements.putPart.run(row.id, at, sealOfPart(row.id, at, part), part);
            Object.assign(row, { parts: at + 1, bytes: row.bytes + part.length });
            return true;
          }),
        end: () => this.#attempt(undefined, () => this.#put(row)),
        drop: () => this.#attempt(undefined, () => void this.#statements.removeParts.run(row.id)),
      };
    });
  }

  #put(row: Row): void {
    const { id, path, file, birth, version, entries, complete, parts, generation, bytes, used } = row;
    this.#transaction(() => {
      const before = this.#statements.find.get(path) as unknown as Row | undefined;
      if (before !== undefined) this.#remove(before);
      const words = [id, path, file, birth, version, entries, complete, parts, generation, bytes, used] as const;
      this.#statements.put.run(...words, sealOf(row));
      for (const one of this.#used) this.#statements.use.run(generation, one);
    });
    this.#used.clear();
    this.#bytes += bytes;
    this.#directories++;
    this.#written++;
  }

  /** What no mount has used for longest goes; what this one has used stays. */
  #makeRoom(bytes: number): boolean {
    const { limitBytes } = this.#options;
    if (bytes > limitBytes) return false;
    while (this.#bytes + bytes > limitBytes) {
      const oldest = this.#statements.oldest.get(this.#state.generation) as { id: number; bytes: number } | undefined;
      if (oldest === undefined) return false;
      this.#transaction(() => this.#remove(oldest));
    }
    return true;
  }

  changed(file: string): void {
    if (this.#changed.get(file) === this.#state.generation) return;
    this.#attempt(undefined, () => {
      if (this.#changed.size >= CHANGES_MOST) {
        this.#giveUp('too much is changed');
        return;
      }
      const { generation } = this.#state;
      const before = this.#changed.get(file);
      const seal = sealOfChange(file, generation);
      const gone = before === undefined ? 0 : sealOfChange(file, before);
      this.#changed.set(file, generation);
      this.#state.changes = this.#changed.size;
      this.#state.changesSum = (this.#state.changesSum + seal - gone) >>> 0;
      this.#transaction(() => {
        this.#statements.putChange.run(file, generation, seal);
        this.#putState();
      });
    });
  }

  forget(): void {
    this.#attempt(undefined, () => {
      this.#transaction(() => this.#db.exec('DELETE FROM directories; DELETE FROM parts'));
      this.#bytes = 0;
      this.#directories = 0;
    });
  }

  snapshot(): ShelfSnapshot {
    return {
      bytes: this.#bytes,
      limitBytes: this.#options.limitBytes,
      directories: this.#directories,
      recalled: this.#recalled,
      written: this.#written,
      damaged: this.#damaged,
    };
  }

  close(): void {
    this.#attempt(undefined, () => {
      this.#transaction(() => {
        for (const one of this.#used) this.#statements.use.run(this.#state.generation, one);
      });
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)'); // syncs what was changed before the mark goes
      this.#state.writableIn = '';
      this.#transaction(() => this.#putState());
      this.#shut();
    });
  }

  #shut(): void {
    this.#closed = true;
    this.#bytes = 0;
    this.#directories = 0;
    try {
      this.#db.close();
    } catch {
      // its file is gone, or damaged
    }
  }
}

/** Removes a shelf, also from what a stop of the machine brings back. */
export function removeShelf(path: string): void {
  if (!fs.existsSync(path)) return;
  for (const suffix of ['', '-wal', '-shm']) fs.rmSync(path + suffix, { force: true });
  const directory = fs.openSync(path.slice(0, path.lastIndexOf('/')), 'r');
  try {
    fs.fsyncSync(directory);
  } finally {
    fs.closeSync(directory);
  }
}
