/**
 * Latencies, counted in buckets whose width grows with them: four buckets an octave, so that a percentile is at most 19 %
 * off (HdrHistogram's layout, Gil Tene, with two significant bits). Nothing is allocated after construction.
 */

const SUB_BITS = 2;
const SUB = 1 << SUB_BITS;
/** Bucket 0 holds what is below a microsecond; the last one everything from 2^31 us (36 minutes). */
const OCTAVES = 31;
export const BUCKETS: number = 1 + OCTAVES * SUB;

/** The bucket of a duration in milliseconds. */
export function bucketOf(ms: number): number {
  const us = ms * 1000;
  if (!(us >= 1)) return 0;
  const whole = us >= 0x7fff_ffff ? 0x7fff_ffff : us | 0;
  const octave = 31 - Math.clz32(whole);
  const sub =
    octave >= SUB_BITS ? (whole >>> (octave - SUB_BITS)) & (SUB - 1) : (whole << (SUB_BITS - octave)) & (SUB - 1);
  return 1 + octave * SUB + sub;
}

/** The upper end of a bucket, in milliseconds; Infinity for the last. */
export function bucketEndMs(bucket: number): number {
  if (bucket >= BUCKETS - 1) return Number.POSITIVE_INFINITY;
  if (bucket === 0) return 0.001;
  const octave = (bucket - 1) >> SUB_BITS;
  const sub = (bucket - 1) & (SUB - 1);
  return (2 ** octave * (1 + (sub + 1) / SUB)) / 1000;
}

export interface LatencySummary {
  count: number;
  meanMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** One histogram a row. */
export class LatencyTable {
  readonly rows: number;
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;
  readonly #most: Float64Array;

  constructor(rows: number) {
    this.rows = rows;
    this.#counts = new Float64Array(rows * BUCKETS);
    this.#sums = new Float64Array(rows);
    this.#most = new Float64Array(rows);
  }

  add(row: number, ms: number): void {
    this.#counts[row * BUCKETS + bucketOf(ms)]!++;
    this.#sums[row]! += ms;
    if (ms > this.#most[row]!) this.#most[row] = ms;
  }

  /** Counts by bucket: a view, not a copy. */
  counts(row: number): Float64Array {
    return this.#counts.subarray(row * BUCKETS, (row + 1) * BUCKETS);
  }

  /** In milliseconds. */
  sum(row: number): number {
    return this.#sums[row]!;
  }

  summary(row: number): LatencySummary {
    const counts = this.counts(row);
    const count = counts.reduce((total, n) => total + n, 0);
    const maxMs = this.#most[row]!;
    const at = (share: number): number => Math.min(percentileMs(counts, count, share), maxMs);
    return {
      count,
      meanMs: count === 0 ? 0 : this.#sums[row]! / count,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      maxMs,
    };
  }
}

/** The upper end of the bucket that holds the given share of all counts, in milliseconds. */
export function percentileMs(counts: Float64Array, total: number, share: number): number {
  if (total === 0) return 0;
  let seen = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) {
    seen += counts[bucket]!;
    if (seen >= total * share) return bucketEndMs(bucket);
  }
  return Number.POSITIVE_INFINITY;
}
