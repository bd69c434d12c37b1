/** Where the tiers of a mount's cache lie, and how large they may be: what was asked for, held against what there is. */
import { existsSync, lstatSync, mkdirSync, realpathSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Cache } from '../cache/cache.ts';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { memoryBudget, memoryLimit } from '../config/memory.ts';
import type { Settings, TierWish } from '../config/schema.ts';
import { formatSize } from '../config/units.ts';
import { MloError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { Log } from '../telemetry/log.ts';

const GIB = 1024 ** 3;
const AUTO_CACHE_MOST = 100 * GIB;
const AUTO_CACHE_LEAST = 1024 * 1024;

/** What `status` tells of it. */
export interface EffectiveCache {
  /** Of the slowest tier on a disk; `mem` when there is none. */
  directory: string;
  /** Of all tiers. */
  sizeBytes: number;
  /** Fastest first; `path`: the directory, or `mem`. */
  tiers: { path: string; sizeBytes: number }[];
}

export function effectiveCache(cache: Cache): EffectiveCache {
  const { tiers, sizeBytes } = cache.snapshot();
  return {
    directory: tiers.findLast(({ path }) => path.startsWith('/'))?.path ?? MEMORY_PATH,
    sizeBytes,
    tiers: tiers.map(({ path, sizeBytes }) => ({ path, sizeBytes })),
  };
}

const MEMORY_PATH = 'mem';

/** Some of it lasts beyond the process. */
export function isOnDisk({ directory }: EffectiveCache): boolean {
  return directory !== MEMORY_PATH;
}

/** As statistics and `set` name a tier. */
export function tierPath(tier: TierWish): string {
  return tier.kind === 'memory' ? MEMORY_PATH : tier.directory;
}

/** Undefined: nothing is cached. */
export function cachePlaces({ cache }: Settings, slow: boolean): TierWish[] | undefined {
  if (cache.kind === 'none' || (cache.kind === 'auto' && !slow)) return undefined;
  if (cache.kind === 'tiers') return refuseTwice(cache.tiers);
  const directory = automaticCacheDirectory();
  return directory === undefined ? undefined : [{ kind: 'directory', directory, sizeBytes: undefined }];
}

function refuseTwice(tiers: TierWish[]): TierWish[] {
  const paths = tiers.map(tierPath);
  const twice = paths.find((path, at) => paths.indexOf(path) !== at);
  if (twice === undefined) return tiers;
  const remedy = 'name each tier once, the fastest first, with a size of its own';
  throw new MloError('MLO_OPTION', `${twice === MEMORY_PATH ? 'mem:SIZE' : twice} is given as a cache twice`, remedy);
}

function automaticCacheDirectory(): string | undefined {
  if (process.getuid?.() === 0) return '/var/cache/ml-overlay';
  const { XDG_CACHE_HOME, HOME } = process.env;
  if (XDG_CACHE_HOME?.startsWith('/')) return join(XDG_CACHE_HOME, 'ml-overlay');
  return HOME?.startsWith('/') ? join(HOME, '.cache/ml-overlay') : undefined;
}

export async function openCacheAt(
  places: readonly TierWish[],
  request: DaemonRequest,
  store: Store,
  log: Log,
): Promise<Cache> {
  const { settings } = request;
  const [first, ...slower] = places.map((place) => {
    if (place.kind === 'directory') return { directory: place.directory, sizeBytes: prepared(place, request) };
    refuseTooMuchMemory(place.sizeBytes, settings);
    const availableBytes = process.availableMemory();
    if (place.sizeBytes > availableBytes) {
      const fields = {
        sizeBytes: place.sizeBytes,
        availableBytes,
        remedy: 'give mem:SIZE less, or end what takes the rest',
      };
      log.warn(fields, 'the cache may take more memory than is free now');
    }
    return { directory: 'memory' as const, sizeBytes: place.sizeBytes };
  });
  const { CacheError, openCache } = await import('../cache/index.ts');
  try {
    const cache = await openCache({
      ...first!,
      slower,
      chunkBytes: settings['chunk-size'] === 'auto' ? undefined : settings['chunk-size'],
      scrubBytesPerSecond: settings.scrub,
      policy: settings['cache-policy'],
      rules: { pin: settings.pin, neverCache: settings['never-cache'] },
      storeId: store.id,
      log,
    });
    sizeByWhatIsKept(cache, places);
    return cache;
  } catch (error) {
    const remedy = error instanceof CacheError ? error.remedy : undefined;
    const named = places.map(tierPath).join(', ');
    throw new MloError('MLO_CACHE', `cannot use ${named} as a cache: ${(error as Error).message}`, remedy);
  }
}

/** Makes a tier's directory; what the tier may take, as long as nobody knows what it holds. */
function prepared({ directory, sizeBytes }: TierWish & { kind: 'directory' }, request: DaemonRequest): number {
  for (const [what, path] of [
    ['source', request.source],
    ['mountpoint', request.mountpoint],
  ] as const) {
    if (isWithin(directory, path))
      throw new MloError('MLO_NESTED', `the cache ${directory} lies in the ${what} ${path}`);
  }
  try {
    makeDirectory(directory);
    const found = lstatSync(directory);
    if (!found.isDirectory()) throw new Error('not a directory');
    return sizeBytes ?? halfOfWhatIsFree(directory);
  } catch (error) {
    throw new MloError('MLO_CACHE', `cannot use ${directory} as a cache: ${(error as Error).message}`);
  }
}

/** A tier in memory beside the daemon's own must fit what the machine, or its control group, has. */
export function refuseTooMuchMemory(sizeBytes: number, settings: Settings, limit = memoryLimit()): void {
  const own = memoryBudget(settings['max-memory'], limit);
  const most = Math.floor(limit.bytes - own);
  if (sizeBytes <= most) return;
  const has = limit.from === 'machine' ? 'the machine' : 'its control group';
  throw new MloError(
    'MLO_CACHE',
    `${formatSize(sizeBytes)} of cache do not fit the memory: ${has} has ${formatSize(limit.bytes)}, and ` +
      `${formatSize(own)} are for the daemon itself (max-memory)`,
    most < 2 ** 20
      ? 'leave mem:SIZE out'
      : `give mem:${Math.floor(most / 2 ** 20)}M at most, and leave room for the job itself`,
  );
}

/** With those above it. Not by mkdir's own recursion: in Node that never ends where nothing can be made (/proc). */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** What a cache holds from earlier mounts is not free, and is its own: without it each mount would give a part of it away. */
function sizeByWhatIsKept(cache: Cache, places: readonly TierWish[]): void {
  const { tiers } = cache.snapshot();
  for (const place of places) {
    if (place.kind !== 'directory' || place.sizeBytes !== undefined) continue;
    const { directory } = place;
    const kept = tiers.find(({ path }) => path === directory)?.bytes ?? 0;
    void cache.resize(directory, halfOfWhatIsFree(directory, kept)); // never to less than it was opened with
  }
}

/** `keptBytes`: what is in use there, and counts as free. */
function halfOfWhatIsFree(directory: string, keptBytes = 0): number {
  const { bavail, bsize } = statfsSync(directory);
  const half = Math.floor((bavail * bsize + keptBytes) / 2);
  return Math.max(AUTO_CACHE_LEAST, Math.min(AUTO_CACHE_MOST, half));
}

/** Of paths that may not exist to their end yet. */
function isWithin(path: string, directory: string): boolean {
  const inner = real(path);
  const outer = real(directory);
  return inner === outer || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = resolve(path, '..');
    return parent === path ? path : join(real(parent), path.slice(parent === '/' ? 1 : parent.length + 1));
  }
}
