/** Opens the cache of one store in a directory: makes it, locks it, reads its index, and clears what is left over. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { CachePolicyName } from '../config/cache-policies.ts';
import type { Log } from '../telemetry/log.ts';
import type { Cache } from './cache.ts';
import { DiskCache } from './disk-cache.ts';
import { CacheError } from './error.ts';
import type { PathRules } from './eviction/rules.ts';
import { IndexDatabase, moveAside } from './index-db.ts';
import { takeLock } from './lock.ts';
import { Tier } from './tier.ts';

export interface CacheOptions {
  /** Holds the caches of any number of stores, each in a directory of its own. */
  directory: string;
  /** What the objects of this store may take, in bytes. */
  sizeBytes: number;
  /** Free space of the file system that is left alone; a twentieth of it unless said. */
  reserveBytes?: number;
  /** What is fetched and kept as one: a power of two from 4 KiB; 256 KiB unless said. */
  chunkBytes?: number;
  /** For chunks on their way; beyond it what is read is not kept. 64 MiB unless said. */
  bufferBytes?: number;
  /** How fast what is kept is read and checked when nobody else reads; not at all unless said. */
  scrubBytesPerSecond?: number;
  /** How long everybody must have been quiet for that; 2000 ms unless said. */
  scrubQuietMs?: number;
  /** What decides which content is kept; `mix` unless said. */
  policy?: CachePolicyName;
  /** Globs of what is always and what is never kept; nothing is unless said. */
  rules?: PathRules;
  /** Names the store the content is of. */
  storeId: string;
  log: Log;
  /** Names this boot of the machine; the kernel's own unless said. */
  bootId?: string;
}

const CHUNK_BYTES = 256 * 1024;
const BUFFER_BYTES = 64 * 1024 * 1024;
const SMALLEST_BYTES = 1024 * 1024;

export async function openCache(options: CacheOptions): Promise<Cache> {
  const { log, storeId, sizeBytes, chunkBytes = CHUNK_BYTES } = options;
  if (sizeBytes < SMALLEST_BYTES) {
    throw new CacheError('too-small', `a cache of ${sizeBytes} bytes holds nothing`, 'give it at least 1M');
  }
  const directory = placeOf(options.directory, storeId);
  try {
    fs.mkdirSync(path.join(directory, 'objects'), { recursive: true, mode: 0o700 });
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw new CacheError(
      'directory',
      `the cache directory ${options.directory} cannot be used: ${(error as Error).message}`,
      'name a directory that can be written, with --cache DIR:SIZE, or --cache none',
    );
  }
  const lock = lockFor(directory, options.directory);
  const tier = new Tier({ directory, sizeBytes, reserveBytes: options.reserveBytes, log });
  const indexPath = path.join(directory, 'index.sqlite');
  const cache = new DiskCache({
    tier,
    openIndex: (anew) => {
      if (anew === true) moveAside(indexPath);
      return IndexDatabase.open(indexPath, storeId, log, options.bootId);
    },
    bufferBytes: options.bufferBytes ?? BUFFER_BYTES,
    chunkBytes,
    policy: options.policy,
    rules: options.rules,
    log,
    scrubBytesPerSecond: options.scrubBytesPerSecond,
    scrubQuietMs: options.scrubQuietMs,
    onShutdown: () => fs.closeSync(lock),
  });
  const { firstNewId } = cache;
  void cache.loaded.then(() => sweep(tier, cache, firstNewId)); // not before: what has no object yet has its row
  return cache;
}

/** Where the cache of one store is, in a directory for those of many. */
export function placeOf(directory: string, storeId: string): string {
  return path.join(directory, createHash('sha256').update(storeId).digest('hex').slice(0, 16));
}

function lockFor(directory: string, named: string): number {
  const lock = takeLock(directory);
  if ('fd' in lock) return lock.fd;
  const busy = lock.failure === 'busy';
  throw new CacheError(
    busy ? 'busy' : 'directory',
    busy
      ? `the cache directory ${named} is in use for this source by process ${lock.holder}`
      : `the cache directory ${named} cannot be locked`,
    'give this mount a directory of its own with --cache DIR:SIZE, or unmount the other',
  );
}

/** Removes object files that no row speaks of: written just before a crash, or of an index that was lost. */
async function sweep(tier: Tier, cache: DiskCache, firstNewId: number): Promise<void> {
  const objects = path.join(tier.directory, 'objects');
  try {
    for (const part of await fs.promises.readdir(objects)) {
      for (const name of await fs.promises.readdir(path.join(objects, part))) {
        const id = Number(name);
        if (id < firstNewId && !cache.knows(id)) await fs.promises.rm(path.join(objects, part, name));
      }
    }
  } catch {
    // The directory went away under it: nothing is left over then.
  }
}
