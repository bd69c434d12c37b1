/**
 * What is done with one file: looked at, brought into the cache, or dropped from it. Bytes come the way of a reader's: an
 * object of the cache at the inode's version, filled from the inode's own source; who reads the same waits for the same fetch.
 */
import type { Cache, CachedContent, ContentKey } from '../../cache/cache.ts';
import { Errno, type Failure, failed, type Outcome } from '../../sys/errno.ts';
import type { Core } from '../core.ts';
import type { Inode } from '../inode.ts';
import type { Turns } from './slots.ts';

/** As much as the kernel asks for at once. Larger chunks are brought one by one. */
const PIECE_BYTES = 1024 * 1024;

export function keyOf(inode: Inode): ContentKey {
  return { file: inode.fileKey, version: inode.version, size: inode.attributes.size };
}

export function isWhole(cache: Cache, key: ContentKey): boolean {
  return key.size === 0 || cache.has(key);
}

/** Drops what is cached of a file; false: it is open, and stays. */
export function evict(core: Core, cache: Cache, inode: Inode): boolean {
  if (inode.opens > 0) return false;
  core.dropContent(inode); // what the kernel still has registered, too
  cache.drop(inode.fileKey);
  return true;
}

export interface Bringing {
  core: Core;
  cache: Cache;
  slots: Turns;
  /** Pieces of one file under way at once. */
  pieces: number;
  /** Nothing more shall be begun. */
  stopped: () => boolean;
  /** Bytes came and are kept. */
  brought: (bytes: number) => void;
}

/** Why nothing may be kept of an inode's content now: EBUSY: somebody writes to it. EAGAIN or ESTALE: it has just changed. */
export function keepable(core: Core, inode: Inode): 0 | Failure {
  if (inode.superseded) return -Errno.ESTALE;
  if (inode.writers > 0 || inode.writersComing > 0 || inode.selfModified) return -Errno.EBUSY;
  return core.unsettled(inode.attributes) ? -Errno.EAGAIN : 0; // its version would not tell the next change
}

/**
 * Brings what is missing of a file. 0: it is whole now. EBUSY, EAGAIN, ESTALE: see `keepable`: to be looked at anew.
 * EDQUOT: the cache takes no more. ENOSPC: not all that came was kept. ECANCELED: stopped. Else what the source said.
 */
export async function bring(parts: Bringing, inode: Inode): Promise<Outcome<0>> {
  const { core, cache, slots } = parts;
  const refused = keepable(core, inode);
  if (refused !== 0) return refused;
  const content = cache.acquire(keyOf(inode));
  if (content === undefined) return -Errno.EDQUOT;
  try {
    // Held open from the first piece to the last: a slow store closes what nobody uses.
    const file = await slots.run(0, () => core.sources.acquire(inode));
    if (failed(file)) return file;
    try {
      if (inode.version !== content.key.version) return -Errno.ESTALE; // it went on to other content meanwhile
      const failure = await fill(parts, inode, content);
      if (failure !== 0) return failure;
      return content.complete ? 0 : parts.stopped() ? -Errno.ECANCELED : -Errno.ESTALE;
    } finally {
      core.sources.release(inode);
    }
  } finally {
    content.release();
  }
}

/** 0, or why it did not go on to the end. */
async function fill(parts: Bringing, inode: Inode, content: CachedContent): Promise<0 | Failure> {
  const { core, slots } = parts;
  const { size } = content.key;
  const piece = Math.max(PIECE_BYTES, content.chunkBytes);
  const source = inode.contentSource(core.store, core.sources);
  let next = 0;
  let failure: 0 | Failure = 0;
  const lane = async (): Promise<void> => {
    while (next < size && failure === 0 && !parts.stopped()) {
      const offset = next;
      const length = Math.min(piece, size - offset);
      next += length;
      const brought = await slots.run(length, () =>
        parts.stopped() ? -Errno.ECANCELED : content.fill(length, offset, source),
      );
      if (!failed(brought)) parts.brought(brought);
      else if (failure === 0) failure = brought;
    }
  };
  await Promise.all(Array.from({ length: Math.min(parts.pieces, Math.ceil(size / piece)) }, lane));
  return failure;
}
