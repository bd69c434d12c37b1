/**
 * What is read without the daemon seeing it, made out from opens of the same kind that it does see (samples).
 *
 * For each group of opens: the reads and bytes of an open are taken as a straight line over the size of the file, fitted to
 * the samples, and applied to the hidden opens, whose sizes are known. Readers of whole files lie on such a line exactly,
 * whether they read in one call or in pieces; readers of parts scatter around it. Samples drawn less often weigh more.
 * How much they scatter is the estimate's standard error: that of a regression estimator (Cochran, "Sampling Techniques",
 * 7.3), with the weights squared.
 *
 * On the way of opens and reads: plain numbers, incremented in place.
 */

/** What hides the reads of an open. `*_LARGE`: see overlay/sampling.ts. */
export const Group = {
  NONE: 0,
  KEPT_PAGES: 1,
  TIER: 2,
  TIER_LARGE: 3,
  SOURCE: 4,
  SOURCE_LARGE: 5,
} as const;
export type Group = (typeof Group)[keyof typeof Group];
const GROUPS = 6;

/** Fewer samples than this say nothing. */
const SAMPLES_LEAST = 16;
/** A group that cannot be estimated is left out of the whole while its share of opens and of their files' bytes is below. */
const LEFT_OUT_MOST = 0.02;

/** One open that the daemon serves in order to see what such opens read. */
export interface Sample {
  readonly group: Group;
  /** Of the file when it was opened. */
  readonly sizeBytes: number;
  /** Opens it stands for. */
  readonly weight: number;
  /** READs that brought bytes, and these. */
  reads: number;
  bytes: number;
  /** The last of them (at first: the open), monotonic ms. */
  answeredAtMs: number;
}

/**
 * `reads` counts calls that brought bytes, one for each MiB of a larger call. Null: too few samples, or none are taken.
 * `readsError`, `bytesError`: standard errors of the two: two of three estimates are off by less, and nearly all by less
 * than twice as much.
 */
export interface HiddenWay {
  opens: number;
  reads: number | null;
  readsError: number | null;
  bytes: number | null;
  bytesError: number | null;
  /** Opens that would have been hidden too and were served by the daemon instead; their reads are in `reads.count`. */
  sampledOpens: number;
}

export interface HiddenSnapshot {
  /** Null: the kernel opens files by itself (`ro,immutable`), and nothing is known of it. */
  opens: number | null;
  reads: number | null;
  readsError: number | null;
  bytes: number | null;
  bytesError: number | null;
  sampledOpens: number;
  byWay: { keptPages: HiddenWay; tierPassthrough: HiddenWay; sourcePassthrough: HiddenWay };
}

/** What the samples say of something, and all that it comes to in the hidden opens. */
interface Projection {
  total: number;
  variance: number;
}

/** Sums over samples; w: weight, x: size. */
class Sizes {
  w = 0;
  wx = 0;
  wxx = 0;
  ww = 0;
  wwx = 0;
  wwxx = 0;

  add(weight: number, x: number): void {
    const wx = weight * x;
    this.w += weight;
    this.wx += wx;
    this.wxx += wx * x;
    this.ww += weight * weight;
    this.wwx += weight * wx;
    this.wwxx += wx * wx;
  }
}

/** Sums of one thing that was measured of each sample (y), and its line over the sizes. */
class Line {
  #wy = 0;
  #wxy = 0;
  #wwy = 0;
  #wwxy = 0;
  #wwyy = 0;

  add(weight: number, x: number, y: number): void {
    const wy = weight * y;
    this.#wy += wy;
    this.#wxy += wy * x;
    this.#wwy += weight * wy;
    this.#wwxy += weight * wy * x;
    this.#wwyy += wy * wy;
  }

  /** For `opens` of files of so many bytes together. */
  project(of: Sizes, opens: number, sizeBytes: number): Projection {
    const { w } = of;
    const meanX = of.wx / w;
    const meanY = this.#wy / w;
    const varianceX = of.wxx / w - meanX ** 2;
    const slope = varianceX > 1e-9 * meanX ** 2 ? (this.#wxy / w - meanX * meanY) / varianceX : 0;
    const at0 = meanY - slope * meanX;
    // The sum of the squares of what lies between the samples and the line, each with its weight.
    const apart =
      this.#wwyy + at0 * (at0 * of.ww - 2 * this.#wwy) + slope * (slope * of.wwxx - 2 * this.#wwxy + 2 * at0 * of.wwx);
    return {
      total: Math.max(0, opens * (meanY + slope * (sizeBytes / opens - meanX))),
      variance: Math.max(0, apart) * (opens / w) ** 2,
    };
  }
}

const NOTHING: Projection = { total: 0, variance: 0 };

/** Sums of one group. */
class Tally {
  /** Hidden opens, and the bytes of their files. */
  opens = 0;
  sizeBytes = 0;
  /** Of these opens, what the daemon served after all (pages that the kernel had dropped). */
  seenReads = 0;
  seenBytes = 0;
  sampledOpens = 0;
  /** Of samples that were closed. */
  samples = 0;
  readonly #sizes = new Sizes();
  readonly #reads = new Line();
  readonly #bytes = new Line();

