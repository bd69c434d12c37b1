/**
 * What the source says of its space. `find`, `df` and many a library ask for it at every start, so one answer serves for a
 * while: on a mount that nobody can write to for the lease, and behind what is told from it a new one is fetched.
 */
import type { Store, StoreStatistics } from '../store/store.ts';
import { failed, type Outcome, type Reply } from '../sys/errno.ts';

export interface SpaceOptions {
  nowMs: () => number;
  ttlMs: () => number;
  readOnly: boolean;
}

/** However long the lease is: who watches the space grow scarce looks every few minutes. */
const KEPT_MS = 60_000;
/** Where writers use it up. */
const KEPT_WRITABLE_MS = 1000;
/** Older than this, what is told is fetched anew behind it. */
const RENEWED_MS = 5000;

export class Space {
  readonly #store: Store;
  readonly #options: SpaceOptions;
  #known: StoreStatistics | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;
  #underWay: Promise<Outcome<StoreStatistics>> | undefined;

  constructor(store: Store, options: SpaceOptions) {
    this.#store = store;
    this.#options = options;
  }

  reply(): Reply<StoreStatistics> {
    if (this.#store.speed === 'inline') return this.#store.statistics();
    const { nowMs, ttlMs, readOnly } = this.#options;
    const agoMs = nowMs() - this.#askedMs;
    if (this.#known === undefined || agoMs >= Math.min(ttlMs(), readOnly ? KEPT_MS : KEPT_WRITABLE_MS)) {
      return this.#ask();
    }
    if (agoMs >= RENEWED_MS) void this.#ask();
    return this.#known;
  }

  /** Whoever asks while the source is asked waits for the same answer: it is no older than a moment ago. */
  #ask(): Promise<Outcome<StoreStatistics>> {
    if (this.#underWay !== undefined) return this.#underWay;
    const askedMs = this.#options.nowMs();
    this.#underWay = Promise.resolve(this.#store.statistics()).then((outcome) => {
      this.#underWay = undefined;
      this.#known = failed(outcome) ? undefined : (outcome as StoreStatistics);
      this.#askedMs = askedMs;
      return outcome;
    });
    return this.#underWay;
  }
}
