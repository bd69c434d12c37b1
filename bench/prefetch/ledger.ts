/** What all mounts of a round came to: what was brought ahead and used, by order, and the memory it took. */
import type { PrefetchStats } from '../../src/telemetry/stats.ts';
import { usage } from '../support/processes.ts';
import type { Figure } from './measure.ts';

/** Above the idle daemon, in all of the suite. */
const MEMORY_MOST_MIB = 256;
const SAMPLE_MS = 200;
/** Of what an order brought, the share that was used. */
const ACCURACY_LEAST = 0.8;
const ACCURACY_OF: Readonly<Record<string, number>> = { plan: 0.95, repeat: 0.95, bulk: 0.95, unseen: 0.95 };

/** Memory of processes from now on, above what they have now. */
export function watchMemory(pids: readonly number[]): () => number {
  const resident = (): number => usage([...pids]).residentBytes;
  const idle = resident();
  let most = idle;
  const look = (): void => {
    most = Math.max(most, resident());
  };
  const timer = setInterval(look, SAMPLE_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    look();
    return most - idle;
  };
}

export class Ledger {
  #memory: { what: string; bytes: number } | undefined;
  readonly #orders = new Map<string, { bytes: number; usedBytes: number }>();

  /** A mount that is about to end. */
  add(what: string, memoryBytes: number, { byOrder }: PrefetchStats): void {
    if (memoryBytes > (this.#memory?.bytes ?? -1)) this.#memory = { what, bytes: memoryBytes };
    for (const [name, { bytes, usedBytes }] of Object.entries(byOrder)) {
      const sum = this.#orders.get(name) ?? { bytes: 0, usedBytes: 0 };
      this.#orders.set(name, { bytes: sum.bytes + bytes, usedBytes: sum.usedBytes + usedBytes });
    }
  }

  /** What there is since the last time. */
  take(): Figure[] {
    const memory = this.#memory;
    const figures = [...this.#orders]
      .filter(([, { bytes }]) => bytes > 0)
      .map(([name, { bytes, usedBytes }]): Figure => {
        const atLeast = ACCURACY_OF[name] ?? ACCURACY_LEAST;
        return { what: `accuracy, ${name}: used / brought`, value: usedBytes / bytes, atLeast };
      });
    this.#memory = undefined;
    this.#orders.clear();
    if (memory === undefined) return figures;
    console.log(`  most memory: ${memory.what}`);
    const value = memory.bytes / 2 ** 20;
    return [...figures, { what: 'memory above the idle daemon, at most', value, unit: 'MiB', atMost: MEMORY_MOST_MIB }];
  }
}
