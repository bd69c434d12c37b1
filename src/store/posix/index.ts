export { StoreError } from './error.ts';
export { laneWidth } from './lane.ts';
export { openPosixStore, type PosixStoreOptions } from './open-posix-store.ts';
