/** Workloads with known answers, and what a policy makes of them. */
import type { EvictionPolicy } from '../../../src/cache/eviction/policy.ts';
import { SimulatedCache } from '../../../src/cache/eviction/simulated-cache.ts';
import { simulatedPolicies } from '../../../src/cache/eviction/simulated-policies.ts';
import { Workload } from '../../../src/cache/eviction/workload.ts';

export const KIB = 1024;
export const FILE = 100 * KIB;
const READ_MS = 10;

/** Numbers from 0 to below 1 that are the same each time (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const copy = [...list];
  for (let at = copy.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [copy[at], copy[other]] = [copy[other]!, copy[at]!];
  }
  return copy;
}

/** Zipf-distributed numbers below `count`. */
export function zipf(count: number, exponent: number, random: () => number): () => number {
  const sums: number[] = [];
  let sum = 0;
  for (let at = 1; at <= count; at++) {
    sum += 1 / at ** exponent;
    sums.push(sum);
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    for (let high = count - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

export class Script {
  readonly workload = new Workload();
  nowMs = 1000;

  files(count: number, path: (at: number) => string, size: number | ((at: number) => number) = FILE): number[] {
    return Array.from({ length: count }, (_, at) =>
      this.workload.addItem(path(at), typeof size === 'number' ? size : size(at)),
    );
  }

  read(item: number, ms = READ_MS): void {
    this.nowMs += ms;
    this.workload.addWhole(item, this.nowMs);
  }

  all(items: readonly number[], ms = READ_MS): void {
    for (const item of items) this.read(item, ms);
  }

  /** Two streams, one read of each in turn. */
  both(one: readonly number[], other: readonly number[]): void {
    for (let at = 0; at < Math.max(one.length, other.length); at++) {
      if (at < one.length) this.read(one[at]!, READ_MS / 2);
      if (at < other.length) this.read(other[at]!, READ_MS / 2);
    }
  }

  /** Where in the workload it is now. */
  get here(): number {
    return this.workload.count;
  }
}

/** Hit ratio of reads, in events `from` to the end (or `to`), everything before being run first. */
export function ratio(script: Script, name: string, capacityBytes: number, from = 0, to = script.here): number {
  const { cache } = simulate(script, name, capacityBytes, from);
  const before = { ...cache.counts };
  cache.run(from, to, next(script));
  const { reads, readHits } = cache.counts;
  return (readHits - before.readHits) / (reads - before.reads);
}

const nexts = new WeakMap<Workload, Float64Array>();
function next({ workload }: Script): Float64Array {
  const known = nexts.get(workload) ?? workload.nextOpens();
  nexts.set(workload, known);
  return known;
}

export function simulate(
  script: Script,
  name: string,
  capacityBytes: number,
  to = script.here,
): { cache: SimulatedCache; policy: EvictionPolicy } {
  const policy = simulatedPolicies[name]!({ capacityBytes: () => capacityBytes, random: dice(7) });
  const cache = new SimulatedCache(script.workload, { policy, capacityBytes, chunkBytes: 256 * KIB });
  cache.run(0, to, next(script));
  return { cache, policy };
}
