/**
 * The kernel's FUSE protocol: mounting, and the session that serves a FileSystem through it.
 *
 *   mount.ts -> session.ts (the loop) -> dispatch.ts -> requests.ts, operations/, replies.ts -> FileSystem
 *                                    \-> negotiate.ts (INIT)         notifier.ts <- FileSystem
 */
export type { SessionSnapshot } from './counters.ts';
export { carriedRequestBytes } from './device-pipe.ts';
export { type Mounted, type MountFlag, type MountOptions, mountFlagNames, mountFuse } from './mount.ts';
export { MountError } from './mount-error.ts';
export { type MountedFileSystem, mountedAt, mountTable } from './mount-table.ts';
export { type Capabilities, type CapabilityName, capabilityNames, maySetBacking } from './negotiate.ts';
export { LARGEST_TRANSFER, Session, type SessionEnd, type SessionOptions } from './session.ts';
