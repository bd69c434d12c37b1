/**
 * Reading on and on: runs, each of READs next to where one ended. As the kernel's own read-ahead (mm/readahead.c; Wu, Xi and Xu,
 * "On the design of a new Linux readahead framework", 2008) a run is known by its place in the file and not by who reads: several
 * go through one file side by side, whether by one descriptor, by one each, or by a mapping.
 *
 * READs overtake each other. What comes early begins a run of its own, which is joined with the one before it when the gap
 * closes; a run that was begun earlier is not joined with: who reads backward comes to where he was from below.
 */

/** Runs of one file; who reads in other places pushes out the one that rested longest. */
const RUNS_MOST = 8;
/** A run that has come so far may leave something out: pages that the kernel has already. */
const SURE_READS = 3;
const SURE_BYTES = 1024 * 1024;
/** From the start of a file it is believed sooner, as by the kernel. */
const SURE_BYTES_FROM_START = 256 * 1024;
/** So many of the READ's own size, */
const LEFT_OUT_MOST = 2;
/** and of all of the run no more than this. */
const LEFT_OUT_SHARE = 1 / 8;
/** How far behind a run's end a READ may come late, in its own size. */
const LATE_MOST = 4;

export class Run {
  begin = 0;
  /** Behind the last byte that was read. */
  end = 0;
  reads = 0;
  leftOutBytes = 0;
  /** When it was begun, as a number: one for each run of the file. */
  begun = 0;
  usedAt = 0;

  get bytes(): number {
    return this.end - this.begin;
  }

  /** It may be believed to go on. */
  get sure(): boolean {
    return this.reads >= SURE_READS && this.bytes >= (this.begin === 0 ? SURE_BYTES_FROM_START : SURE_BYTES);
  }

  start(offset: number, size: number, begun: number): void {
    this.begin = offset;
    this.end = offset + size;
    this.reads = 1;
    this.leftOutBytes = 0;
    this.begun = begun;
  }

  continuedBy(offset: number, size: number): boolean {
    if (offset < this.begin || offset < this.end - LATE_MOST * size) return false;
    if (offset <= this.end) return true;
    const leftOut = offset - this.end;
    return this.sure && leftOut <= LEFT_OUT_MOST * size && this.leftOutBytes + leftOut <= this.bytes * LEFT_OUT_SHARE;
  }

  advance(offset: number, size: number): void {
    this.reads++;
    this.leftOutBytes += Math.max(0, offset - this.end);
    this.end = Math.max(this.end, offset + size);
  }

  join(later: Run): void {
    this.reads += later.reads;
    this.leftOutBytes += later.leftOutBytes;
    this.end = Math.max(this.end, later.end);
  }
}

export class Runs {
  readonly #runs: Run[] = [];
  #reads = 0;
  /** Runs begun so far. */
  begun = 0;
  /** The run that the last READ closed the gap to, by its number; 0: none. Its beginning was no jump. */
  joined = 0;

  /** The run that a READ belongs to; one that was begun by it has one READ. */
  came(offset: number, size: number): Run {
    this.joined = 0;
    const known = this.#continued(offset, size);
    if (known === undefined) return this.#begin(offset, size);
    known.usedAt = ++this.#reads;
    const before = known.end;
    known.advance(offset, size);
    if (known.end > before) this.#close(known);
    return known;
  }

  /** Of several the one that ends nearest. */
  #continued(offset: number, size: number): Run | undefined {
    let best: Run | undefined;
    for (const run of this.#runs) {
      if (!run.continuedBy(offset, size)) continue;
      if (best === undefined || Math.abs(run.end - offset) < Math.abs(best.end - offset)) best = run;
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
    run.usedAt = ++this.#reads;
    return run;
  }

  /** Joins it with what came early. */
  #close(run: Run): void {
    const at = this.#runs.findIndex((one) => one.begun > run.begun && one.begin >= run.begin && one.begin <= run.end);
    if (at < 0) return; // as a rule; to look at what an array has at -1 costs more than all else here
    const early = this.#runs[at]!;
    run.join(early);
    this.joined = early.begun;
    this.#runs.splice(at, 1);
  }
}
