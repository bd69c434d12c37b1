/** What a cache was asked for, in order, in columns: a million events take 24 MB and no garbage. */
import { hashOf } from '../../packed/hash.ts';

export const Event = {
  /** A file is opened for reading. */
  OPEN: 0,
  /** Bytes of it are read. */
  READ: 1,
  /** It is written to, or replaced: what is kept of it is of no use. */
  DROP: 2,
} as const;
export type Event = (typeof Event)[keyof typeof Event];

/** One version of one file. */
export interface WorkloadItem {
  readonly id: number;
  /** In bytes. */
  readonly size: number;
  readonly directory: string;
  readonly extension: string;
}

const FIRST = 1024;

export class Workload {
  readonly items: WorkloadItem[] = [];
  count = 0;
  kinds = new Uint8Array(FIRST);
  /** Indexes of `items`. */
  which = new Uint32Array(FIRST);
  offsets = new Float64Array(FIRST);
  lengths = new Uint32Array(FIRST);
  timesMs = new Float64Array(FIRST);

  /** Returns its index. `path`: below the source. */
  addItem(path: string, size: number): number {
    const slash = path.lastIndexOf('/');
    this.items.push({
      id: hashOf(`${path}\0${this.items.length}`),
      size,
      directory: slash < 0 ? '' : path.slice(0, slash),
      extension: extensionOf(path),
    });
    return this.items.length - 1;
  }

  add(kind: Event, item: number, atMs: number, offset = 0, length = 0): void {
    if (this.count === this.kinds.length) this.#grow();
    const at = this.count++;
    this.kinds[at] = kind;
    this.which[at] = item;
    this.offsets[at] = offset;
    this.lengths[at] = length;
    this.timesMs[at] = atMs;
  }

  /** Opened and read from beginning to end, as most files of a data set are. */
  addWhole(item: number, atMs: number): void {
    this.add(Event.OPEN, item, atMs);
    this.add(Event.READ, item, atMs, 0, this.items[item]!.size);
  }

  /** Of each event the number of the next open of its item; Infinity: there is none. */
  nextOpens(): Float64Array {
    const next = new Float64Array(this.count);
    const coming = new Float64Array(this.items.length).fill(Number.POSITIVE_INFINITY);
    for (let at = this.count - 1; at >= 0; at--) {
      const item = this.which[at]!;
      next[at] = coming[item]!;
      if (this.kinds[at] === Event.OPEN) coming[item] = at;
    }
    return next;
  }

  #grow(): void {
    const length = this.kinds.length * 2;
    const grown = <T extends { set(from: T): void }>(larger: T, from: T): T => {
      larger.set(from);
      return larger;
    };
    this.kinds = grown(new Uint8Array(length), this.kinds);
    this.which = grown(new Uint32Array(length), this.which);
    this.offsets = grown(new Float64Array(length), this.offsets);
    this.lengths = grown(new Uint32Array(length), this.lengths);
    this.timesMs = grown(new Float64Array(length), this.timesMs);
  }
}

/** ".jpg" of "a/b.jpg"; '' where a name has none. */
export function extensionOf(path: string): string {
  const dot = path.lastIndexOf('.');
  return dot <= path.lastIndexOf('/') + 1 ? '' : path.slice(dot);
}
