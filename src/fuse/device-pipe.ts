/**
 * The way of bytes from a file to the device past this process: a pipe that holds a message's head and, by reference, the
 * file's pages; splice(2) then has the kernel copy them where they are wanted, once.
 *
 * One message at a time: `load`, then `send` or `discard`, with no other message in between.
 */

import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_NONBLOCK } from '../sys/open-flags.ts';

const PAGE = 4096;
const F_SETPIPE_SZ = 1031;
/** Larger pipes need CAP_SYS_RESOURCE (/proc/sys/fs/pipe-max-size, unless changed). */
const USUAL_MOST_BYTES = 1 << 20;
/** Shorter requests cost more by their number than carrying saves. */
const LEAST_REQUEST_BYTES = 128 * 1024;

interface Pipe {
  out: number;
  in: number;
  /** Pages of a file that fit beside a head. */
  pages: number;
}

/** A pipe that holds messages with up to `most` bytes of a file, or as much as is permitted. Undefined: there can be none now. */
function openPipe(most: number): Pipe | undefined {
  const ends = sys.pipeNow(O_CLOEXEC | O_NONBLOCK);
  if (typeof ends === 'number') return undefined;
  const wantedBytes = 2 ** Math.ceil(Math.log2(most + 2 * PAGE));
  let bytes = sys.fcntl.now(ends[1], F_SETPIPE_SZ, wantedBytes);
  if (bytes < 0) bytes = sys.fcntl.now(ends[1], F_SETPIPE_SZ, USUAL_MOST_BYTES);
  return { out: ends[0], in: ends[1], pages: bytes / PAGE - 1 };
}

function closePipe(pipe: Pipe): void {
  sys.closeNow(pipe.out);
  sys.closeNow(pipe.in);
}

/** Bytes that a pipe takes of a file, a page to spare where they do not begin at a page's. */
function roomOf({ pages }: Pipe): number {
  return (pages - 1) * PAGE;
}

/**
 * How long requests are to be so that they can be carried: `most`, or where pipes are smaller the power of two below, so that
 * requests one after the other meet the bounds of what is kept in pieces of such sizes.
 */
export function carriedRequestBytes(most: number): number {
  const pipe = openPipe(most);
  if (pipe === undefined) return most;
  const room = roomOf(pipe);
  closePipe(pipe);
  return room < LEAST_REQUEST_BYTES ? most : Math.min(most, 2 ** Math.floor(Math.log2(room)));
}

export class DevicePipe {
  readonly #device: number;
  readonly #most: number;
  #pipe: Pipe | undefined;
  #loaded = 0;

  /** `most`: bytes of the largest message's file part. */
  constructor(device: number, most: number) {
    this.#device = device;
    this.#most = most;
  }

  /** Bytes of the message it holds; 0: none. */
  get loaded(): number {
    return this.#loaded;
  }

  /**
   * Bytes of a file that fit beside the head: without room for all that is asked for, a file that goes on would look like one
   * that ends there. 0: there can be no pipe now.
   */
  get mostBytes(): number {
    const pipe = this.#ready();
    return pipe === undefined ? 0 : roomOf(pipe);
  }

  /** Takes a head from an address and `length` bytes of a file; see `Carrier.take` for the rest. */
  load(head: number, headLength: number, fd: number, offset: number, length: number, asked: number): boolean {
    if (this.#loaded > 0) this.discard(); // of an operation that failed later on
    const pipe = this.#ready();
    if (pipe === undefined || asked > roomOf(pipe)) return false;
    const written = sys.writeNow(pipe.in, head, headLength);
    const taken = written === headLength ? sys.spliceFromNow(fd, offset, pipe.in, asked) : -1;
    this.#loaded = headLength + length;
    if (taken === length) return true;
    this.discard();
    return false;
  }

  /** Sends what was loaded, as one message; the bytes sent or a negated errno. It is empty afterwards in any case. */
  send(): number {
    const length = this.#loaded;
    if (this.#pipe === undefined) return -Errno.EIO; // nothing is
    const sent = sys.spliceToNow(this.#pipe.out, this.#device, length);
    if (sent === length) this.#loaded = 0;
    else this.discard();
    return sent;
  }

  /** Lets go of what was loaded. */
  discard(): void {
    this.#loaded = 0;
    if (this.#pipe !== undefined) closePipe(this.#pipe);
    this.#pipe = undefined;
  }

  #ready(): Pipe | undefined {
    this.#pipe ??= openPipe(this.#most);
    return this.#pipe;
  }
}
