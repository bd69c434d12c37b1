/**
 * What can be done with a cache directory that no daemon uses: say what is in it, check every byte, remove it. Nothing is
 * touched that a daemon did not make, and no symbolic link is followed.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Chunks, checksum } from './chunks.ts';
import { type PinSnapshot, PinTally, shareOf } from './eviction/pins.ts';
import type { IndexRow } from './index-db.ts';
import { type IndexContents, readIndex } from './index-reader.ts';
import { takeLock } from './lock.ts';
import { objectPath, objectsDirectory } from './objects-directory.ts';
import { PIN_FILE, readPins } from './pin-file.ts';

const PIECE_BYTES = 1024 * 1024;

export type { IndexContents };

/** The part of a cache directory that belongs to one source. */
export interface SourceCache {
  directory: string;
  /** The process that uses it; undefined: it is ours until `close`. */
  holder: string | undefined;
  close(): void;
}

/** The caches of all sources in a directory; empty: it is no cache of ours. */
export function cachesIn(directory: string): SourceCache[] {
  const found: SourceCache[] = [];
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const inner = path.join(directory, entry.name);
    if (!entry.isDirectory() || !/^[0-9a-f]{16}$/.test(entry.name) || !looksOurs(inner)) continue;
    const lock = takeLock(inner);
    if ('fd' in lock) found.push({ directory: inner, holder: undefined, close: () => fs.closeSync(lock.fd) });
    else found.push({ directory: inner, holder: lock.holder, close: () => {} });
  }
  return found;
}

function looksOurs(directory: string): boolean {
  const is = (name: string): fs.Stats | undefined =>
    fs.lstatSync(path.join(directory, name), { throwIfNoEntry: false });
  return is('lock')?.isFile() === true && is('objects')?.isDirectory() === true;
}

export function contentsOf({ directory }: SourceCache): IndexContents {
  return readIndex(path.join(directory, 'index.sqlite'));
}

/** What is pinned in it, and how much of that the index says is there; undefined: the list cannot be used. */
export function pinsOf({ directory }: SourceCache, { rows }: IndexContents): PinSnapshot[] | undefined {
  const tally = new PinTally();
  for (const { pin, bytes } of rows) tally.add(pin, 1, bytes);
  try {
    return readPins(path.join(directory, PIN_FILE)).map(({ by, text, numbers }) => {
      return { by, text, ...shareOf(numbers, [tally]) };
    });
  } catch {
    return undefined;
  }
}

export interface DamagedObject {
  object: string;
  /** The source's file, as the index names it. */
  file: string;
  size: number;
  what: 'missing' | 'wrong length' | 'wrong bytes' | 'wrong row';
  /** Chunks whose bytes are not what they were. */
  chunks: number;
}

export interface Checked {
  objects: number;
  chunks: number;
  bytes: number;
  damaged: DamagedObject[];
}

/** Holds everything a cache keeps against its checksums. `progress` is called with the bytes that were read since its last call. */
export function checkCache(cache: SourceCache, { rows }: IndexContents, progress: (bytes: number) => void): Checked {
  const checked: Checked = { objects: 0, chunks: 0, bytes: 0, damaged: [] };
  for (const row of rows) {
    checked.objects++;
    const { file, size } = row;
    const object = objectPath(cache.directory, row.id);
    const damaged = (what: DamagedObject['what'], chunks: number): void => {
      checked.damaged.push({ object, file, size, what, chunks });
    };
    const chunks = Chunks.stored(Math.ceil(size / row.chunkBytes), row.chunks, row.sums);
    if (chunks === undefined) {
      damaged('wrong row', 0);
      continue;
    }
    const stat = fs.lstatSync(object, { throwIfNoEntry: false });
    if (stat?.isFile() !== true) damaged('missing', chunks.count);
    else if (stat.size !== size) damaged('wrong length', chunks.count);
    else {
      const wrong = wrongChunks(object, row, chunks, checked, progress);
      if (wrong > 0) damaged('wrong bytes', wrong);
    }
  }
  return checked;
}

function wrongChunks(
  object: string,
  row: IndexRow,
  chunks: Chunks,
  checked: Checked,
  progress: (bytes: number) => void,
): number {
  const fd = fs.openSync(object, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  let wrong = 0;
  for (let chunk = 0; chunk < chunks.count; chunk++) {
    if (!chunks.has(chunk)) continue;
    const start = chunk * row.chunkBytes;
    const length = Math.min(row.chunkBytes, row.size - start);
    if (sumOf(fd, start, length) !== chunks.sum(chunk)) wrong++;
    checked.chunks++;
    checked.bytes += length;
    progress(length);
  }
  fs.closeSync(fd);
  return wrong;
}

const piece = Buffer.alloc(PIECE_BYTES);

/** Undefined when the bytes cannot be read. */
function sumOf(fd: number, start: number, length: number): number | undefined {
  let sum = 0;
  for (let done = 0; done < length; ) {
    let count = 0;
    try {
      count = fs.readSync(fd, piece, 0, Math.min(PIECE_BYTES, length - done), start + done);
    } catch {
      return undefined;
    }
    if (count === 0) return undefined;
    sum = checksum(piece.subarray(0, count), sum);
    done += count;
  }
  return sum;
}

export interface Cleared {
  objects: number;
  bytes: number;
  /** What is not ours and was left. */
  left: string[];
}

/** Removes what a daemon made, and the directory when nothing else is in it. The lock goes last, and is still held. */
export function clearCache({ directory }: SourceCache): Cleared {
  const cleared: Cleared = { objects: 0, bytes: 0, left: [] };
  const objects = objectsDirectory(directory);
  for (const part of entries(objects)) {
    const inner = path.join(objects, part.name);
    if (!part.isDirectory() || !/^[0-9a-f]{2}$/.test(part.name)) continue;
    for (const { name } of entries(inner)) {
      const object = path.join(inner, name);
      const stat = fs.lstatSync(object);
      if (!stat.isFile() || !/^\d+$/.test(name)) continue;
      fs.unlinkSync(object);
      cleared.objects++;
      cleared.bytes += Math.min(stat.blocks * 512, stat.size);
    }
    removeEmpty(inner);
  }
  removeEmpty(objects);
  for (const { name } of entries(directory)) {
    if (/^((index\.sqlite(\.unusable)?|names\.sqlite)(-wal|-shm)?|pins(\.new|\.unusable)?|probe)$/.test(name))
      fs.rmSync(path.join(directory, name));
  }
  if (entries(directory).every(({ name }) => name === 'lock')) fs.rmSync(path.join(directory, 'lock'));
  removeEmpty(directory);
  cleared.left.push(...filesIn(directory));
  return cleared;
}

/** Not by readdir's own recursion, which goes through symbolic links. */
function filesIn(directory: string): string[] {
  return entries(directory).flatMap((entry) => {
    const inner = path.join(directory, entry.name);
    if (entry.isDirectory()) return filesIn(inner);
    return entry.name === 'lock' ? [] : [inner];
  });
}

function entries(directory: string): fs.Dirent[] {
  return fs.existsSync(directory) ? fs.readdirSync(directory, { withFileTypes: true }) : [];
}

function removeEmpty(directory: string): void {
  if (entries(directory).length === 0 && fs.existsSync(directory)) fs.rmdirSync(directory);
}
