/**
 * Opens the cache of one store: each tier in its directory, which is made, locked, its index read, and cleared of what is left
 * over; a tier in memory is made anew.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CachePolicyName } from '../config/cache-policies.ts';
import type { Log } from '../telemetry/log.ts';
import { BufferPool } from './buffers.ts';
import type { Cache } from './cache.ts';
import { DiskCache } from './disk-cache.ts';
import { CacheError } from './error.ts';
import { Pins } from './eviction/pins.ts';
import { type PathRules, Rules } from './eviction/rules.ts';
import { IndexDatabase, isOutside, isUnread, moveAside } from './index-db.ts';
import { removeLeftOvers } from './left-overs.ts';
import { isStill, type Lock, takeLock, takeLockOfEnded } from './lock.ts';
import { openMemory } from './memory-tier.ts';
import { makeObjectsDirectory, makeParts } from './objects-directory.ts';
import { PinFile } from './pin-file.ts';
import { Tier } from './tier.ts';
import { TieredCache, type TierPlace } from './tiers.ts';

export interface TierOptions {
  /** Holds the caches of any number of stores, each in a directory of its own; 'memory': none, and gone with the process. */
  directory: string | 'memory';
  /** What the objects of this store may take there, in bytes. */
  sizeBytes: number;
}

export interface CacheOptions extends TierOptions {
  /** Slower tiers than the one of `directory`, fastest first. */
  slower?: readonly TierOptions[];
  /** Free space of the file system that is left alone; a twentieth of it unless said. */
  reserveBytes?: number;
  /** What is fetched and kept as one: a power of two from 4 KiB; by the size of the file unless said. */
  chunkBytes?: number | undefined;
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
  /** Objects in memory, beside those in use; for tests. */
  awakeMost?: number;
  /** Names this boot of the machine; the kernel's own unless said. */
  bootId?: string;
}

/** What the tiers of a cache have in common. */
interface Shared {
  options: CacheOptions;
  buffers: BufferPool;
  rules: Rules;
}

/** How a tier in memory is called where those on disk have a path. */
export const MEMORY_NAME = 'mem';

const LESS_MEMORY = 'memory is short: give the cache less of it (ml-overlay set MOUNTPOINT cache=mem:SIZE)';

const BUFFER_BYTES = 64 * 1024 * 1024;
const SMALLEST_BYTES = 1024 * 1024;
const PAGE = 4096;
/** An index that its disk fails to read is tried again so often before a new one is begun. */
const READ_AGAIN = 3;
const READ_AGAIN_MS = 500;

export async function openCache(options: CacheOptions): Promise<Cache> {
  const { directory, sizeBytes, slower = [], log } = options;
  const shared: Shared = {
    options,
    buffers: new BufferPool(options.bufferBytes ?? BUFFER_BYTES),
    rules: new Rules(new Pins(options.rules?.pin ?? []), options.rules?.neverCache ?? []),
  };
  const places: TierPlace[] = [];
  try {
    // The last first: what is pinned is kept there, and has to be known before a row of any of them becomes an object.
    for (const tier of [{ directory, sizeBytes }, ...slower].toReversed()) places.unshift(await openTier(tier, shared));
  } catch (error) {
    for (const { cache } of places) await cache.shutdown();
    throw error;
  }
  const [only, ...more] = places;
  if (only !== undefined && more.length === 0) return only.cache;
  return new TieredCache({ places, buffers: shared.buffers, rules: shared.rules, log });
}

async function openTier(tier: TierOptions, shared: Shared): Promise<TierPlace> {
  if (tier.sizeBytes < SMALLEST_BYTES) {
    throw new CacheError('too-small', `a cache of ${tier.sizeBytes} bytes holds nothing`, 'give it at least 1M');
  }
  return tier.directory === 'memory'
    ? { cache: openInMemory(tier.sizeBytes, shared), volatile: true }
    : { cache: await openOnDisk(tier, shared), volatile: false };
}

function openInMemory(bytes: number, { options, buffers, rules }: Shared): DiskCache {
  const { chunkBytes, policy, log } = options;
  const sizeBytes = Math.floor(bytes / PAGE) * PAGE;
  const place = openMemory(sizeBytes);
  makeObjectsDirectory(place.directory);
  const tier = new Tier({
    directory: place.directory,
    name: MEMORY_NAME,
    sizeBytes,
    blockBytes: PAGE,
    reserveBytes: 0,
    allow: place.resize,
    remedies: { failing: LESS_MEMORY, full: LESS_MEMORY },
    log,
  });
  const onShutdown = (): void => place.close();
  return new DiskCache({ tier, openIndex: undefined, buffers, chunkBytes, policy, rules, log, onShutdown });
}

