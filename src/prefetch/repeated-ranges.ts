/**
 * Large files of which the cache cannot hold all: how the ranges of each are read, from pass to pass (range-pass.ts). Of a file
 * that it can hold nothing is noted: all of it is there from the second pass on.
 */
import { LRUCache } from 'lru-cache';
import type { PrefetchHost } from './host.ts';
import { directoryOf, type Orders, type ReadFile, WHOLE_FILE_BYTES } from './order.ts';
import { RangePass } from './range-pass.ts';

/** Files at once; of more, the one that was read longest ago is forgotten. */
const FILES_MOST = 16;
/** Ranges of all of them, some 32 bytes of memory each: the same. A file that has more by itself is not followed. */
const RANGES_MOST = 2_097_152;
/** Found since it was looked at whether there are too many. */
const RANGES_BETWEEN = 1024;

export interface RepeatedRangesParts {
  host: Pick<PrefetchHost, 'capacityBytes' | 'freeBytes'>;
  orders: Orders;
  /** Ranges are brought although their order is not known. */
  unseen: boolean;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
  rangesMost?: number;
}

/** One that may be there as a whole. */
interface RangedFile extends ReadFile {
  readonly whole?: boolean;
}

/** A file that is read in the order of the pass before, as far as can be told. */
export interface RangesSnapshot {
  path: string;
  ranges: number;
  repeats: boolean;
}

export class RepeatedRanges {
  readonly #parts: RepeatedRangesParts;
  readonly #rangesMost: number;
  /** By fileKey: what was forgotten and is looked up anew goes on. */
  readonly #passes: LRUCache<string, RangePass>;
  readonly #tooLarge = new LRUCache<string, true>({ max: FILES_MOST });

  constructor(parts: RepeatedRangesParts) {
    this.#parts = parts;
    this.#rangesMost = parts.rangesMost ?? RANGES_MOST;
    this.#passes = new LRUCache({ max: FILES_MOST, dispose: (pass) => pass.stop() });
  }

  /** A READ of a file. */
  read(file: RangedFile, reader: object, offset: number, size: number): void {
    const pass = this.#passOf(file);
    if (pass === undefined) return;
    const before = pass.ranges;
    pass.read(file, reader, offset, size);
    if (pass.ranges > before && pass.ranges % RANGES_BETWEEN === 0) this.#bound(file.fileKey, pass);
  }

  /** A READ was answered; `missed`: the store had to be waited for. */
  answered({ fileKey }: ReadFile, offset: number, missed: boolean): void {
    if (this.#passes.size > 0) this.#passes.peek(fileKey)?.answered(offset, missed);
  }

  snapshot(): RangesSnapshot[] {
    return [...this.#passes.values()].map(({ about: path, ranges, repeats }) => ({ path, ranges, repeats }));
  }

  stop(): void {
    this.#passes.clear();
  }

  #passOf(file: RangedFile): RangePass | undefined {
    const { fileKey, attributes, whole } = file;
    const known = this.#passes.size === 0 ? undefined : this.#passes.get(fileKey);
    if (known?.sizeBytes === attributes.size && !whole) return known;
    if (known !== undefined) this.#passes.delete(fileKey);
    if (whole || this.#fits(attributes.size) || this.#tooLarge.has(fileKey)) return undefined;
    const { orders, announced, unseen } = this.#parts;
    const pass = new RangePass(file, { orders, unseen, announced: () => announced(directoryOf(pass.about)) });
    this.#passes.set(fileKey, pass);
    return pass;
  }

  /** As far as can be told before it was tried: of what is free some may be for what is missing of it. */
  #fits(sizeBytes: number): boolean {
    const { host } = this.#parts;
    return sizeBytes <= host.capacityBytes() && host.freeBytes() >= WHOLE_FILE_BYTES;
  }

  #bound(fileKey: string, { ranges }: RangePass): void {
    if (ranges > this.#rangesMost) {
      this.#passes.delete(fileKey);
      this.#tooLarge.set(fileKey, true);
    }
    for (let sum = this.#ranges; sum > this.#rangesMost; sum = this.#ranges) this.#passes.pop();
  }

  get #ranges(): number {
    let sum = 0;
    for (const { ranges } of this.#passes.values()) sum += ranges;
    return sum;
  }
}
