/**
 * Small files go to the kernel's page cache together with the answer to OPEN: the reader then asks for nothing, which
 * saves it a trip to the daemon and back for each file. Only bytes that are in memory are pushed, and only of files that
 * nobody has open; see `Kernel.pushPages`.
 *
 * Bytes nobody reads are wasted. So some opens are always left alone, and what their readers read decides for the others.
 */
import { failed } from '../sys/errno.ts';
import { O_ACCMODE, O_DIRECT } from '../sys/open-flags.ts';
import type { Core } from './core.ts';
import type { Caller, Opened } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import { readInMemory, servedFrom } from './read.ts';

/** One open in so many is left alone to learn from. */
const LEFT_ALONE_EACH = 32;
/** Opens to learn from before anything is pushed. */
const LEARNED_LEAST = 4;
/** How much the latest open counts for the share of files that are read whole (an exponential mean). */
const LATEST_WEIGHT = 1 / 8;
const WHOLE_SHARE_LEAST = 0.5;

export class PagePusher {
  readonly #core: Core;
  #candidates = 0;
  #learned = 0;
  #wholeShare = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** A file was just opened: pushes its bytes when that pays. */
  opened(handle: FileHandle, opened: Opened, caller: Caller): void {
    if (handle.keptPages || !this.#possible(handle, opened)) return;
    if (this.#learned < LEARNED_LEAST || this.#candidates++ % LEFT_ALONE_EACH === 0) {
      handle.learnFrom = true;
      return;
    }
    if (this.#wholeShare >= WHOLE_SHARE_LEAST) this.#push(handle, opened, caller);
  }

  #possible({ inode, file, flags }: FileHandle, { backingId, directIo }: Opened): boolean {
    const { size } = inode.attributes;
    const core = this.#core;
    return (
      backingId === 0 &&
      !directIo &&
      file === undefined &&
      (flags & (O_ACCMODE | O_DIRECT)) === 0 &&
      inode.opens === 1 &&
      inode.samples === 0 &&
      size > 0 &&
      size <= core.kernel.pages.length &&
      !core.writeback
    );
  }

  #push(handle: FileHandle, opened: Opened, caller: Caller): void {
    const { kernel, counters, observer } = this.#core;
    const { inode } = handle;
    const { size } = inode.attributes;
    const carrier = kernel.carrierOfPages?.(inode.nodeId);
    const count = readInMemory(this.#core, handle, kernel.pages, size, 0, carrier);
    if (count !== size || failed(kernel.pushPages(inode.nodeId, size))) return; // it will ask by READ
    opened.keepCache = true;
    counters.opensPushed++;
    counters.reads++;
    counters.readsInline++;
    counters.readBytes += size;
    const { pid, askedMs } = caller;
    observer?.reading(handle, pid, 0, size, askedMs);
    observer?.read(handle, pid, 0, size, servedFrom(handle), askedMs);
  }

  /** A handle that was left alone to learn from was closed, having read up to `end`. */
  learn(size: number, end: number): void {
    this.#learned++;
    const weight = this.#learned === 1 ? 1 : LATEST_WEIGHT;
    this.#wholeShare += weight * ((end >= size ? 1 : 0) - this.#wholeShare);
  }
}
