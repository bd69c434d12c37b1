/**
 * Reading on and on: runs, each of READs next to where one ended. As the kernel's own read-ahead (mm/readahead.c; Wu, Xi and Xu,
 * "On the design of a new Linux readahead framework", 2008) a run is known by its place in the file and not by who reads: several
 * go through one file side by side, whether by one descriptor, by one each, or by a mapping. A run goes forward or backward: what
 * copies a mapping (memmove of glibc) begins with the last bytes of each piece, as source and target lie.
 *
 * READs overtake each other. What comes early begins a run of its own, which is joined with the one before it when the gap
 * closes. A run that comes to an earlier one was the next piece of that, which goes on there: from below, when nobody has read the
 * earlier one meanwhile, a piece like it (two readers may come to each other, and one may read a file again), and from above by
 * going backward. In that case the piece after it is believed as soon as it goes backward too.
 */

/** Runs of one file; who reads in other places pushes out the one that rested longest. */
const RUNS_MOST = 8;
/** A run that has come so far may leave something out: pages that the kernel has already. */
const SURE_READS = 3;
const SURE_BYTES = 1024 * 1024;
/** From the start of a file it is believed sooner, as by the kernel. */
const SURE_BYTES_FROM_START = 256 * 1024;
/** So many of the READ's own size, or of the size of those before it where that is larger, */
const LEFT_OUT_MOST = 2;
/** and of all of the run no more than this. */
const LEFT_OUT_SHARE = 1 / 8;
/** What begins no farther ahead of a run that goes on by pieces, in the bytes of its last, may be the next one. */
const PIECES_AHEAD = 2;
/** A piece that is read forward is like another that has no more than so many times its bytes. */
const PIECE_LIKE = 2;
/** How far behind a run's end a READ may come late, in its own size. */
const LATE_MOST = 4;

export class Run {
  begin = 0;
  /** Behind the last byte that was read. */
  end = 0;
  reads = 0;
  leftOutBytes = 0;
  /** Where it grew last was at its beginning. */
  backward = false;
  /** Bytes of the last piece that was read backward from its end on; 0: it does not go on by such. */
  pieceBytes = 0;
  /** The run of which it is such a piece, by all appearances, undefined: of none; and how far it goes back to come to that. */
  pieceOf: Run | undefined = undefined;
  expectedBytes = 0;
  /** What it became a part of: its beginning was no jump. */
  partOf: Run | undefined = undefined;
  /** When it was begun, as a number: one for each run of the file. */
  begun = 0;
  /** The number of its first READ, and of its last. */
  begunAt = 0;
  usedAt = 0;

  get bytes(): number {
    return this.end - this.begin;
  }

  /** It may be believed to go on so far as it has come, in bytes, or as is expected. */
  get reachBytes(): number {
    return this.backward ? Math.max(this.bytes, this.expectedBytes) : this.bytes;
  }

  /** It may be believed to go on. */
  get sure(): boolean {
    if (this.backward && this.pieceOf !== undefined) return true;
    return this.reads >= SURE_READS && this.bytes >= (this.begin === 0 ? SURE_BYTES_FROM_START : SURE_BYTES);
  }

  start(offset: number, size: number, begun: number): void {
    this.begin = offset;
    this.end = offset + size;
    this.reads = 1;
    this.leftOutBytes = 0;
    this.backward = false;
    this.pieceBytes = 0;
    this.pieceOf = undefined;
    this.expectedBytes = 0;
    this.partOf = undefined;
    this.begun = begun;
  }

