/** An open file of a posix store. */
import type { StoreFile } from '../store.ts';

export class PosixFile implements StoreFile {
  /** -1 once closed, so that a late call gets EBADF instead of another file's bytes. */
  fd: number;
  readonly accessMode: number;
  /** Each transfer waits for the device (O_DIRECT, O_SYNC, O_DSYNC): never on the calling thread. */
  readonly waits: boolean;
  /** Calls under way on the pool; the last of them closes a file that was given back meanwhile. */
  uses = 0;
  closing = false;

  constructor(fd: number, accessMode: number, waits: boolean) {
    this.fd = fd;
    this.accessMode = accessMode;
    this.waits = waits;
  }
}
