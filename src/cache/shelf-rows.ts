/** The tables of a shelf, the statements on them, and the seals of their rows. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import type { Generation, ShelvedDirectory } from './shelf.ts';

export const SCHEMA = 1;

export interface State {
  schema: number;
  identity: string;
  generation: Generation;
  /** The boot in which a mount that may change something has it open; '' for none. */
  writableIn: string;
  /** How many changes are noted, and the sum of their seals: none of them may be missing. */
  changes: number;
  changesSum: number;
}

export interface Row extends ShelvedDirectory {
  id: number;
  bytes: number;
  used: Generation;
  seal: number;
}

export const SCHEMA_SQL = `
  PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -2000;
  CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY, words TEXT NOT NULL, seal INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS directories (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, file TEXT NOT NULL, birth TEXT NOT NULL, version TEXT NOT NULL,
    entries INTEGER NOT NULL, complete INTEGER NOT NULL, parts INTEGER NOT NULL, generation INTEGER NOT NULL, bytes INTEGER NOT NULL,
    used INTEGER NOT NULL, seal INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS byUse ON directories (used, bytes);
  CREATE TABLE IF NOT EXISTS parts (
    directory INTEGER NOT NULL, part INTEGER NOT NULL, seal INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (directory, part)
  );
  CREATE TABLE IF NOT EXISTS changes (file TEXT PRIMARY KEY, generation INTEGER NOT NULL, seal INTEGER NOT NULL) WITHOUT ROWID;
`;

const COLUMNS = 'id, path, file, birth, version, entries, complete, parts, generation, bytes, used, seal';

export type Statements = ReturnType<typeof prepare>;

export function prepare(db: DatabaseSync) {
  const of = (sql: string): StatementSync => db.prepare(sql);
  return {
    find: of(`SELECT ${COLUMNS} FROM directories WHERE path = ?`),
    next: of(`SELECT ${COLUMNS} FROM directories WHERE id >= ? ORDER BY id LIMIT 1`),
    recent: of('SELECT path, entries FROM directories WHERE complete = 1 ORDER BY used DESC, id'),
    part: of('SELECT bytes, seal FROM parts WHERE directory = ? AND part = ?'),
    put: of(`INSERT INTO directories (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    putPart: of('INSERT OR REPLACE INTO parts (directory, part, seal, bytes) VALUES (?, ?, ?, ?)'),
    use: of('UPDATE directories SET used = ? WHERE id = ?'),
    oldest: of('SELECT id, bytes FROM directories WHERE used < ? ORDER BY used LIMIT 1'),
    remove: of('DELETE FROM directories WHERE id = ?'),
    removeParts: of('DELETE FROM parts WHERE directory = ?'),
    putChange: of('INSERT OR REPLACE INTO changes (file, generation, seal) VALUES (?, ?, ?)'),
    putState: of('INSERT OR REPLACE INTO state (one, words, seal) VALUES (1, ?, ?)'),
  };
}

export function sealOf(row: Row): number {
  const { id, path, file, birth, version, entries, complete, parts, generation, bytes } = row;
  return crc32(`${id} ${path}\n${file} ${birth} ${version} ${entries} ${complete} ${parts} ${generation} ${bytes}`);
}

export function sealOfPart(id: number, part: number, bytes: Uint8Array): number {
  return crc32(bytes, crc32(`${id} ${part}`));
}

export function sealOfChange(file: string, generation: Generation): number {
  return crc32(`${file} ${generation}`);
}
