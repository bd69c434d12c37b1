/**
 * Brings objects from tier to tier in the background: one after the other, no faster than a bound, and not while readers
 * wait for bytes. Promotions come before copies that only make a tier in memory dispensable.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BufferPool } from './buffers.ts';
import type { CacheObject } from './object.ts';

/** Some 100 us of the thread that serves requests for each MiB: less than a tenth of it. */
const BYTES_PER_SECOND = 128 * 1024 * 1024;
const LOOK_AGAIN_MS = 10;
/** Where readers always wait, a piece is moved as rarely as this all the same: what is read most must get to a fast tier at last. */
const PATIENCE_MS = 1000;
const QUEUED_MOST = 4096;

/** Resolves when the next so many bytes may be moved; false: no more, the cache is being closed. */
export type Pace = (bytes: number) => Promise<boolean>;
/** Moves an object, or finds that it need not. */
export type Move = (object: CacheObject, pace: Pace) => Promise<void>;

export class Mover {
  readonly #buffers: BufferPool;
  readonly #defect: (error: unknown) => void;
  readonly #urgent = new Map<CacheObject, Move>();
  readonly #spare = new Map<CacheObject, Move>();
  #running: Promise<void> | undefined;
  #stopped = false;
  /** When the rate allows the next piece (monotonic ms). */
  #nextAtMs = 0;

  constructor(buffers: BufferPool, defect: (error: unknown) => void) {
    this.#buffers = buffers;
    this.#defect = defect;
  }

  queued(object: CacheObject): boolean {
    return this.#urgent.has(object);
  }

  /** `urgent`: before all that are not. Left out when very many wait already; it will be read again. */
  add(object: CacheObject, move: Move, urgent: boolean): void {
    const queue = urgent ? this.#urgent : this.#spare;
    if (this.#stopped || (urgent && queue.size >= QUEUED_MOST)) return;
    queue.set(object, move);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      const queue = this.#urgent.size > 0 ? this.#urgent : this.#spare;
      const [next] = queue;
      if (next === undefined || this.#stopped) break;
      const [object, move] = next;
      try {
        await move(object, (bytes) => this.#pace(bytes));
      } catch (error) {
        this.#defect(error);
      }
      queue.delete(object); // not before: it would be queued again while it is under way
    }
    this.#running = undefined; // here and not later: what is added from now on begins another
  }

  async #pace(bytes: number): Promise<boolean> {
    const patienceMs = performance.now() + PATIENCE_MS;
    for (;;) {
      if (this.#stopped) return false;
      const nowMs = performance.now();
      const readersWait = this.#buffers.usedBytes > 0 && nowMs < patienceMs; // none of these is ours between two pieces
      if (!readersWait && nowMs >= this.#nextAtMs) break;
      await sleep(Math.max(LOOK_AGAIN_MS, Math.min(this.#nextAtMs - nowMs, 50)));
    }
    this.#nextAtMs = Math.max(this.#nextAtMs, performance.now() - LOOK_AGAIN_MS) + (bytes * 1000) / BYTES_PER_SECOND;
    return true;
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#urgent.clear();
    this.#spare.clear();
  }
}
