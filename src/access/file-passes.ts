/**
 * Passes over the records of one large file: it is covered again and again, each part once. What is read is watched at points, a
 * page each, at equal distances: how often they are read is how often all is, whatever the size of the records. Passes over the
 * points are counted as those over the files of a data set are (data-set-epochs.ts).
 *
 * Who takes records with replacement makes no passes: some points come again before others came at all. By chance, of T reads of N
 * points N (1 - exp(-T / N)) are of different ones; until a few should have come again nothing can be told.
 */
import { EpochCounter } from './data-set-epochs.ts';

/** Four bytes each. */
const POINTS_MOST = 1024;
const PAGE_BYTES = 4096;
/** What chance would have read again in a pass, at least, before anything is said; */
const AGAIN_LEAST = 8;
/** and of that, what a reader that makes passes reads again at most. */
const AGAIN_SHARE = 1 / 4;

export class FilePasses {
  readonly #stepBytes: number;
  /** By point, the counter's clock when it was counted last. */
  readonly #tickets: Uint32Array;
  readonly #counter = new EpochCounter();
  /** Reads of points in this pass, and those of points that it had read. */
  #reads = 0;
  #again = 0;
  /** Of the last pass that told. */
  #told: boolean | undefined;

  /** A size that is not known, Infinity, has no points: nothing is ever told. */
  constructor(sizeBytes: number) {
    this.#stepBytes = Math.ceil(sizeBytes / POINTS_MOST / PAGE_BYTES) * PAGE_BYTES;
    const points = Number.isFinite(sizeBytes) ? Math.ceil(sizeBytes / this.#stepBytes) : 0;
    this.#tickets = new Uint32Array(points);
    this.#counter.files = points;
  }

  read(offset: number, size: number): void {
    const end = Math.min(this.#tickets.length, Math.ceil((offset + size) / this.#stepBytes));
    for (let point = Math.ceil(offset / this.#stepBytes); point < end; point++) this.#touch(point);
  }

  /** Passes begun; null: it is not read in passes, or that cannot be told yet. */
  get epoch(): number | null {
    return this.#tells() ? this.#counter.epoch : null;
  }

  /** The share of the file that this pass has read; null as `epoch`. */
  get epochDone(): number | null {
    return this.#tells() ? this.#counter.done : null;
  }

  #touch(point: number): void {
    const counter = this.#counter;
    const before = this.#tickets[point]!;
    const { epoch } = counter;
    this.#reads++;
    if (before > counter.begun) this.#again++;
    this.#tickets[point] = counter.opened(before, false);
    if (epoch > 0 && counter.epoch > epoch) this.#begin();
  }

  /** A pass has begun some reads ago: those count to it, and came again in the one before. */
  #begin(): void {
    const { seen } = this.#counter;
    this.#told = judged(this.#reads - seen, this.#again - seen, this.#tickets.length) ?? this.#told;
    this.#reads = seen;
    this.#again = 0;
  }

  #tells(): boolean {
    return judged(this.#reads, this.#again, this.#tickets.length) ?? this.#told ?? false;
  }
}

/** Whether they are reads of a pass; undefined: too few to tell. */
function judged(reads: number, again: number, points: number): boolean | undefined {
  const byChance = reads - points * (1 - Math.exp(-reads / points));
  return byChance < AGAIN_LEAST ? undefined : again <= byChance * AGAIN_SHARE;
}