  /**
   * How far from where it is a READ comes that goes on with it, in bytes; Infinity: it does not. Until it is sure it may turn, and
   * where the file begins.
   */
  distance(offset: number, size: number): number {
    const { begin, end, sure, backward } = this;
    const forth = offset - end;
    const back = begin - (offset + size);
    const mayGoForth = !sure || !backward || begin === 0;
    const mayGoBack = !sure || backward;
    if (mayGoForth && offset >= begin && this.#goesOn(forth, size)) return Math.abs(forth);
    if (mayGoBack && offset + size <= end && this.#goesOn(back, size)) return Math.abs(back);
    return Number.POSITIVE_INFINITY;
  }

  /** `leftOut`: bytes between it and the READ; negative: the READ comes late. */
  #goesOn(leftOut: number, size: number): boolean {
    if (leftOut <= 0) return -leftOut <= LATE_MOST * size;
    if (!this.sure || this.leftOutBytes + leftOut > this.bytes * LEFT_OUT_SHARE) return false;
    return leftOut <= LEFT_OUT_MOST * Math.max(size, this.bytes / this.reads);
  }

  advance(offset: number, size: number): void {
    this.reads++;
    this.leftOutBytes += Math.max(0, offset - this.end, this.begin - (offset + size));
    if (offset + size > this.end) this.#grow(this.begin, offset + size, false);
    else if (offset < this.begin) this.#grow(offset, this.end, true);
  }

  join(other: Run): void {
    this.reads += other.reads;
    this.leftOutBytes += other.leftOutBytes;
    other.partOf = this;
    if (other.end > this.end) {
      if (other.backward && other.bytes >= SURE_BYTES) this.pieceBytes = other.bytes;
      this.#grow(this.begin, other.end, false);
    } else if (other.begin < this.begin) this.#grow(other.begin, this.end, true);
  }

  #grow(begin: number, end: number, backward: boolean): void {
    this.begin = begin;
    this.end = end;
    this.backward = backward;
  }
}

/** Whether `run`, which has just grown, and ended at `before` before that, came to `other` so that both are one. */
function meets(run: Run, other: Run, before: number): boolean {
  if (run.backward) return other.end >= run.begin && other.end <= run.end;
  if (other.begin < run.begin || other.begin > run.end) return false;
  if (other.begun > run.begun) return true; // it came early
  // From below: what was read right before, and is a piece like this one.
  return other.usedAt < run.begunAt && other.begin >= before && other.bytes <= PIECE_LIKE * run.bytes;
}

export class Runs {
  readonly #runs: Run[] = [];
  #reads = 0;
  /** Runs begun so far. */
  begun = 0;
  /** What the last READ made parts of others; none of them is read on. */
  readonly joined: Run[] = [];

  /** The run that a READ belongs to; one that was begun by it has one READ. */
  came(offset: number, size: number): Run {
    if (this.joined.length > 0) this.joined.length = 0; // to set it costs more than all else here, at any length
    const known = this.#continued(offset, size);
    if (known === undefined) return this.#begin(offset, size);
    known.usedAt = ++this.#reads;
    if (known.pieceOf !== undefined) known.pieceOf.usedAt = this.#reads;
    const { begin, end } = known;
    known.advance(offset, size);
    return known.begin < begin || known.end > end ? this.#close(known, end) : known;
  }

  /** Of several the nearest; of two as near the one that was begun first: the other came early. */
  #continued(offset: number, size: number): Run | undefined {
    let best: Run | undefined;
    let nearest = Number.POSITIVE_INFINITY;
    for (const run of this.#runs) {
      const distance = run.distance(offset, size);
      const earlier = best !== undefined && distance === nearest && run.begun < best.begun;
      if (distance >= nearest && !earlier) continue;
      best = run;
      nearest = distance;
    }
    return best;
  }

  #begin(offset: number, size: number): Run {
    let run: Run;
    if (this.#runs.length < RUNS_MOST) {
      run = new Run();
      this.#runs.push(run);
    } else run = this.#runs.reduce((least, one) => (one.usedAt < least.usedAt ? one : least));
    run.start(offset, size, ++this.begun);
    this.#expect(run);
    run.begunAt = run.usedAt = ++this.#reads;
    return run;
  }

  /** Whether a run that begins may be the next piece of one that has come so far by such. */
  #expect(run: Run): void {
    for (const one of this.#runs) {
      const bytes = run.begin - one.end;
      if (bytes <= 0 || bytes > PIECES_AHEAD * one.pieceBytes) continue;
      run.pieceOf = one;
      run.expectedBytes = bytes;
      return;
    }
  }

  /** Joins it, which has just grown, with what it has come to: the one of both that goes on. */
  #close(grown: Run, endBefore: number): Run {
    let run = grown;
    let ended = endBefore;
    for (;;) {
      const at = this.#runs.findIndex((one) => one !== run && meets(run, one, ended));
      if (at < 0) return run; // as a rule; to look at what an array has at -1 costs more than all else here
      const other = this.#runs[at]!;
      const [before, later] = other.begun < run.begun ? [other, run] : [run, other];
      before.join(later);
      this.joined.push(later);
      before.usedAt = this.#reads;
      this.#runs.splice(this.#runs.indexOf(later), 1);
      ended = before.end;
      run = before;
    }
  }
}
