/**
 * Whether what a job has not asked for yet may be brought for it. A job on several nodes reads a share of its data on each, and
 * none must bring what only the others read.
 */

/** auto: not for a job that shares the data with other nodes. all: in any case. */
export type BulkMode = 'auto' | 'off' | 'all';

export interface ShareParts {
  bulk: BulkMode;
  /** Over how many nodes a job is spread, by a thread of it; 1: it is alone, or cannot be seen. */
  jobWidth: (thread: number) => Promise<number>;
}

export class JobShare {
  readonly #parts: ShareParts;
  #asking = false;
  #shared = false;

  constructor(parts: ShareParts) {
    this.#parts = parts;
  }

  /** Nothing may be brought, or it is not known yet. */
  get closed(): boolean {
    return this.#asking || this.#shared || this.#parts.bulk === 'off';
  }

  /** Asks once at a time, and not again once it is shared; by a thread of the job. */
  async isAlone(thread: number): Promise<boolean> {
    const { bulk, jobWidth } = this.#parts;
    if (this.closed) return false;
    if (bulk === 'all') return true;
    this.#asking = true;
    this.#shared = (await jobWidth(thread)) > 1;
    this.#asking = false;
    return !this.#shared;
  }
}
