/** How fast a job goes through what it has announced, from how far it came lately. */

/** Workers take batches in turns, so that less says little. */
const PERIOD_MS = 250;
/** Until it is known: as fast as anybody goes through small files. */
const FIRST_PER_MS = 1;

export class Pace {
  #item = -1;
  #atMs = 0;
  #begunMs = Number.NaN;
  #perMs = Number.NaN;

  /** The job has come to an item, its foremost. */
  came(item: number, nowMs: number): void {
    if (this.#item < 0) {
      this.#item = item;
      this.#atMs = nowMs;
      this.#begunMs = nowMs;
      this.#perMs = FIRST_PER_MS;
      return;
    }
    const ms = nowMs - this.#atMs;
    if (ms < PERIOD_MS) return;
    const perMs = (item - this.#item) / ms;
    // Who has become slower may be so for a moment only.
    this.#perMs = this.#perMs > perMs ? (this.#perMs + perMs) / 2 : perMs;
    this.#item = item;
    this.#atMs = nowMs;
  }

  /** How long ago the job came to the first item, when it came to the last that was looked at. */
  get goneOnMs(): number {
    return this.#atMs - this.#begunMs;
  }

  /** NaN: the job has come to none. */
  get itemsPerMs(): number {
    return this.#perMs;
  }
}
