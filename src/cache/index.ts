/** The cache on local disk: content of source files, chunk by chunk, across mounts and restarts. `cache.ts` is its contract. */
export type * from './cache.ts';
export { CacheError } from './error.ts';
export { type CacheOptions, openCache } from './open-cache.ts';
export { forgetShelf, openShelf } from './open-shelf.ts';
export type { Shelf } from './shelf.ts';