async function openOnDisk(
  { directory: named, sizeBytes }: TierOptions,
  { options, buffers, rules }: Shared,
): Promise<DiskCache> {
  const { log, storeId, chunkBytes, policy } = options;
  const directory = placeOf(named, storeId);
  let madeParts: Promise<void> | undefined;
  try {
    if (makeObjectsDirectory(directory)) madeParts = makeParts(directory);
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw new CacheError(
      'directory',
      `the cache directory ${named} cannot be used: ${(error as Error).message}`,
      'name a directory that can be written, with --cache DIR:SIZE, or --cache none',
    );
  }
  let lock = locked(await takeLockOfEnded(directory), named);
  const tier = new Tier({ directory, name: named, sizeBytes, reserveBytes: options.reserveBytes, log });
  if (!rules.pins.kept) rules.pins.keepIn(new PinFile(directory, log));
  const indexPath = path.join(directory, 'index.sqlite');
  const parts = {
    tier,
    openIndex: (anew?: boolean) => {
      if (anew === true) moveAside(indexPath);
      return IndexDatabase.open(indexPath, storeId, log, options.bootId);
    },
    buffers,
    chunkBytes,
    policy,
    rules,
    log,
    scrubBytesPerSecond: options.scrubBytesPerSecond,
    scrubQuietMs: options.scrubQuietMs,
    awakeMost: options.awakeMost,
    onLookedThrough: () => void removeLeftOvers(directory, (highest) => cache.leftOvers(highest)),
    onVanished: () => {
      if (isStill(path.join(directory, 'lock'), lock)) return; // the try before took it, and failed later
      const before = lock; // its file has gone with the directory: whoever comes first has the new one
      lock = locked(takeLock(directory), named);
      fs.closeSync(before);
      void rules.pins.save();
    },
    onShutdown: () => fs.closeSync(lock),
  };
  let cache: DiskCache;
  try {
    cache = await reading(indexPath, log, () => new DiskCache(parts));
  } catch (error) {
    tier.close();
    fs.closeSync(lock);
    throw isOutside(error) ? indexError(named, error as Error) : error;
  }
  await madeParts;
  return cache;
}

/** Opens what reads an index. What its disk fails to read it may read in a moment; if not, the index is begun anew. */
async function reading<T>(indexPath: string, log: Log, open: () => T): Promise<T> {
  for (let tries = 0; tries < READ_AGAIN; tries++) {
    try {
      return open();
    } catch (error) {
      if (!isUnread(error)) throw error;
      await sleep(READ_AGAIN_MS);
    }
  }
  log.warn({ index: indexPath }, 'the cache index cannot be read, and is begun anew');
  moveAside(indexPath);
  return open();
}

/** Where the cache of one store is, in a directory for those of many. */
export function placeOf(directory: string, storeId: string): string {
  return path.join(directory, createHash('sha256').update(storeId).digest('hex').slice(0, 16));
}

function locked(lock: Lock, named: string): number {
  if ('fd' in lock) return lock.fd;
  const { failure, holder } = lock;
  if (failure === 'error') {
    const remedy = 'name a directory on a file system with locks, with --cache DIR:SIZE, or --cache none';
    throw new CacheError('directory', `the cache directory ${named} cannot be locked`, remedy);
  }
  throw new CacheError(
    'busy',
    failure === 'busy'
      ? `the cache directory ${named} is in use for this source by process ${holder}`
      : `the cache directory ${named} is still locked by process ${holder}, which has ended and waits for a disk`,
    failure === 'busy'
      ? 'give this mount a directory of its own with --cache DIR:SIZE, or unmount the other'
      : 'mount again when that disk has answered, or give this mount a directory of its own with --cache DIR:SIZE',
  );
}

function indexError(named: string, { message }: Error): CacheError {
  return new CacheError(
    'directory',
    `the index of the cache in ${named} cannot be opened (${message}); it is left as it is`,
    `see that the disk of ${named} has free space and no errors, or mount with --cache none`,
  );
}
