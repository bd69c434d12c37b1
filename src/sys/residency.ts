/** Whether bytes of a file are in memory: cachestat(2), Linux >= 6.5, of files that are ours or may be written to. */
import { Errno } from './errno.ts';
import { cachestatNow } from './libc.ts';

const PAGE = 4096;

export class Residency {
  #answered = true;

  /** Whether every page of a range is in the page cache; false where the kernel does not say. */
  covers(fd: number, offset: number, length: number): boolean {
    if (!this.#answered) return false;
    const pages = cachestatNow(fd, offset, length);
    if (pages < 0) this.#answered = pages === -Errno.EBADF; // it will not say of others either
    return pages >= Math.floor((offset + length - 1) / PAGE) - Math.floor(offset / PAGE) + 1;
  }
}
