/**
 * The way to the store as a virtual clock. Every request waits the latency, all of them side by side; then its bytes
 * cross a link that carries one transfer after another. Due times are computed, not measured, so a late wake-up makes one
 * reply late and never takes bandwidth from the next. Both figures may change while it carries something: what it has
 * accepted keeps its due time.
 */
export class Link {
  latencyMs: number;
  /** Bytes a second; Infinity: the link costs nothing. */
  bandwidth: number;
  #freeAt = 0;
  #busyMs = 0;

  constructor(latencyMs: number, bandwidth: number) {
    this.latencyMs = latencyMs;
    this.bandwidth = bandwidth;
  }

  /** When the reply to a request that arrives at `at` and moves `bytes` is there. */
  due(at: number, bytes: number): number {
    const ready = at + this.latencyMs;
    if (bytes === 0) return ready;
    const takes = (bytes / this.bandwidth) * 1000;
    this.#freeAt = Math.max(ready, this.#freeAt) + takes;
    this.#busyMs += takes;
    return this.#freeAt;
  }

  /** Milliseconds of transfer scheduled so far. */
  get busyMs(): number {
    return this.#busyMs;
  }

  reset(): void {
    this.#busyMs = 0;
  }
}
