/** Puts store, cache and overlay together as the settings say. */
import { Access } from '../access/access.ts';
import { jobWidth } from '../access/job-width.ts';
import { PassersBy } from '../access/passers-by.ts';
import type { Cache } from '../cache/cache.ts';
import type { DaemonRequest } from '../config/daemon-request.ts';
import { memoryBudget, metadataBudget } from '../config/memory.ts';
import type { Settings } from '../config/schema.ts';
import { MloError } from '../errors.ts';
import {
  type FileSystem,
  Overlay,
  type PrefetchWish,
  VIRTUAL_NAME,
  VirtualFiles,
  VirtualOverlay,
} from '../overlay/index.ts';
import { laneWidth, openPosixStore, StoreError } from '../store/posix/index.ts';
import type { SpeedClass, Store } from '../store/store.ts';
import { beginIoUring } from '../sys/uring-calls.ts';
import type { Log } from '../telemetry/log.ts';
import { cachePlaces, type EffectiveCache, effectiveCache, isOnDisk, openCacheAt } from './cache-places.ts';
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
  /** Why calls that may wait go to the pool of threads and not through an io_uring; undefined: they do not. */
  withoutIoUring: string | undefined;
  /** What `auto` came to. */
  effective: {
    storeSpeed: SpeedClass;
    attributesTtlMs: number;
    negativeTtlMs: number;
    cache: 'none' | EffectiveCache;
  };
}

/** Data that nobody changes, here or there, need no OPEN: the kernel opens by itself and keeps their pages for good. */
export function doesWithoutOpen({ immutable, ro, transport, disable }: Settings): boolean {
  return immutable && ro && transport === 'kernel' && !disable.includes('no-open-support');
}

/** Threads of the kernel: cheap, and there as long as they have something to do. */
const IO_URING_WORKERS = 256;
const POOLED_TTL_MS = 60_000;
const INLINE_TTL_MS = 5_000;
const POOLED_NEGATIVE_TTL_MS = 1_000;
/** Of the requests that may be under way at the source; the rest is for readers, and what is looked up ahead of them. */
const WARMUP_SHARE = 5 / 8;
/** What the daemon reads ahead of a reader, in windows of the kernel's. */
const READ_AHEAD_WINDOWS = 8;

export async function assemble(request: DaemonRequest, log: Log): Promise<Assembly> {
  const { settings } = request;
  const withoutIoUring = settings.disable.includes('io-uring') ? 'disabled by option' : beginIoUring(IO_URING_WORKERS);
  log.debug({ withoutIoUring }, 'calls that may wait');
  const store = await openStore(request, log);
  const { attributesTtlMs, negativeTtlMs } = leases(settings, store.speed);
  let cache: Cache | undefined;
  try {
    const places = cachePlaces(settings, store.speed === 'pooled');
    cache = places && (await openCacheAt(places, request, store, log));
  } catch (error) {
    await store.shutdown();
    throw error;
  }
  const names = settings['never-cache-process'];
  const passersBy = names.length > 0 ? new PassersBy(names) : undefined;
  const access = settings.telemetry
    ? new Access({ mountpoint: request.mountpoint, source: request.source, version }, passersBy)
    : undefined;
  const virtual = virtualFiles(settings);
  const hiddenInRoot = virtual && VIRTUAL_NAME;
  const metadataBytes = metadataBudget(settings['metadata-cache'], memoryBudget(settings['max-memory']));
  const cacheIs = cache && effectiveCache(cache);
  const shelf =
    cacheIs && isOnDisk(cacheIs)
      ? await shelfFor({ request, store, cache: cacheIs, metadataBytes, hiddenInRoot, log })
      : undefined;
  const overlay = new Overlay({
    store,
    cache,
    log,
    observer: access,
    passersBy,
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
    warmupRequests: WARMUP_SHARE * laneWidth(),
    prefetch: prefetchOf(request, access, log),
  });
  if (access !== undefined && overlay.prefetch !== undefined) access.feed(overlay.prefetch);
  const effective: Assembly['effective'] = {
    storeSpeed: store.speed,
    attributesTtlMs,
    negativeTtlMs,
    cache: cacheIs ?? 'none',
  };
  await confirmed(overlay.prepare());
  const fileSystem = virtual === undefined ? overlay : new VirtualOverlay(overlay, virtual, log);
  return { store, cache, overlay, fileSystem, virtual, access, withoutIoUring, effective };
}

/** Whoever is not observed has nothing brought ahead. */
function prefetchOf(
  { settings, mountpoint }: DaemonRequest,
  access: Access | undefined,
  log: Log,
): PrefetchWish | undefined {
  const { prefetch, bulk, readahead, 'prefetch-workers': workers } = settings;
  if (!prefetch || access === undefined) return undefined;
  const { 'store-limit': bytes, 'store-request-limit': requests } = settings;
  const limit = { bytesPerSecond: bytes || undefined, requestsPerSecond: requests || undefined };
  const plans = { log, mountpoint, withoutOpen: doesWithoutOpen(settings) };
  const aheadBytes = READ_AHEAD_WINDOWS * readahead;
  const share = Math.floor(WARMUP_SHARE * laneWidth());
  return {
    bulk,
    limit,
    jobWidth,
    plans,
    aheadBytes,
    underWayMost: workers === 'auto' ? share : Math.min(workers, share),
  };
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
