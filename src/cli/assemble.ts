/** Puts store, cache and overlay together as the settings say. */
import { existsSync, lstatSync, mkdirSync, realpathSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Access } from '../access/access.ts';
import type { Cache } from '../cache/cache.ts';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { memoryBudget, metadataBudget } from '../config/memory.ts';
import type { Settings } from '../config/schema.ts';
import { MloError } from '../errors.ts';
import { type FileSystem, Overlay, VIRTUAL_NAME, VirtualFiles, VirtualOverlay } from '../overlay/index.ts';
import { laneWidth, openPosixStore, StoreError } from '../store/posix/index.ts';
import type { SpeedClass, Store } from '../store/store.ts';
import type { Log } from '../telemetry/log.ts';
import { confirmed, shelfFor } from './shelf.ts';
import { version } from './version.ts';

export interface Assembly {
  store: Store;
  cache: Cache | undefined;
  overlay: Overlay;
  /** What is mounted: the overlay, with the virtual files where there are any. */
  fileSystem: FileSystem;
  virtual: VirtualFiles | undefined;
  /** Who reads what; undefined with `telemetry=off`. */
  access: Access | undefined;
  /** What `auto` came to. */
  effective: {
    storeSpeed: SpeedClass;
    attributesTtlMs: number;
    negativeTtlMs: number;
    cache: 'none' | { directory: string; sizeBytes: number };
  };
}

/** Data that nobody changes, here or there, need no OPEN: the kernel opens by itself and keeps their pages for good. */
export function doesWithoutOpen({ immutable, ro, transport, disable }: Settings): boolean {
  return immutable && ro && transport === 'kernel' && !disable.includes('no-open-support');
}

const POOLED_TTL_MS = 60_000;
const INLINE_TTL_MS = 5_000;
const POOLED_NEGATIVE_TTL_MS = 1_000;
/** Of the requests that may be under way at the source; the rest is for readers. */
const WARMUP_SHARE = 3 / 4;
/** What the daemon reads ahead of a reader, in windows of the kernel's. */
const READ_AHEAD_WINDOWS = 8;
const GIB = 1024 ** 3;
const AUTO_CACHE_MOST = 100 * GIB;

export async function assemble(request: DaemonRequest, log: Log): Promise<Assembly> {
  const { settings } = request;
  const store = await openStore(request, log);
  const { attributesTtlMs, negativeTtlMs } = leases(settings, store.speed);
  const place = cachePlace(settings, store.speed === 'pooled');
  let cache: Cache | undefined;
  try {
    cache = place && (await openCacheAt(place, request, store, log));
  } catch (error) {
    await store.shutdown();
    throw error;
  }
  const access = settings.telemetry
    ? new Access({ mountpoint: request.mountpoint, source: request.source, version })
    : undefined;
  const virtual = virtualFiles(settings);
  const hiddenInRoot = virtual && VIRTUAL_NAME;
  const metadataBytes = metadataBudget(settings['metadata-cache'], memoryBudget(settings['max-memory']));
  const cacheIs = place && cache && { directory: place.directory, sizeBytes: cache.snapshot().sizeBytes };
  const shelf = cacheIs && (await shelfFor({ request, store, cache: cacheIs, metadataBytes, hiddenInRoot, log }));
  const overlay = new Overlay({
    store,
    cache,
    log,
    observer: access,
    attributesTtlMs,
    negativeTtlMs,
    immutable: settings.immutable,
    readOnly: settings.ro,
    hiddenInRoot,
    withoutOpen: doesWithoutOpen(settings),
    passthroughMinBytes: settings['passthrough-min'],
    keepCache: !settings.disable.includes('keep-cache'),
    pushPages: !settings.disable.includes('push-pages'),
    writeback: settings.writeback,
    metadataBytes,
    shelf,
    sampleOpens: settings.telemetry ? settings['sample-opens'] : 0,
    readAheadBytes: READ_AHEAD_WINDOWS * settings.readahead,
    warmupRequests: WARMUP_SHARE * laneWidth(),
  });
  const effective: Assembly['effective'] = {
    storeSpeed: store.speed,
    attributesTtlMs,
    negativeTtlMs,
    cache: cacheIs ?? 'none',
  };
  await confirmed(overlay.prepare());
  const fileSystem = virtual === undefined ? overlay : new VirtualOverlay(overlay, virtual, log);
  return { store, cache, overlay, fileSystem, virtual, access, effective };
}