  add({ weight, sizeBytes, reads, bytes }: Sample): void {
    this.samples++;
    this.#sizes.add(weight, sizeBytes);
    this.#reads.add(weight, sizeBytes, reads);
    this.#bytes.add(weight, sizeBytes, bytes);
  }

  estimate(): { reads: Projection; bytes: Projection } | undefined {
    if (this.opens === 0) return { reads: NOTHING, bytes: NOTHING };
    if (this.samples < SAMPLES_LEAST) return undefined;
    const reads = this.#reads.project(this.#sizes, this.opens, this.sizeBytes);
    const bytes = this.#bytes.project(this.#sizes, this.opens, this.sizeBytes);
    // READs of dropped pages are of another size than the reader's calls: their share of the bytes is what was seen.
    const hidden = bytes.total === 0 ? 0 : Math.max(0, 1 - this.seenBytes / bytes.total);
    return { reads: part(reads, hidden), bytes: part(bytes, hidden) };
  }
}

function part({ total, variance }: Projection, share: number): Projection {
  return { total: total * share, variance: variance * share ** 2 };
}

export class Hidden {
  readonly #tallies: readonly Tally[] = Array.from({ length: GROUPS }, () => new Tally());

  /** Opens of a group so far, sampled ones among them. */
  opens(group: Group): number {
    const tally = this.#tallies[group]!;
    return tally.opens + tally.sampledOpens;
  }

  /** An open was handed to the kernel. */
  opened(group: Group, sizeBytes: number): void {
    const tally = this.#tallies[group]!;
    tally.opens++;
    tally.sizeBytes += sizeBytes;
  }

  /** One such open is served by the daemon. */
  sampled(group: Group, sizeBytes: number, weight: number): Sample {
    this.#tallies[group]!.sampledOpens++;
    return { group, sizeBytes, weight, reads: 0, bytes: 0, answeredAtMs: performance.now() };
  }

  /** The daemon served a READ of an open that was handed to the kernel. */
  seen(group: Group, bytes: number): void {
    const tally = this.#tallies[group]!;
    tally.seenReads++;
    tally.seenBytes += bytes;
  }

  closed(sample: Sample): void {
    this.#tallies[sample.group]!.add(sample);
  }

  snapshot(): HiddenSnapshot {
    const all = this.#tallies;
    const whole = combined(all);
    return {
      ...whole,
      byWay: {
        keptPages: combined([all[Group.KEPT_PAGES]!]),
        tierPassthrough: combined([all[Group.TIER]!, all[Group.TIER_LARGE]!]),
        sourcePassthrough: combined([all[Group.SOURCE]!, all[Group.SOURCE_LARGE]!]),
      },
    };
  }
}

function combined(tallies: readonly Tally[]): HiddenWay {
  let opens = 0;
  let sampledOpens = 0;
  let sizeBytes = 0;
  let unknownOpens = 0;
  let unknownBytes = 0;
  const reads = { total: 0, variance: 0 };
  const bytes = { total: 0, variance: 0 };
  for (const tally of tallies) {
    opens += tally.opens;
    sampledOpens += tally.sampledOpens;
    sizeBytes += tally.sizeBytes;
    const estimate = tally.estimate();
    if (estimate === undefined) {
      unknownOpens += tally.opens;
      unknownBytes += tally.sizeBytes;
      continue;
    }
    reads.total += estimate.reads.total;
    reads.variance += estimate.reads.variance;
    bytes.total += estimate.bytes.total;
    bytes.variance += estimate.bytes.variance;
  }
  const known = unknownOpens <= LEFT_OUT_MOST * opens && unknownBytes <= LEFT_OUT_MOST * sizeBytes;
  const told = (value: number): number | null => (known ? Math.round(value) : null);
  return {
    opens,
    reads: told(reads.total),
    readsError: told(Math.sqrt(reads.variance)),
    bytes: told(bytes.total),
    bytesError: told(Math.sqrt(bytes.variance)),
    sampledOpens,
  };
}
