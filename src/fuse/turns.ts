/**
 * How long the session's thread is away from the device: from one look at it to the next, waiting for it left out. Whoever
 * asks meanwhile waits that long at most. Counts what holds the thread, whatever that is: requests served in between,
 * callbacks of the pool, garbage collected; and when the machine has no processor for it.
 */
import { performance } from '../sys/clock.ts';
import { LatencyTable } from '../telemetry/latency.ts';
import type { LoopStats } from '../telemetry/stats.ts';

/** A turn that a reader notices. */
export const LONG_TURN_MS = 50;

export class Turns {
  readonly #table = new LatencyTable(1);
  #begunMs = performance.now();
  #long = 0;

  /** The thread looks at the device. */
  looks(nowMs: number): void {
    const ms = nowMs - this.#begunMs;
    this.#table.add(0, ms);
    if (ms >= LONG_TURN_MS) this.#long++;
    this.#begunMs = nowMs;
  }

  /** It has waited for the device meanwhile. */
  waited(nowMs: number): void {
    this.#begunMs = nowMs;
  }

  snapshot(): LoopStats {
    const { count: turns, p99Ms, maxMs } = this.#table.summary(0);
    return { turns, p99Ms, maxMs, long: this.#long };
  }
}
