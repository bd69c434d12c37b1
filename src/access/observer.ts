/**
 * What a mount tells of its readers while it serves them. These calls are on the way of every open and read: an observer
 * allocates nothing, waits for nothing and never throws. Two ends tell of the same request:
 *
 *   transport   asked .................................................. answered     (every request, by its thread)
 *   overlay             opened | reading ... read | wrote | released                  (what it was about)
 *
 * What the kernel serves by itself (kept pages, passthrough) is not seen here.
 */

/** What serves a handle's reads: the kernel from the source or from a tier's object, or the daemon from either. */
export type Way = 'source' | 'source-passthrough' | 'tier' | 'tier-passthrough';

/** Where the bytes of one READ came from. What was waited for decides: partly from the store is from the store. */
export const From = { STORE: 0, TIER: 1 } as const;
export type From = (typeof From)[keyof typeof From];

/** A content generation of a file. */
export interface AccessedFile {
  readonly nodeId: number;
  /** The file's identity in its store. */
  readonly fileKey: string;
  readonly attributes: { readonly size: number };
  /** Of the content, as the store tells it. */
  readonly version?: string;
  /** All of it can be had without the store, or nothing of it is kept. */
  readonly whole?: boolean;
  /** Below the mount's root, without a leading slash, as a byte string; where it was seen last. Not cheap. */
  path(): string;
  /** The observer's own: what it knows of this file. */
  observed: object | undefined;
}

export interface AccessedHandle {
  readonly id: number;
  readonly inode: AccessedFile;
  /** As open(2). */
  readonly flags: number;
  readonly way: Way;
  /** The observer's own: what it knows of this handle. */
  observed: object | undefined;
}

/** `thread`: id of the thread that asked, in the daemon's pid namespace; 0 when it cannot be seen. Times: monotonic ms. */
export interface AccessObserver {
  /** `keptPages`: the kernel was told that the pages it has of this file are right. */
  opened(handle: AccessedHandle, thread: number, keptPages: boolean, begunMs: number): void;
  /** A READ has arrived. A read-ahead of the kernel's carries the thread that set it off, which need not wait for it. */
  reading(handle: AccessedHandle, thread: number, offset: number, size: number, begunMs: number): void;
  /** A READ is about to be answered: with `count` bytes, or a negated errno. */
  read(handle: AccessedHandle, thread: number, offset: number, count: number, from: From, begunMs: number): void;
  wrote(handle: AccessedHandle, thread: number, offset: number, count: number, begunMs: number): void;
  released(handle: AccessedHandle): void;
}
