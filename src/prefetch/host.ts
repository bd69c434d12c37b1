/** What prefetching asks of whoever serves the files: the overlay, in a mount. */
import type { Outcome } from '../sys/errno.ts';
import type { ReadFile } from './order.ts';

/** Of bytes that are brought ahead of their reader. */
export interface FillOptions {
  /** Called when the store has sent all of them, which is some time before they are kept. */
  arrived?: (() => void) | undefined;
  /** What the cache has no room for waits in memory for its reader. */
  mayWait?: boolean | undefined;
}

/** A file that is kept known while something is brought of it. */
export interface HeldFile {
  readonly fileKey: string;
  /** Bytes. */
  readonly size: number;
  /** Of a range, what is not in the cache, in bytes; more than there is, where only the sum of the file is known. */
  missingBytes(offset: number, length: number): number;
  /** Open handles: somebody reads it at this moment, most likely. */
  readonly opens: number;
  /**
   * Brings what is missing of a range into the cache, as a reader's miss would, and joins what is on its way already; the
   * bytes that came. ENOSPC or EDQUOT: not kept for want of room; EBUSY: somebody writes to it; EAGAIN, ESTALE: it has just changed.
   */
  fill(offset: number, length: number, options?: FillOptions): Promise<Outcome<number>>;
  release(): void;
}

/** What is in a directory: names, as byte strings. What is neither a file nor a directory is left out. */
export interface Names {
  files: readonly string[];
  directories: readonly string[];
}

/** What was asked of the store since the mount, by whomever. */
export interface StoreUse {
  readonly requests: number;
  readonly bytes: number;
}

export interface PrefetchHost {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Finds a regular file (EISDIR, EINVAL, ELOOP: it is none), without following symbolic links. EPERM: it is never cached. */
  hold(file: string | ReadFile): Promise<Outcome<HeldFile>>;
  /** `path`: a directory below the mount's root, '' for the root. */
  list(path: string): Promise<Outcome<Names>>;
  /** Of the cache, in bytes. */
  capacityBytes(): number;
  freeBytes(): number;
  /** So much of what is free is for what is brought: misses of readers leave it. */
  claim(bytes: number): void;
  /** Whether anything of a file, as it was brought, is still in the cache. */
  keeps(fileKey: string): boolean;
  /** Takes a file that nobody reads out of the cache; the bytes that are free then. 0: it is in use; negative: not there. */
  drop(fileKey: string): Promise<number>;
  use(): StoreUse;
  /** Something that must not happen has: to be noted, and no more. */
  defect(error: unknown): void;
}
