/** Opens the shelf of one store beside its cache, under the lock that the cache holds; or sees to it that there is none. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Log } from '../telemetry/log.ts';
import { bootIdNow } from './index-db.ts';
import { placeOf } from './open-cache.ts';
import type { Shelf } from './shelf.ts';
import { removeShelf, ShelfDatabase } from './shelf-db.ts';

export interface OpenShelfOptions {
  /** The cache's; see `CacheOptions`. */
  directory: string;
  storeId: string;
  /** What the names are of beyond that, and as whom they were seen. */
  identity: string;
  limitBytes: number;
  writable: boolean;
  log: Log;
  /** The kernel's own unless said. */
  bootId?: string;
}

export const SHELF_FILE = 'names.sqlite';

function pathOf(directory: string, storeId: string): string {
  return path.join(placeOf(directory, storeId), SHELF_FILE);
}

/** Undefined, with a line in the log, where there can be none: names are then learned anew. */
export function openShelf(options: OpenShelfOptions): Shelf | undefined {
  const { directory, storeId, identity, limitBytes, writable, log, bootId = bootIdNow() } = options;
  const file = pathOf(directory, storeId);
  try {
    return ShelfDatabase.open({ path: file, identity: `${storeId}\n${identity}`, limitBytes, writable, bootId, log });
  } catch (error) {
    log.error({ shelf: file, error: (error as Error).message }, 'names are not kept for the next mount');
    return undefined;
  }
}

/** For a mount that does not take the source for one that never changes: what was kept says nothing after it. */
export function forgetShelf(directory: string, storeId: string, log: Log): void {
  const file = pathOf(directory, storeId);
  try {
    removeShelf(file);
  } catch (error) {
    if (!fs.existsSync(file)) return;
    log.error({ shelf: file, error: (error as Error).message }, 'what is kept of names cannot be removed');
  }
}
