/**
 * Memory for requests. One frame is in use while the loop reads; a WRITE that is answered later keeps its frame, with
 * the data in it, until then. A few are kept for reuse; the others' memory goes back at once instead of at the next
 * garbage collection, which an idle daemon may never run.
 */
import { Frame } from './requests.ts';

const KEPT = 2;

export class FramePool {
  readonly #size: number;
  readonly #idle: Frame[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  take(): Frame {
    return this.#idle.pop() ?? new Frame(this.#size);
  }

  give(frame: Frame): void {
    if (this.#idle.length < KEPT) this.#idle.push(frame);
    else (frame.bytes.buffer as ArrayBuffer).transfer(0);
  }
}
