/** An index as the commands read it: nothing in it is changed, whatever it is. */
import * as fs from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { COLUMNS, type IndexRow, SCHEMA_VERSION, type SealedRow, sealOf } from './index-db.ts';

export interface IndexContents {
  /** The store the content is of, as it names itself. */
  storeId: string;
  rows: IndexRow[];
  /** Rows that are not what they were. */
  damagedRows: number;
  /** Why nothing more can be told; the next mount begins it anew. */
  unusable: string | undefined;
}

export function readIndex(path: string): IndexContents {
  const contents: IndexContents = { storeId: 'unknown', rows: [], damagedRows: 0, unusable: undefined };
  if (!fs.existsSync(path)) return { ...contents, unusable: 'there is no index' };
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    const meta = (key: string): string | undefined =>
      db!.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value?.toString();
    contents.storeId = meta('store') ?? 'unknown';
    const schema = meta('schema');
    if (schema !== String(SCHEMA_VERSION)) throw new Error(`it has schema version ${schema}`);
    for (const found of db.prepare(`SELECT ${COLUMNS} FROM objects ORDER BY id`).iterate()) {
      const row = found as unknown as SealedRow;
      if (sealOf(row) === row.seal) contents.rows.push(row);
      else contents.damagedRows++;
    }
  } catch (error) {
    contents.unusable = (error as Error).message;
  } finally {
    db?.close();
  }
  return contents;
}
