/**
 * Ahead of a run: what follows where somebody reads on and on, forward or backward. The window is as far as the run has come (so
 * it doubles, as in the kernel and in JuiceFS) up to what is allowed ahead of one reader; when its reader comes to what was asked
 * for and is not there yet, the latency of the store is longer than the window, which is then doubled once more. Where readers
 * have gone elsewhere before, no further than the losses allow (losses.ts).
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
/** Of pieces that are each read from their end on, so many may be ahead: while one is read, the next must be on its way. */
const PIECES_AHEAD = 2;
/** What could not be brought is not tried again before the reader has gone on so far. */
const REST_BYTES = 32 * PIECE_BYTES;

/** As access/detectors/sequential.ts has it. */
export interface RunView {
  readonly begin: number;
  readonly end: number;
  /** It goes on before `begin`. */
  readonly backward: boolean;
  /** So far it may be believed to go on, in bytes. */
  readonly reachBytes: number;
  /** Bytes of its last piece, each of which is read from its end on; 0: it does not go on by such. */
  readonly pieceBytes: number;
  /** The run of which it is a piece, by all appearances. */
  readonly pieceOf: RunView | undefined;
  /** It may be believed to go on. */
  readonly sure: boolean;
}

/**
 * Places as a reader comes to them, in bytes. Who reads backward comes from the end of the last piece, whether the file goes so
 * far or not: so pieces lie in the file as they do for who reads forward.
 */
class Way {
  readonly backward: boolean;
  readonly #size: number;
  readonly #mirror: number;

  constructor(backward: boolean, size: number) {
    this.backward = backward;
    this.#size = size;
    this.#mirror = Math.ceil(size / PIECE_BYTES) * PIECE_BYTES;
  }

  /** Where the file ends. */
  get end(): number {
    return this.backward ? this.#mirror : this.#size;
  }

  /** How far the reader of a run has come. */
  reached({ begin, end }: RunView): number {
    return this.backward ? this.#mirror - begin : end;
  }

  /** Where a range begins: of what is in the file where he comes to it, and the other way about. */
  begin(offset: number, length: number): number {
    return this.backward ? this.#mirror - offset - length : offset;
  }
}

export class ReadaheadOrder implements Order {
  readonly name = 'readahead';
  readonly about: string;
  readonly file: ReadFile;
  readonly #run: RunView;
  /** All places are on it. */
  readonly #way: Way;
  /** What may be ahead of the reader: to begin with, and now. */
  readonly #firstBytes: number;
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
    this.#way = new Way(run.backward, file.attributes.size);
    this.#firstBytes = aheadBytes;
    this.#aheadBytes = aheadBytes;
    this.#losses = losses;
    this.#ahead = new Ahead(losses);
  }

  get ended(): boolean {
    return this.#reached >= this.#way.end;
  }

  get turned(): boolean {
    return this.#run.backward !== this.#way.backward;
  }

  get aheadBytes(): number {
    return this.#aheadBytes;
  }

  moved(): boolean {
    const reached = this.#reached;
    this.#ahead.passed(reached);
    if (this.#doubled < DOUBLED_MOST && reached >= this.#doubleFrom && this.#late(reached)) {
      this.#aheadBytes *= 2;
      this.#doubled++;
      this.#doubleFrom = reached + this.#aheadBytes;
    }
    return this.#pieceEnd > this.#from;
  }

  get #reached(): number {
    return this.#way.reached(this.#run);
  }

  /** The reader is at something that is still on its way, though all that is allowed was asked for. */
  #late(reached: number): boolean {
    if (this.#next < reached + this.#aheadBytes / 2) return false;
    for (const begin of this.#open) if (begin < reached) return true;
    return false;
  }

  get #from(): number {
    return Math.max(this.#next, Math.ceil(this.#reached / START_BYTES) * START_BYTES);
  }

  get #goal(): number {
    const reached = this.#reached;
    if (reached < this.#restUntil) return 0;
    return Math.min(reached + Math.min(this.#run.reachBytes, this.#windowBytes), this.#way.end);
  }

  get #windowBytes(): number {
    const most = this.#firstBytes * 2 ** DOUBLED_MOST;
    return Math.max(this.#aheadBytes, Math.min(most, PIECES_AHEAD * this.#run.pieceBytes));
  }

  /** Where the next piece ends; where it begins: none is wanted now. */
  get #pieceEnd(): number {
    const from = this.#from;
    if (from >= this.#goal) return from;
    const end = Math.min((Math.floor(from / PIECE_BYTES) + 1) * PIECE_BYTES, this.#way.end);
    return end - this.#reached <= this.#losses.allowedBytes ? end : from;
  }

  next(): Wanted | undefined {
    const from = this.#from;
    const end = this.#pieceEnd;
    if (end <= from) return undefined;
    this.#next = end;
    this.#open.add(from);
    return { file: this.file, offset: this.#way.begin(from, end - from), length: end - from };
  }

  leadsTo(offset: number): boolean {
    const place = this.#way.begin(offset, 0);
    return place >= this.#reached && place < this.#next;
  }

  end(comesLater: boolean): void {
    if (comesLater) this.#ahead.passed(Number.POSITIVE_INFINITY);
    this.#ahead.end();
  }

  settled({ offset, length }: Wanted, outcome: Outcome<number>): void {
    const from = this.#way.begin(offset, length);
    this.#open.delete(from);
    if (!failed(outcome)) this.#ahead.brought(from + length, outcome);
    if (outcome === -Errno.ECANCELED) this.#next = Math.min(this.#next, from);
    else if (failed(outcome)) this.#restUntil = this.#reached + REST_BYTES;
  }
}
