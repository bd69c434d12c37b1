/** What all mounts of a round came to: what was brought ahead and used, by order, and the memory it took. */
import { usage } from '../support/processes.ts';
import type { Figure } from './measure.ts';

/** Above the idle daemon, in all of the suite. */
const MEMORY_MOST_MIB = 256;
const SAMPLE_MS = 200;

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

  add(what: string, memoryBytes: number): void {
    if (memoryBytes > (this.#memory?.bytes ?? -1)) this.#memory = { what, bytes: memoryBytes };
  }

  /** What there is since the last time. */
  take(): Figure[] {
    const memory = this.#memory;
    this.#memory = undefined;
    if (memory === undefined) return [];
    console.log(`  most memory: ${memory.what}`);
    const value = memory.bytes / 2 ** 20;
    return [{ what: 'memory above the idle daemon, at most', value, unit: 'MiB', atMost: MEMORY_MOST_MIB }];
  }
}
