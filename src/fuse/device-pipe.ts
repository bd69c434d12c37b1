/**
 * The way of bytes from a file to the device past this process: a pipe that holds a message's head and, by reference, the
 * file's pages; splice(2) then has the kernel copy them where they are wanted, once.
 *
 * One message at a time: `load`, then `send` or `discard`, with no other message in between.
 */

import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../sys/open-flags.ts';

const PAGE = 4096;
const F_SETPIPE_SZ = 1031;
/** Larger pipes need CAP_SYS_RESOURCE (/proc/sys/fs/pipe-max-size, unless changed): requests of 1 MiB are not carried then. */
const USUAL_MOST_BYTES = 1 << 20;

export class DevicePipe {
  readonly #device: number;
  readonly #wantedBytes: number;
  #out = -1;
  #in = -1;
  /** Pages of a file that fit beside the head. */
  #pages = 0;
  #loaded = 0;

  /** `most`: bytes of the largest message's file part. */
  constructor(device: number, most: number) {
    this.#device = device;
    this.#wantedBytes = 2 ** Math.ceil(Math.log2(most + 2 * PAGE));
  }

  /** Bytes of the message it holds; 0: none. */
  get loaded(): number {
    return this.#loaded;
  }

  /**
   * Bytes of a file that fit beside the head, with a page to spare where they do not begin at a page's: without room for all
   * that is asked for, a file that goes on would look like one that ends there. 0: there can be no pipe now.
   */
  get mostBytes(): number {
    return this.#ready() ? (this.#pages - 1) * PAGE : 0;
  }

  /** Takes a head from an address and `length` bytes of a file; see `Carrier.take` for the rest. */
  load(head: number, headLength: number, fd: number, offset: number, length: number, asked: number): boolean {
    if (this.#loaded > 0) this.discard(); // of an operation that failed later on
    if (asked > this.mostBytes) return false;
    const written = sys.writeNow(this.#in, head, headLength);
    const taken = written === headLength ? sys.spliceFromNow(fd, offset, this.#in, asked) : -1;
    this.#loaded = headLength + length;
    if (taken === length) return true;
    this.discard();
    return false;
  }

  /** Sends what was loaded, as one message; the bytes sent or a negated errno. It is empty afterwards in any case. */
  send(): number {
    const length = this.#loaded;
    const sent = sys.spliceToNow(this.#out, this.#device, length);
    if (sent === length) this.#loaded = 0;
    else this.discard();
    return sent;
  }

  /** Lets go of what was loaded. */
  discard(): void {
    this.#loaded = 0;
    if (this.#out < 0) return;
    sys.closeNow(this.#out);
    sys.closeNow(this.#in);
    this.#out = -1;
    this.#in = -1;
  }

  #ready(): boolean {
    if (this.#out >= 0) return true;
    const ends = sys.pipeNow(O_CLOEXEC | O_NONBLOCK);
    if (typeof ends === 'number') return false;
    [this.#out, this.#in] = ends;
    let bytes = sys.fcntl.now(this.#in, F_SETPIPE_SZ, this.#wantedBytes);
    if (bytes < 0) bytes = sys.fcntl.now(this.#in, F_SETPIPE_SZ, USUAL_MOST_BYTES);
    this.#pages = bytes / PAGE - 1;
    return true;
  }
}
