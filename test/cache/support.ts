/** Content that can be told from its key alone, and a source that serves it. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after } from 'node:test';
import type { Cache, CachedContent, ContentKey, ContentSource } from '../../src/cache/index.ts';
import { Errno, type Outcome } from '../../src/sys/errno.ts';

export const CHUNK = 4096;

const known = new Map<string, Buffer>();

/** What a file at a version holds. The same buffer each time: to be read only. */
export function truth(file: string, version: string, size: number): Buffer {
  const name = `${file} ${version} ${size}`;
  let bytes = known.get(name);
  if (bytes === undefined) {
    bytes = made(file, version, size);
    if (known.size < 300) known.set(name, bytes);
  }
  return bytes;
}

function made(file: string, version: string, size: number): Buffer {
  let seed = 7;
  for (const c of file + version) seed = (seed * 31 + c.charCodeAt(0)) & 0x7fffffff;
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (seed + i * 13 + (i >> 9) * 101) & 0xff;
  return bytes;
}

/**
 * A source that counts what it is asked; `changed`: it says that the file is no longer what it was; `silent`: it cannot say.
 */
export class TrueSource implements ContentSource {
  readonly content: Buffer;
  reads = 0;
  bytes = 0;
  changed = false;
  silent = false;
  /** Set to hold reads back until it resolves. */
  gate: Promise<void> | undefined;

  constructor(key: ContentKey) {
    this.content = truth(key.file, key.version, key.size);
  }

  async read(into: Uint8Array, length: number, offset: number): Promise<number> {
    this.reads++;
    await this.gate;
    const end = Math.min(offset + length, this.content.length);
    const count = Math.max(0, end - offset);
    into.set(this.content.subarray(offset, offset + count));
    this.bytes += count;
    return count;
  }

  async unchanged(): Promise<Outcome<boolean>> {
    return this.silent ? -Errno.EIO : !this.changed;
  }
}

export function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-cache-'));
  after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Reads a range the way the overlay does; throws on a failure. */
export async function readRange(
  content: CachedContent,
  source: ContentSource,
  offset: number,
  length: number,
): Promise<Buffer> {
  const into = Buffer.alloc(length);
  const count = content.readNow(into, length, offset);
  if (count >= 0) return into.subarray(0, count);
  const late = await content.read(length, offset, source);
  if (typeof late === 'number') throw new Error(`read failed: ${late}`);
  const bytes = Buffer.from(late.bytes);
  late.release?.();
  return bytes;
}

/** Waits until what was read has been kept. */
export async function untilComplete(content: CachedContent): Promise<void> {
  for (let i = 0; i < 6000 && !content.complete; i++) await pause(5);
  if (!content.complete) throw new Error('the object did not become complete');
}

export async function fill(cache: Cache, key: ContentKey): Promise<TrueSource> {
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  for (let at = 0; at < key.size; at += 1 << 20) await readRange(content, source, at, 1 << 20);
  await untilComplete(content);
  content.release();
  return source;
}

/** The object files of a cache directory. */
export function objectFiles(directory: string): string[] {
  const files = fs.readdirSync(directory, { recursive: true, withFileTypes: true });
  return files
    .filter((entry) => entry.isFile() && /^\d+$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** The index of a cache directory of one store. */
export function indexOf(directory: string): string {
  const [store] = fs.readdirSync(directory);
  return path.join(directory, store!, 'index.sqlite');
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until every row of earlier runs is known, and no fetch is under way. */
export async function untilIdle(cache: Cache): Promise<void> {
  await cache.loaded;
  await pause(20);
}
