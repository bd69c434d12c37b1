/**
 * Rows in a cache's index for files that nobody has read, as they would be there if somebody had: what the daemon does with
 * them at a mount is the same. Their objects have no files: whoever reads one brings it from the source.
 */
import { type BigIntStats, lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { IndexDatabase, type IndexRow } from '../../src/cache/index-db.ts';
import { cachesIn } from '../../src/cache/upkeep.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { must } from '../support/processes.ts';

const BATCH = 20_000;
const CHUNK_BYTES = 256 * 1024;

/** `paths`: below `source`. */
export async function fillIndex(cache: string, source: string, paths: string[]): Promise<void> {
  const [only] = cachesIn(cache);
  if (only === undefined || only.holder !== undefined) throw new Error(`${cache} has no cache that is free`);
  const index = IndexDatabase.open(join(only.directory, 'index.sqlite'), `posix:${realpathSync(source)}`, silentLog);
  await index.endCheckpoints();
  let id = index.lastId + 1;
  for (let from = 0; from < paths.length; from += BATCH) {
    const rows: IndexRow[] = [];
    for (const path of paths.slice(from, from + BATCH)) {
      const stat = lstatSync(join(source, path), { bigint: true });
      if (index.find(String(stat.ino)) === undefined) rows.push(rowOf(stat, id++));
    }
    index.write(rows, []);
  }
  index.close();
  only.close();
  await must('sync', ['-f', only.directory]);
}

function rowOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats, id: number): IndexRow {
  const time = (ns: bigint): string => `${ns / 1_000_000_000n}.${ns % 1_000_000_000n}`;
  return {
    id,
    file: String(ino),
    version: `${ino}:${size}:${time(mtimeNs)}:${time(ctimeNs)}`,
    size: Number(size),
    chunkBytes: CHUNK_BYTES,
    chunks: null,
    sums: id % 2 ** 32,
    bytes: Number(size),
    exposed: 0,
    synced: 1,
    used: Math.floor(Date.now() / 1000),
    pin: 0,
  };
}
