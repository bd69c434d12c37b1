/**
 * Content that is brought for nobody who waits for it: ahead of its readers, or by a warm-up. Bytes come the way of a reader's:
 * an object of the cache at the inode's version, filled from the inode's own source; who reads the same waits for the same fetch.
 */
import type { Cache, CachedContent, ContentReader, ContentSource, FillOptions } from '../cache/cache.ts';
import { Errno, type Failure, failed, type Outcome } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Inode } from './inode.ts';
import type { Turns } from './slots.ts';

/** As much as the kernel asks for at once. Larger chunks are brought one by one. */
const PIECE_BYTES = 1024 * 1024;

/** A range of a file, and how it is brought. */
export interface Bringing extends FillOptions {
  /** Bytes, to the end of the file at most. */
  offset: number;
  length: number;
  reader: ContentReader;
  /** Pieces of the file under way at once. */
  piecesAtOnce: number;
  /** Undefined: what is asked for is asked at once. */
  turns?: Turns;
  /** Nothing more shall be begun. */
  stopped?: () => boolean;
  /** Bytes came and are kept. */
  brought?: (bytes: number) => void;
}

/** Why nothing may be kept of an inode's content now: EBUSY: somebody writes to it. EAGAIN or ESTALE: it has just changed. */
function keepable(core: Core, inode: Inode): 0 | Failure {
  if (inode.superseded) return -Errno.ESTALE;
  if (inode.writers > 0 || inode.writersComing > 0 || inode.selfModified) return -Errno.EBUSY;
  return core.unsettled(inode.attributes) ? -Errno.EAGAIN : 0; // its version would not tell the next change
}

/**
 * Brings what is missing of a range: the bytes that came, and all of it is kept now. EBUSY, EAGAIN, ESTALE: see `keepable`: to
 * be looked at anew. EDQUOT: the cache takes no more. ENOSPC: not all that came was kept. ECANCELED: stopped. Else what the
 * source said.
 */
export async function bring(core: Core, cache: Cache, inode: Inode, how: Bringing): Promise<Outcome<number>> {
  const { sources } = core;
  const { turns } = how;
  const refused = keepable(core, inode);
  if (refused !== 0) return refused;
  const content = cache.acquire(inode.contentKey(), how.reader);
  if (content === undefined) return -Errno.EDQUOT;
  try {
    // Held open from the first byte to the question whether it is unchanged: a slow store closes what nobody uses.
    const file = await (turns?.run(0, () => sources.acquire(inode)) ?? sources.acquire(inode));
    if (failed(file)) return file;
    try {
      // It may have gone on to other content, or been opened by a writer, while it was opened here.
      if (inode.version !== content.key.version) return -Errno.ESTALE;
      const now = keepable(core, inode);
      return now === 0 ? await fill(content, inode.contentSource(core.store, sources), how) : now;
    } finally {
      sources.release(inode);
    }
  } finally {
    content.release();
  }
}

/** Piece by piece, some side by side; what is one piece, as most files are, costs no more than the one call. */
function fill(content: CachedContent, source: ContentSource, how: Bringing): Promise<Outcome<number>> {
  const { offset, length } = how;
  const pieceBytes = Math.max(PIECE_BYTES, content.chunkBytes);
  const onePiece = Math.floor(offset / pieceBytes) === Math.floor((offset + length - 1) / pieceBytes);
  if (onePiece) return fillPiece(content, source, offset, length, how, how.arrived);
  return fillPieces(content, source, pieceBytes, how);
}

async function fillPieces(
  content: CachedContent,
  source: ContentSource,
  pieceBytes: number,
  how: Bringing,
): Promise<Outcome<number>> {
  const { offset, length, piecesAtOnce } = how;
  const end = offset + length;
  let next = offset;
  let sum = 0;
  let failure = 0;
  const lane = async (): Promise<void> => {
    while (next < end && failure === 0) {
      const at = next;
      next = Math.min(end, (Math.floor(at / pieceBytes) + 1) * pieceBytes);
      const came = await fillPiece(content, source, at, next - at, how);
      if (!failed(came)) sum += came;
      else if (failure === 0) failure = came;
    }
  };
  const lanes = Math.min(piecesAtOnce, Math.ceil(length / pieceBytes));
  await Promise.all(Array.from({ length: lanes }, lane));
  if (failure !== 0) return failure;
  if (how.mayWait) return sum; // what was read meanwhile waits no more
  return content.missingBytes(offset, length) === 0 ? sum : -Errno.ESTALE; // of what came first something has gone
}

function fillPiece(
  content: CachedContent,
  source: ContentSource,
  offset: number,
  length: number,
  { turns, stopped, brought, mayWait }: Bringing,
  arrived?: () => void,
): Promise<Outcome<number>> {
  const fill = (): Promise<Outcome<number>> => content.fill(length, offset, source, { arrived, mayWait });
  const filled = turns?.run(length, () => (stopped?.() ? -Errno.ECANCELED : fill())) ?? fill();
  if (brought === undefined) return filled;
  return filled.then((came) => {
    if (!failed(came)) brought(came);
    return came;
  });
}
