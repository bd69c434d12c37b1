/**
 * What is read without the daemon seeing it, made out from opens of the same kind that it does see (samples).
 *
 * For each group of opens: the reads and bytes of an open are taken as a straight line over the size of the file, fitted to
 * the samples, and applied to the hidden opens, whose sizes are known. Readers of whole files lie on such a line exactly,
 * whether they read in one call or in pieces; readers of parts scatter around it. Samples drawn less often weigh more.
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

/** `reads` counts calls that brought bytes, one for each MiB of a larger call. Null: too few samples, or none are taken. */
export interface HiddenWay {
  opens: number;
  reads: number | null;
  bytes: number | null;
  /** Opens that would have been hidden too and were served by the daemon instead; their reads are in `reads.count`. */
  sampledOpens: number;
}

export interface HiddenSnapshot {
  /** Null: the kernel opens files by itself (`ro,immutable`), and nothing is known of it. */
  opens: number | null;
  reads: number | null;
  bytes: number | null;
  sampledOpens: number;
  byWay: { keptPages: HiddenWay; tierPassthrough: HiddenWay; sourcePassthrough: HiddenWay };
}

/** Sums of one group. */
class Tally {
  /** Hidden opens, and the bytes of their files. */
  opens = 0;
  sizeBytes = 0;
  /** Of these opens, what the daemon served after all (pages that the kernel had dropped). */
  seenReads = 0;
  seenBytes = 0;
  sampledOpens = 0;
  /** Of samples that were closed; w: weight, x: size, r: reads, b: bytes. */
  samples = 0;
  w = 0;
  wx = 0;
  wxx = 0;
  wr = 0;
  wxr = 0;
  wb = 0;
  wxb = 0;

  add({ weight, sizeBytes, reads, bytes }: Sample): void {
    const wx = weight * sizeBytes;
    this.samples++;
    this.w += weight;
    this.wx += wx;
    this.wxx += wx * sizeBytes;
    this.wr += weight * reads;
    this.wxr += wx * reads;
    this.wb += weight * bytes;
    this.wxb += wx * bytes;
  }

  /** What the hidden opens come to of something whose weighted sums over the samples are given. */
  project(wy: number, wxy: number): number {
    const { w, opens } = this;
    const meanX = this.wx / w;
    const meanY = wy / w;
    const varianceX = this.wxx / w - meanX ** 2;
    const slope = varianceX > 1e-9 * meanX ** 2 ? (wxy / w - meanX * meanY) / varianceX : 0;
    return Math.max(0, opens * (meanY + slope * (this.sizeBytes / opens - meanX)));
  }

  estimate(): { reads: number; bytes: number } | undefined {
    if (this.opens === 0) return { reads: 0, bytes: 0 };
    if (this.samples < SAMPLES_LEAST) return undefined;
    const reads = this.project(this.wr, this.wxr);
    const bytes = this.project(this.wb, this.wxb);
    // READs of dropped pages are of another size than the reader's calls: their share of the bytes is what was seen.
    const hidden = bytes === 0 ? 0 : Math.max(0, 1 - this.seenBytes / bytes);
    return { reads: reads * hidden, bytes: bytes * hidden };
  }
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
  const way: HiddenWay = { opens: 0, reads: 0, bytes: 0, sampledOpens: 0 };
  let sizeBytes = 0;
  let unknownOpens = 0;
  let unknownBytes = 0;
  let reads = 0;
  let bytes = 0;
  for (const tally of tallies) {
    way.opens += tally.opens;
    way.sampledOpens += tally.sampledOpens;
    sizeBytes += tally.sizeBytes;
    const estimate = tally.estimate();
    if (estimate === undefined) {
      unknownOpens += tally.opens;
      unknownBytes += tally.sizeBytes;
    } else {
      reads += estimate.reads;
      bytes += estimate.bytes;
    }
  }
  const known = unknownOpens <= LEFT_OUT_MOST * way.opens && unknownBytes <= LEFT_OUT_MOST * sizeBytes;
  way.reads = known ? Math.round(reads) : null;
  way.bytes = known ? Math.round(bytes) : null;
  return way;
}
