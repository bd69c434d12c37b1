/**
 * Reads ahead of whoever reads a large file on and on that is not in the cache yet. The kernel alone waits for each of its
 * windows before it asks for the next, so that a store with latency is never busy; and of processes that map the same file
 * each has a window of its own, all at the same place.
 *
 *   a READ      next to where one ended: they are a stream, whichever handle it came by. It is read ahead of as far as it
 *               has come, and no further than a limit (the window that doubles, as in the kernel and in JuiceFS)
 *   a piece     is filled as a warm-up fills: into the cache, for nobody; who reads it meanwhile waits for the same fetch
 *   all of them no more requests than the store answers without making them wait for each other (prefetch/window.ts)
 *
 * What the cache would not keep is not read ahead: there is nowhere to put it.
 */
import type { CachedContent } from '../cache/cache.ts';
import { AheadWindow } from '../prefetch/window.ts';
import { failed } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Inode } from './inode.ts';

/** What is asked for at once: as much as the kernel does. */
const PIECE_BYTES = 1024 * 1024;
/** Smaller files are fetched whole at their first read. */
const FILE_LEAST_BYTES = PIECE_BYTES;
/** Streams of one file; readers that come by in other places push out the one that rested longest. */
const STREAMS_MOST = 8;
/** A stream is one after so many reads and bytes on and on. */
const READS_LEAST = 3;
const RUN_LEAST_BYTES = PIECE_BYTES;
/** A stream whose pieces could not be kept goes on so far before the next try. */
const REST_BYTES = 32 * PIECE_BYTES;
/** Requests under way: fewer than for look-ups, since each holds a piece in memory and keeps the link for it. */
const WINDOW = { first: 6, least: 4, most: 24, grow: 2, shrink: 6 } as const;

interface Piece {
  readonly end: number;
  /** That it brought; 0 while it is under way. */
  bytes: number;
}

/** Where somebody reads on and on in one file. */
class Stream {
  /** Behind the last byte that was read. */
  end: number;
  /** Bytes and reads on and on, up to `end`. Negative: it rests. */
  runBytes: number;
  reads = 1;
  /** Where the next piece begins; not beyond `end`: nothing is ahead. */
  next = 0;
  /** Ahead of `end`, in order. */
  readonly pieces: Piece[] = [];
  usedAt = 0;

  constructor(offset: number, size: number) {
    this.end = offset + size;
    this.runBytes = size;
  }

  /** READs of one stream may overtake each other, by a few of their size. */
  continues(offset: number, size: number): boolean {
    return offset <= this.end + 2 * size && offset + size >= this.end - 2 * size;
  }

  /** Goes on to `end`; the bytes of the pieces that this has come past. */
  advance(end: number): number {
    this.runBytes += end - this.end;
    this.reads++;
    this.end = end;
    let used = 0;
    for (let first = this.pieces[0]; first !== undefined && first.end <= end; first = this.pieces[0]) {
      used += first.bytes;
      this.pieces.shift();
    }
    return used;
  }
}

export class ReadAhead {
  readonly #core: Core;
  /** Ahead of one stream, in bytes. */
  readonly #mostBytes: number;
  readonly #window = new AheadWindow(WINDOW);
  readonly #streams = new WeakMap<CachedContent, Stream[]>();
  #reads = 0;
  #underWay = 0;
  /** Brought ahead of a reader, and of these what a stream came past. */
  bytes = 0;
  usedBytes = 0;

  constructor(core: Core, mostBytes: number) {
    this.#core = core;
    this.#mostBytes = mostBytes;
  }

  /** A READ of an inode that is served from `content`, not all of which is there. */
  came(inode: Inode, content: CachedContent, offset: number, size: number): void {
    if (content.key.size <= FILE_LEAST_BYTES) return;
    const stream = this.#streamOf(content, offset, size);
    stream.usedAt = ++this.#reads;
    if (offset + size <= stream.end) return;
    this.usedBytes += stream.advance(offset + size);
    this.#goOn(stream, inode, content);
  }

  #streamOf(content: CachedContent, offset: number, size: number): Stream {
    let streams = this.#streams.get(content);
    if (streams === undefined) {
      streams = [];
      this.#streams.set(content, streams);
    }
    const known = streams.find((stream) => stream.continues(offset, size));
    if (known !== undefined) return known;
    const stream = new Stream(offset, size);
    if (streams.length < STREAMS_MOST) streams.push(stream);
    else {
      const rested = streams.reduce((least, one) => (one.usedAt < least.usedAt ? one : least));
      streams[streams.indexOf(rested)] = stream;
    }
    return stream;
  }

  /** Begins what is to be under way ahead of a stream. */
  #goOn(stream: Stream, inode: Inode, content: CachedContent): void {
    if (stream.reads < READS_LEAST || stream.runBytes < RUN_LEAST_BYTES) return;
    const goal = Math.min(stream.end + Math.min(stream.runBytes, this.#mostBytes), content.key.size);
    const { chunkBytes } = content;
    // The chunk that the reader is in is on its way for itself.
    stream.next = Math.max(stream.next, Math.ceil(stream.end / chunkBytes) * chunkBytes);
    while (stream.next < goal && this.#underWay < this.#window.size) {
      if (content.complete || inode.content !== content) return;
      const offset = stream.next;
      stream.next += Math.max(PIECE_BYTES, chunkBytes);
      void this.#bring(stream, inode, content, offset, stream.next - offset);
    }
  }

  async #bring(stream: Stream, inode: Inode, content: CachedContent, offset: number, length: number): Promise<void> {
    const { store, sources } = this.#core;
    const piece: Piece = { end: offset + length, bytes: 0 };
    stream.pieces.push(piece);
    this.#underWay++;
    inode.holders++; // whoever read it may have closed it long since
    const begunMs = this.#core.nowMs();
    const brought = await content.fill(length, offset, inode.contentSource(store, sources));
    this.#underWay--;
    inode.holders--;
    if (failed(brought)) {
      stream.runBytes = -REST_BYTES;
      return;
    }
    if (brought > 0) this.#window.answered(this.#core.nowMs() - begunMs);
    piece.bytes = brought;
    this.bytes += brought;
    if (piece.end <= stream.end) this.usedBytes += brought; // its reader was quicker
    this.#goOn(stream, inode, content);
  }
}
