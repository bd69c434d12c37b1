/**
 * Which opens are served by the daemon although the kernel could serve them alone, so that it is known what such opens
 * read (access/hidden.ts).
 *
 * A sample is opened with DIRECT_IO: every read call comes to the daemon as it was made. Where the kernel maps such files
 * not (before 6.6), and for large files, whose reader could be held up for long by small reads, a sample keeps the page
 * cache: bytes are then counted once an open, and with what is read ahead.
 *
 * The kernel refuses (EIO) passthrough on an inode that has pages mapped in, and a mapping beside passthrough. So a sample
 * counts as an open in the cached mode and is taken only of an inode that nobody has open. Who opens the file while the
 * sample is open must not lose passthrough for it: the inode is superseded, OPEN says ESTALE, the kernel looks the name
 * up again and gets another inode, in passthrough. That file is never sampled again, so that this happens to an opener once
 * only; it is retried once only. An opener that has no name to look up (/proc/self/fd/N) comes back to the old inode and is
 * served there by the daemon.
 *
 * What it costs is bounded twice: one open in `every` (more often at first), and a share of the time that passes.
 */
import { Group, Hidden, type HiddenSnapshot, type Sample } from '../access/hidden.ts';
import type { FileId } from '../store/store.ts';
import type { FileHandle } from './handles.ts';
import type { Inode } from './inode.ts';

/** Files above this keep the page cache when they are sampled, and are sampled only where many are opened. */
const LARGE_BYTES = 16 * 1024 ** 2;
const LARGE_OPENS_LEAST = 64;
/** Opens of a group before the first sample: what is opened a few times and kept open is better left alone. */
const OPENS_LEAST = 8;
/** At first one in EARLY_EVERY is taken, until there are EARLY_SAMPLES; a short run must be estimated too. */
const EARLY_EVERY = 8;
const EARLY_SAMPLES = 128;
/**
 * Of the time that passes, the share that samples may take, times `every`: a hundredth for one in 64. And how much of it
 * may be saved up, in ms, times `every`.
 */
const TIME_SHARE = 0.64;
const TIME_SAVED_MOST_MS = 60 * 64;
/**
 * Between two READs of a sample its reader and the daemon wait for each other and for a processor, or the reader does
 * something else: so much of it is put down to sampling, in ms.
 */
const GAP_MOST_MS = 1;
/** Files remembered as never to be sampled again. */
const SPARED_MOST = 4096;

export class Sampling {
  readonly #every: number;
  readonly #hidden = new Hidden();
  readonly #spared = new Set<FileId>();
  #random = 0x9e3779b9;
  readonly #timeShare: number;
  readonly #savedMostMs: number;
  #leftMs: number;
  #countedAtMs = performance.now();

  /** `every`: one open in so many is a sample; 0: none is. */
  constructor(every: number) {
    this.#every = every;
    this.#timeShare = every > 1 ? TIME_SHARE / every : 1;
    this.#savedMostMs = every > 1 ? TIME_SAVED_MOST_MS / every : Number.POSITIVE_INFINITY;
    this.#leftMs = this.#savedMostMs;
  }

  /** Whether an open that the kernel could serve alone is to be a sample. */
  takes(group: Group, inode: Inode): boolean {
    if (this.#every === 0 || inode.writers > 0 || inode.superseded) return false;
    const opens = this.#hidden.opens(group);
    if (opens < (isLarge(group) ? LARGE_OPENS_LEAST : OPENS_LEAST) && this.#every > 1) return false;
    if (this.#next() >= this.#share(group, opens)) return false;
    if (group !== Group.KEPT_PAGES && this.#spared.has(inode.node.id)) return false;
    return this.#affordable();
  }

  #share(group: Group, opens: number): number {
    const least = 1 / this.#every;
    return isLarge(group) ? least : Math.max(least, Math.min(1 / EARLY_EVERY, EARLY_SAMPLES / opens));
  }

  #affordable(): boolean {
    const nowMs = performance.now();
    this.#leftMs = Math.min(this.#savedMostMs, this.#leftMs + (nowMs - this.#countedAtMs) * this.#timeShare);
    this.#countedAtMs = nowMs;
    return this.#leftMs > 0;
  }

  begin(group: Group, inode: Inode): Sample {
    const { size } = inode.attributes;
    return this.#hidden.sampled(group, size, 1 / this.#share(group, this.#hidden.opens(group)));
  }

  /** An open is left to the kernel. */
  hides(group: Group, inode: Inode): void {
    this.#hidden.opened(group, inode.attributes.size);
  }

  /**
   * The daemon served a READ of a handle that is a sample, or whose pages the kernel should have had. `begunMs`: 0 where
   * nobody takes the time.
   */
  served(handle: FileHandle, count: number, begunMs: number): void {
    if (count <= 0) return;
    const { sample } = handle;
    if (sample === undefined) {
      this.#hidden.seen(handle.hiddenBy, count);
      return;
    }
    sample.reads++;
    sample.bytes += count;
    const nowMs = performance.now();
    const fromMs = begunMs > 0 ? begunMs : nowMs;
    this.#leftMs -= Math.min(fromMs - sample.answeredAtMs, GAP_MOST_MS) + nowMs - fromMs;
    sample.answeredAtMs = nowMs;
  }

  end(sample: Sample): void {
    this.#hidden.closed(sample);
  }

  /** A sample of this file has cost another opener a second attempt. */
  spare(inode: Inode): void {
    if (this.#spared.size >= SPARED_MOST) {
      for (const oldest of this.#spared) {
        this.#spared.delete(oldest);
        break;
      }
    }
    this.#spared.add(inode.node.id);
  }

  snapshot(): HiddenSnapshot {
    return this.#hidden.snapshot();
  }

  /** xorshift: the same opens in the same order are sampled the same way. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return (x >>> 0) / 2 ** 32;
  }
}

export function isLarge(group: Group): boolean {
  return group === Group.TIER_LARGE || group === Group.SOURCE_LARGE;
}

/** The group of an open that would be in passthrough. */
export function passthroughGroup(kind: 'tier' | 'source', sizeBytes: number): Group {
  const large = sizeBytes > LARGE_BYTES;
  if (kind === 'tier') return large ? Group.TIER_LARGE : Group.TIER;
  return large ? Group.SOURCE_LARGE : Group.SOURCE;
}
