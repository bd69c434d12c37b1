/** What the store was asked since the last reset. */
import type { Kind } from './rules.ts';

export interface Counts {
  /** Requests that cost a trip, in all and by kind. */
  requests: number;
  byKind: Partial<Record<Kind, number>>;
  bytesRead: number;
  bytesWritten: number;
  /** Different files opened. */
  files: number;
  inFlight: number;
  inFlightMost: number;
  /** Requests that were made to hang, to fail, or to return less than was there. */
  hung: number;
  failed: number;
  shortened: number;
  /** Seconds since the last reset, and of them: the link busy, this process on a processor. */
  seconds: number;
  linkBusySeconds: number;
  cpuSeconds: number;
}

export class Counter {
  readonly #byKind = new Map<Kind, number>();
  readonly #files = new Set<string>();
  bytesRead = 0;
  bytesWritten = 0;
  hung = 0;
  failed = 0;
  shortened = 0;
  #requests = 0;
  #inFlight = 0;
  #inFlightMost = 0;
  #since = performance.now();
  #cpu = process.cpuUsage();

  begin(kind: Kind): void {
    this.#requests++;
    this.#byKind.set(kind, (this.#byKind.get(kind) ?? 0) + 1);
    if (++this.#inFlight > this.#inFlightMost) this.#inFlightMost = this.#inFlight;
  }

  end(): void {
    this.#inFlight--;
  }

  file(path: string): void {
    this.#files.add(path);
  }

  /** Requests under way stay counted as under way. */
  reset(): void {
    this.#byKind.clear();
    this.#files.clear();
    this.#requests = this.bytesRead = this.bytesWritten = this.hung = this.failed = this.shortened = 0;
    this.#inFlightMost = this.#inFlight;
    this.#since = performance.now();
    this.#cpu = process.cpuUsage();
  }

  snapshot(linkBusyMs: number): Counts {
    const cpu = process.cpuUsage(this.#cpu);
    return {
      requests: this.#requests,
      byKind: Object.fromEntries(this.#byKind),
      bytesRead: this.bytesRead,
      bytesWritten: this.bytesWritten,
      files: this.#files.size,
      inFlight: this.#inFlight,
      inFlightMost: this.#inFlightMost,
      hung: this.hung,
      failed: this.failed,
      shortened: this.shortened,
      seconds: (performance.now() - this.#since) / 1000,
      linkBusySeconds: linkBusyMs / 1000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
    };
  }
}