/** libfuse believes the size of a file by its path, and these have another each time they are looked up. */
function virtualFiles({ 'control-files': readableBy, transport }: Settings): VirtualFiles | undefined {
  if (readableBy === 'off' || transport === 'libfuse') return undefined;
  return new VirtualFiles({ readableBy, owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 } });
}

/** What `auto` means for a store of this speed. */
export function leases(settings: Settings, speed: SpeedClass): { attributesTtlMs: number; negativeTtlMs: number } {
  const slow = speed === 'pooled';
  const { 'attr-ttl': attributes, 'negative-ttl': negative } = settings;
  return {
    attributesTtlMs: attributes === 'auto' ? (slow ? POOLED_TTL_MS : INLINE_TTL_MS) : attributes,
    negativeTtlMs: negative === 'auto' ? (slow ? POOLED_NEGATIVE_TTL_MS : 0) : negative,
  };
}

async function openStore({ source, settings }: DaemonRequest, log: Log): Promise<Store> {
  const identity = settings['source-user'];
  try {
    return await openPosixStore({
      root: source,
      speed: settings['store-speed'],
      readOnly: settings.ro,
      identity: identity === 'auto' ? 'daemon' : identity,
      log,
    });
  } catch (error) {
    if (error instanceof StoreError) throw new MloError('MLO_SOURCE', error.message, error.remedy);
    throw error;
  }
}

interface CachePlace {
  directory: string;
  sizeBytes: number | undefined;
}

function cachePlace({ cache }: Settings, slow: boolean): CachePlace | undefined {
  if (cache.kind === 'none' || (cache.kind === 'auto' && !slow)) return undefined;
  if (cache.kind === 'directory') return { directory: cache.directory, sizeBytes: cache.sizeBytes };
  const directory = automaticCacheDirectory();
  return directory === undefined ? undefined : { directory, sizeBytes: undefined };
}

function automaticCacheDirectory(): string | undefined {
  if (process.getuid?.() === 0) return '/var/cache/ml-overlay';
  const { XDG_CACHE_HOME, HOME } = process.env;
  if (XDG_CACHE_HOME?.startsWith('/')) return join(XDG_CACHE_HOME, 'ml-overlay');
  return HOME?.startsWith('/') ? join(HOME, '.cache/ml-overlay') : undefined;
}

async function openCacheAt(place: CachePlace, request: DaemonRequest, store: Store, log: Log): Promise<Cache> {
  const { directory } = place;
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
    const { openCache } = await import('../cache/index.ts');
    return await openCache({
      directory,
      sizeBytes: place.sizeBytes ?? halfOfWhatIsFree(directory),
      chunkBytes: request.settings['chunk-size'],
      scrubBytesPerSecond: request.settings.scrub,
      policy: request.settings['cache-policy'],
      rules: { pin: request.settings.pin, neverCache: request.settings['never-cache'] },
      storeId: store.id,
      log,
    });
  } catch (error) {
    if (error instanceof MloError) throw error;
    throw new MloError('MLO_CACHE', `cannot use ${directory} as a cache: ${(error as Error).message}`);
  }
}

/** With those above it. Not by mkdir's own recursion: in Node that never ends where nothing can be made (/proc). */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function halfOfWhatIsFree(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.min(AUTO_CACHE_MOST, Math.floor((bavail * bsize) / 2));
}

/** Of paths that may not exist to their end yet. */
export function isWithin(path: string, directory: string): boolean {
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
