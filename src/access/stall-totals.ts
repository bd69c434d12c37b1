/** Sums of waiting: of a process, of an epoch. Times in milliseconds, summed over threads. */

/** Fewer samples than this prove nothing. */
const SAMPLES_LEAST = 20;
/** A share whose standard error is more than this is none that could be told. */
const ERROR_MOST = 0.03;

export class WaitTotals {
  /** From the first request to the last of each thread; pauses of QUIET_MS and more left out. */
  activeMs = 0;
  /** Held up by requests whose asker cannot go on without the answer: LOOKUP, OPEN, READDIR ... */
  certainMs = 0;
  /** Held up by READs, as far as their order tells. */
  readMs = 0;
  /** Of both: in the opening and the first reading of a file ... */
  firstMs = 0;
  /** ... and in READs that the cache answered: what a complete cache would not spare. */
  cachedMs = 0;

  /** Samples of threads taken to be held up by a READ, and how many of those were. */
  sampledInRead = 0;
  heldInRead = 0;
  /** Samples of threads that nothing of ours was known to hold up, those held up nevertheless, and those that were idle. */
  sampledFree = 0;
  heldFree = 0;
  idleFree = 0;
  /** Opens of files that the kernel reads by itself: without samples, nothing is known of their reading. */
  unseenOpens = 0;

  add(other: WaitTotals, sign = 1): void {
    this.activeMs += sign * other.activeMs;
    this.certainMs += sign * other.certainMs;
    this.readMs += sign * other.readMs;
    this.firstMs += sign * other.firstMs;
    this.cachedMs += sign * other.cachedMs;
    this.sampledInRead += sign * other.sampledInRead;
    this.heldInRead += sign * other.heldInRead;
    this.sampledFree += sign * other.sampledFree;
    this.heldFree += sign * other.heldFree;
    this.idleFree += sign * other.idleFree;
    this.unseenOpens += sign * other.unseenOpens;
  }

  subtract(other: WaitTotals): void {
    this.add(other, -1);
  }

  clear(): void {
    this.subtract(this.copy());
  }

  copy(): WaitTotals {
    const copy = new WaitTotals();
    copy.add(this);
    return copy;
  }

  /** Of the time that READs were taken to hold threads up, the share in which they did. */
  get #readTrust(): number {
    return this.sampledInRead < SAMPLES_LEAST ? 1 : this.heldInRead / this.sampledInRead;
  }

  get #hiddenShare(): number {
    return this.sampledFree < SAMPLES_LEAST ? 0 : this.heldFree / this.sampledFree;
  }

  get #freeMs(): number {
    return Math.max(0, this.activeMs - this.certainMs - this.readMs);
  }

  /** What the order of the requests tells, put right by the samples. */
  get waitMs(): number {
    return this.certainMs + this.readMs * this.#readTrust + this.#freeMs * this.#hiddenShare;
  }

  /** Null: nothing was going on, or too little of it was seen. */
  get share(): number | null {
    if (this.activeMs <= 0 || this.#error > ERROR_MOST) return null;
    if (this.unseenOpens > 0 && this.sampledFree < SAMPLES_LEAST) return null;
    return Math.min(1, this.waitMs / this.activeMs);
  }

  /** The standard error of `share`, as far as it comes from samples. */
  get #error(): number {
    const inRead = this.#readTrust * (1 - this.#readTrust) * (this.readMs / this.activeMs) ** 2;
    const free = this.#hiddenShare * (1 - this.#hiddenShare) * (this.#freeMs / this.activeMs) ** 2;
    return Math.sqrt(inRead / Math.max(1, this.sampledInRead) + free / Math.max(1, this.sampledFree));
  }

  /** Share of the waiting. */
  get firstShare(): number | null {
    const known = this.certainMs + this.readMs;
    return known > 0 ? this.firstMs / known : null;
  }

  get cachedShare(): number {
    const known = this.certainMs + this.readMs;
    return known > 0 ? this.cachedMs / known : 0;
  }

  /** Share of the active time that threads waited for something else than us: for their next task. */
  get idleShare(): number {
    if (this.sampledFree < SAMPLES_LEAST || this.activeMs === 0) return 0;
    return ((this.idleFree / this.sampledFree) * this.#freeMs) / this.activeMs;
  }

  /** Whether samples changed what the requests told. */
  get estimated(): boolean {
    return this.readMs > 0 || this.#hiddenShare > 0;
  }
}
