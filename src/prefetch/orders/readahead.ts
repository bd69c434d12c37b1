/**
 * Ahead of a run: what follows where somebody reads on and on. The window is as far as the run has come (so it doubles, as in the
 * kernel and in JuiceFS) up to what is allowed ahead of one reader; when its reader comes to what was asked for and is not there
 * yet, the latency of the store is longer than the window, which is then doubled once more. Where readers have gone elsewhere
 * before, no further than the losses allow (losses.ts).
 */
import { Errno, failed, type Outcome } from '../../sys/errno.ts';
import type { Order, ReadFile, Wanted } from '../order.ts';
import { Ahead, type Losses } from './losses.ts';

/** What is asked for at once: as much as the kernel does. */
export const PIECE_BYTES: number = 1024 * 1024;
/** Where the first piece begins, in case the reader is in the middle of a chunk that is on its way for itself. */
const START_BYTES = 64 * 1024;
/** How often the window may be doubled beyond what is allowed. */
const DOUBLED_MOST = 2;
/** What could not be brought is not tried again before the reader has gone on so far. */
const REST_BYTES = 32 * PIECE_BYTES;

/** As access/detectors/sequential.ts has it. */
export interface RunView {
  readonly begin: number;
  readonly end: number;
  /** It may be believed to go on. */
  readonly sure: boolean;
}

export class ReadaheadOrder implements Order {
  readonly name = 'readahead';
  readonly about: string;
  readonly file: ReadFile;
  readonly #run: RunView;
  #aheadBytes: number;
  #doubled = 0;
  /** Where the run must have come to before the window is doubled again. */
  #doubleFrom = 0;
  /** Where the next piece begins. */
  #next = 0;
  /** Of pieces that were given and are not settled, where they begin. */
  readonly #open = new Set<number>();
  #restUntil = 0;
  readonly #losses: Losses;
  readonly #ahead: Ahead;

  constructor(file: ReadFile, run: RunView, aheadBytes: number, losses: Losses) {
    this.file = file;
    this.about = file.path();
    this.#run = run;
    this.#aheadBytes = aheadBytes;
    this.#losses = losses;
    this.#ahead = new Ahead(losses);
  }

  get ended(): boolean {
    return this.#run.end >= this.file.attributes.size;
  }

  get aheadBytes(): number {
    return this.#aheadBytes;
  }

  moved(): boolean {
    const { end } = this.#run;
    this.#ahead.passed(end);
    if (this.#doubled < DOUBLED_MOST && end >= this.#doubleFrom && this.#late(end)) {
      this.#aheadBytes *= 2;
      this.#doubled++;
      this.#doubleFrom = end + this.#aheadBytes;
    }
    return this.#pieceEnd > this.#from;
  }

  /** The reader is at something that is still on its way, though all that is allowed was asked for. */
  #late(end: number): boolean {
    if (this.#next < end + this.#aheadBytes / 2) return false;
    for (const offset of this.#open) if (offset < end) return true;
    return false;
  }

  get #from(): number {
    return Math.max(this.#next, Math.ceil(this.#run.end / START_BYTES) * START_BYTES);
  }

  get #goal(): number {
    const { begin, end } = this.#run;
    if (end < this.#restUntil) return 0;
    return Math.min(end + Math.min(end - begin, this.#aheadBytes), this.file.attributes.size);
  }

  /** Where the next piece ends; where it begins: none is wanted now. */
  get #pieceEnd(): number {
    const offset = this.#from;
    if (offset >= this.#goal) return offset;
    const end = Math.min((Math.floor(offset / PIECE_BYTES) + 1) * PIECE_BYTES, this.file.attributes.size);
    return end - this.#run.end <= this.#losses.allowedBytes ? end : offset;
  }

  next(): Wanted | undefined {
    const offset = this.#from;
    const end = this.#pieceEnd;
    if (end <= offset) return undefined;
    this.#next = end;
    this.#open.add(offset);
    return { file: this.file, offset, length: this.#next - offset };
  }

  /** Its reader is somewhere else, or at the end. */
  end(): void {
    this.#ahead.end();
  }

  settled({ offset, length }: Wanted, outcome: Outcome<number>): void {
    this.#open.delete(offset);
    if (!failed(outcome)) this.#ahead.brought(offset + length, outcome);
    if (outcome === -Errno.ECANCELED) this.#next = Math.min(this.#next, offset);
    else if (failed(outcome)) this.#restUntil = this.#run.end + REST_BYTES;
  }
}
