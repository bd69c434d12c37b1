/**
 * The files that were opened last, in the order they came, and by whom: a ring of numbers, for what is found in sequences when
 * somebody asks (detectors/batch.ts). One for all data sets, so that it costs the same however many there are.
 */

/** Sixteen batches of 512 files. 16 bytes each; a power of two. */
const OPENS_MOST = 8192;

export class OpenLog {
  readonly #most: number;
  readonly #threads: Int32Array;
  readonly #files: Int32Array;
  readonly #directories: Int32Array;
  readonly #pausesMs: Float32Array;
  /** Opens so far. */
  count = 0;

  constructor(most: number = OPENS_MOST) {
    this.#most = most;
    this.#threads = new Int32Array(most);
    this.#files = new Int32Array(most);
    this.#directories = new Int32Array(most);
    this.#pausesMs = new Float32Array(most);
  }

  /**
   * `file` and `directory`: their numbers. `pauseMs`: what the thread has done since it was answered last, negative where it was
   * not.
   */
  opened(thread: number, file: number, directory: number, pauseMs: number): void {
    const at = this.count++ & (this.#most - 1);
    this.#threads[at] = thread;
    this.#files[at] = file;
    this.#directories[at] = directory;
    this.#pausesMs[at] = pauseMs;
  }

  /** Of them, those that are remembered. */
  get held(): number {
    return Math.min(this.count, this.#most);
  }

  /** Some that came before are not in it any more. */
  get forgets(): boolean {
    return this.count > this.held;
  }

  /** The oldest first. */
  each(visit: (thread: number, file: number, directory: number, pauseMs: number) => void): void {
    for (let nth = this.count - this.held; nth < this.count; nth++) {
      const at = nth & (this.#most - 1);
      visit(this.#threads[at]!, this.#files[at]!, this.#directories[at]!, this.#pausesMs[at]!);
    }
  }
}
