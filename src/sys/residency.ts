/** Whether bytes of a file are in memory: cachestat(2), Linux >= 6.5, of files that are ours or may be written to. */
import { Errno } from './errno.ts';
import { cachestatNow, preadFlags, RWF_NOWAIT } from './libc.ts';

const PAGE = 4096;

export class Residency {
  #answered = true;
  readonly #byte = new Uint8Array(1);

  /** Whether every page of a range is in the page cache and has its bytes; false where the kernel does not say. */
  covers(fd: number, offset: number, length: number): boolean {
    if (!this.#answered) return false;
    const pages = cachestatNow(fd, offset, length);
    if (pages < 0) this.#answered = pages === -Errno.EBADF; // it will not say of others either
    const end = offset + length - 1;
    return pages >= Math.floor(end / PAGE) - Math.floor(offset / PAGE) + 1 && this.#came(fd, end);
  }

  /**
   * Pages count from when a read from the disk is begun. What was begun together comes in order, so the last byte tells of
   * those before it.
   */
  #came(fd: number, last: number): boolean {
    return preadFlags(fd, this.#byte, 1, last, RWF_NOWAIT) !== -Errno.EAGAIN;
  }
}
