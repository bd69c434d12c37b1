export { StoreError } from './error.ts';
export { openPosixStore, type PosixStoreOptions } from './open-posix-store.ts';
