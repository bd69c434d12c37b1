/**
 * How long the session's thread is away from the device: from one look at it to the next, waiting for it left out. Whoever
 * asks meanwhile waits that long at most. Counts what holds the thread, whatever that is: requests served in between,
 * callbacks of the pool, garbage collected; and when the machine has no processor for it. That last part is known by itself:
 * a turn less what it waited for a processor is the turn's own time.
 */
import { performance } from '../sys/clock.ts';
import { ProcessorWait } from '../sys/processor-wait.ts';
import { LatencyTable } from '../telemetry/latency.ts';
import type { LoopStats } from '../telemetry/stats.ts';

/** A turn that a reader notices. */
export const LONG_TURN_MS = 50;
/** How old what is known of the wait for a processor may be when a turn begins: its own time is at most so much too short. */
const WAIT_KNOWN_MS = 2;

export class Turns {
  readonly #table = new LatencyTable(1);
  readonly #processor: { totalMs(): number };
  #begunMs = performance.now();
  #long = 0;
  #ownMaxMs = 0;
  #ownLong = 0;
  /** What had been waited for a processor, and when that was asked. */
  #waitedMs = 0;
  #waitKnownMs = Number.NEGATIVE_INFINITY;

  constructor(processor: { totalMs(): number } = new ProcessorWait()) {
    this.#processor = processor;
  }

  /** The thread looks at the device. */
  looks(nowMs: number): void {
    const ms = nowMs - this.#begunMs;
    this.#table.add(0, ms);
    if (ms >= LONG_TURN_MS) this.#long++;
    if (ms > this.#ownMaxMs || ms >= LONG_TURN_MS) this.#own(ms);
    this.#begin(nowMs);
  }

  /** It has waited for the device meanwhile. */
  waited(nowMs: number): void {
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    this.#begunMs = nowMs;
    if (nowMs - this.#waitKnownMs < WAIT_KNOWN_MS) return;
    this.#waitKnownMs = nowMs;
    this.#waitedMs = this.#processor.totalMs();
  }

  #own(ms: number): void {
    const ownMs = ms - (this.#processor.totalMs() - this.#waitedMs);
    if (ownMs > this.#ownMaxMs) this.#ownMaxMs = ownMs;
    if (ownMs >= LONG_TURN_MS) this.#ownLong++;
  }

  snapshot(): LoopStats {
    const { count: turns, p99Ms, maxMs } = this.#table.summary(0);
    return { turns, p99Ms, maxMs, long: this.#long, ownMaxMs: this.#ownMaxMs, ownLong: this.#ownLong };
  }
}
