/**
 * The second transport: a FileSystem through libfuse 2 and the npm package fuse-native, for `-o transport=libfuse`. What it
 * cannot do is in docs/TRANSPORTS.md.
 *
 *   libfuse -> bridge.ts -> attribute-, name-, file-operations.ts -> context.ts (path to node) -> FileSystem
 */
export {
  type LibfuseEnd,
  type LibfuseMount,
  type LibfuseOptions,
  type LibfuseSnapshot,
  mountLibfuse,
} from './mount.ts';
export { TransportError, type TransportErrorCode } from './transport-error.ts';
