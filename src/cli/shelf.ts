/** What is known of names from one mount to the next: opened beside the cache where the settings let it be believed. */
import type { Shelf } from '../cache/index.ts';
import type { DaemonRequest } from '../config/daemon-request.ts';
import type { Store } from '../store/store.ts';
import type { Log } from '../telemetry/log.ts';

const MIB = 2 ** 20;
/** `auto`: as much of what the cache may hold; some 150 bytes are a file. */
const SHARE = 1 / 64;
const LEAST_BYTES = 16 * MIB;
const MOST_BYTES = 2048 * MIB;
/** How long a mount waits to hear whether the source is what it was. What comes later is used from then on. */
const CONFIRM_MS = 1000;

export interface ShelfParts {
  request: DaemonRequest;
  store: Store;
  /** Where the cache is, and what it may hold. */
  cache: { directory: string; sizeBytes: number };
  /** For what is known in memory: 0 keeps nothing. */
  metadataBytes: number;
  /** A name that listings of the root leave out. */
  hiddenInRoot: string | undefined;
  log: Log;
}

/** Undefined: nothing is kept, and what earlier mounts kept is forgotten. */
export async function shelfFor({
  request,
  store,
  cache,
  metadataBytes,
  hiddenInRoot,
  log,
}: ShelfParts): Promise<Shelf | undefined> {
  const { settings } = request;
  const { directory } = cache;
  const limitBytes = limitOf(settings['metadata-disk'], cache.sizeBytes);
  const { forgetShelf, openShelf } = await import('../cache/index.ts');
  if (!settings.immutable || store.speed === 'inline' || metadataBytes === 0 || limitBytes === 0) {
    forgetShelf(directory, store.id, log);
    return undefined;
  }
  const { id, birth } = store.root();
  const as = settings['source-user'];
  const user = as === 'auto' ? `${process.geteuid?.()}:${process.getegid?.()}` : `${as.uid}:${as.gid}`;
  const identity = JSON.stringify([id, birth, hiddenInRoot ?? '', user]);
  return openShelf({ directory, storeId: store.id, identity, limitBytes, writable: !settings.ro, log });
}

function limitOf(wish: number | 'auto', cacheBytes: number): number {
  return wish === 'auto' ? Math.min(MOST_BYTES, Math.max(LEAST_BYTES, cacheBytes * SHARE)) : wish;
}

/** Until what is on the shelf is believed or forgotten, or the source takes its time. */
export async function confirmed(recalled: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CONFIRM_MS);
  });
  await Promise.race([recalled, late]);
  clearTimeout(timer);
}
