/** What checks of the cache's bytes found: counted, and one line in the log for each object or chunk that was damaged. */
import type { Log } from '../telemetry/log.ts';

export interface Damage {
  /** The file in the tier. */
  object: string;
  /** The source's file, as the index names it. */
  file: string;
  chunk?: number;
}

export class Integrity {
  readonly #log: Log;
  checkedChunks = 0;
  damagedChunks = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** A chunk was held against its checksum. */
  checked(right: boolean): void {
    this.checkedChunks++;
    if (!right) this.damagedChunks++;
  }

  damaged(damage: Damage): void {
    this.#log.warn(damage, 'a cached chunk is damaged; it is fetched again');
  }

  /** The whole object: its file is gone, or too short. */
  broken(damage: Damage): void {
    this.#log.warn(damage, 'a cached object is damaged or gone; it is fetched again');
  }
}
