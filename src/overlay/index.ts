/** The overlay: a file system over a store and a cache. Knows no FUSE; `filesystem.ts` is what a transport speaks to. */
export type { OverlayOptions, PrefetchWish } from './core.ts';
export type * from './filesystem.ts';
export { ROOT } from './filesystem.ts';
export { Overlay } from './overlay.ts';
export { VIRTUAL_NAME, VirtualFiles, type Writable } from './virtual.ts';
export { VirtualOverlay } from './virtual-overlay.ts';
export type { WarmupAction, WarmupProgress } from './warmup/job.ts';
