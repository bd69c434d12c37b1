/**
 * Waits for the device and for libuv at once: one poll(2) over the two descriptors, for as long as no timer of libuv is
 * due. libuv's descriptor becomes readable for all it waits for: sockets, signals, children, its pool.
 */
import * as sys from '../sys/libc.ts';
import { libuvDescriptor, libuvTimeout } from '../sys/libuv.ts';

const POLLFD = 8;
const POLLIN = 1;

export type Wakened = 'device' | 'libuv' | 'neither';

export class Waiter {
  readonly #fds: Buffer = Buffer.alloc(2 * POLLFD);
  readonly #view: DataView = new DataView(this.#fds.buffer, this.#fds.byteOffset, this.#fds.length);
  readonly #address: number = sys.addressOf(this.#fds);
  readonly #timeout: () => number = libuvTimeout();

  constructor(device: number) {
    this.#fds.writeInt32LE(device, 0);
    this.#fds.writeInt16LE(POLLIN, 4);
    this.#fds.writeInt32LE(libuvDescriptor(), POLLFD);
    this.#fds.writeInt16LE(POLLIN, POLLFD + 4);
  }

  /** Whether the device has a request, without waiting. */
  ready(): boolean {
    return sys.pollNow(this.#address, 1, 0) > 0;
  }

  /**
   * Waits for at most `longestMs` (-1: as long as it takes). Returns at once with 'libuv' when libuv has something to do
   * that no descriptor tells of.
   */
  wait(longestMs = -1): Wakened {
    const due = this.#timeout();
    if (due === 0) return 'libuv';
    const timeout = longestMs < 0 || (due > 0 && due < longestMs) ? due : longestMs;
    if (sys.pollNow(this.#address, 2, timeout) <= 0) return 'neither';
    if (this.#view.getInt16(POLLFD + 6, true) !== 0) return 'libuv';
    return 'device';
  }
}
