/** All that is missing of a large file, or as much as there is room for, from its start to its end, for as long as somebody reads it. */
import { Errno, failed, type Outcome } from '../../sys/errno.ts';
import type { Order, ReadFile, Wanted } from '../order.ts';
import { PIECE_BYTES } from './readahead.ts';

/** Without a miss for so long, in ms, nothing more is brought. */
const PAUSE_MS = 10_000;

export class RestOrder implements Order {
  readonly name = 'bulk';
  readonly about: string;
  readonly #file: ReadFile;
  readonly #nowMs: () => number;
  /** What there may be left to bring. */
  #leftBytes: number;
  #next = 0;
  /** Where pieces begin that were given up. */
  #again: number[] = [];
  #cameMs: number;
  #ended = false;

  /** `mostBytes`: of the file's, those among them that are there already. */
  constructor(file: ReadFile, mostBytes: number, nowMs: () => number) {
    this.about = file.path();
    this.#leftBytes = mostBytes;
    this.#file = file;
    this.#nowMs = nowMs;
    this.#cameMs = nowMs();
  }

  /** A reader had to wait; true: after a pause, so that there is something to be brought again. */
  came(nowMs: number): boolean {
    const paused = nowMs - this.#cameMs > PAUSE_MS;
    this.#cameMs = nowMs;
    return paused;
  }

  next(): Wanted | undefined {
    if (this.#ended || this.#nowMs() - this.#cameMs > PAUSE_MS) return undefined;
    const again = this.#again.pop();
    if (again !== undefined) return { file: this.#file, offset: again, length: PIECE_BYTES };
    if (this.#next >= this.#file.attributes.size || this.#leftBytes < PIECE_BYTES) return undefined;
    const offset = this.#next;
    this.#leftBytes -= PIECE_BYTES;
    this.#next += PIECE_BYTES;
    return { file: this.#file, offset, length: PIECE_BYTES };
  }

  settled({ offset }: Wanted, outcome: Outcome<number>): void {
    if (outcome === -Errno.ECANCELED) this.#again.push(offset);
    else if (failed(outcome)) this.#ended = true; // no room, or another content
  }
}
