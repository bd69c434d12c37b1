/** How many workers read a data set, and how many files are a batch: from the opens that are remembered, when somebody asks. */
import { performance } from '../sys/clock.ts';
import { type DataSet, EpochCounter } from './data-set-epochs.ts';
import type { KnownFiles } from './data-set-files.ts';
import type { Readers } from './data-set-readers.ts';
import type { Directory } from './data-set-tree.ts';
import { type Batches, batchesOf, NO_BATCHES, type OpenSequence } from './detectors/batch.ts';
import type { OpenLog } from './open-log.ts';

/** It is looked at again after so many more opens, of those that are remembered; */
const AGAIN_SHARE = 1 / 4;
/** and when so many times as long has passed as that took: requests wait meanwhile. */
const AGAIN_TIMES = 50;

/** Of a reader's steps inside of a directory those that go up, where it reads in order; half do by chance. */
const UP_SHARE = 0.75;
/** Of all its steps, those. */
const IN_DIRECTORY_SHARE = 0.4;

interface Parts {
  log: OpenLog;
  readers: Readers;
  files: KnownFiles;
  /** All that are known, each at its index. */
  directories: readonly Directory[];
}

/** What the log has of one data set. */
class SetOpens {
  readonly readers: number[] = [];
  readonly files: number[] = [];
  readonly directories: number[] = [];
  readonly pausesMs: number[] = [];
}

export class DataSetBatches {
  readonly #parts: Parts;
  #found = new Map<DataSet, Batches>();
  #foundAt = 0;
  #againMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  of(set: DataSet): Batches {
    const { count } = this.#parts.log;
    const more = count - this.#foundAt;
    const again = more >= this.#parts.log.held * AGAIN_SHARE && performance.now() >= this.#againMs;
    if (more > 0 && (again || !this.#found.has(set))) this.#lookAgain(count);
    const found = this.#found.get(set) ?? NO_BATCHES; // none of its opens is remembered
    this.#found.set(set, found);
    return found;
  }

  #lookAgain(count: number): void {
    const beganMs = performance.now();
    this.#found = this.#find();
    this.#foundAt = count;
    const endedMs = performance.now();
    this.#againMs = endedMs + AGAIN_TIMES * (endedMs - beganMs);
  }

  #find(): Map<DataSet, Batches> {
    const { log, directories, readers } = this.#parts;
    const opens = new Map<DataSet, SetOpens>();
    log.each((thread, file, directory, pauseMs) => {
      const { set } = directories[directory]!;
      if (set.root === undefined) return;
      let found = opens.get(set);
      if (found === undefined) {
        found = new SetOpens();
        opens.set(set, found);
      }
      found.readers.push(readers.processOf(thread));
      found.files.push(file);
      found.directories.push(directory);
      found.pausesMs.push(pauseMs);
    });
    return new Map([...opens].map(([set, found]) => [set, batchesOf(this.#sequenceOf(found))]));
  }

  #sequenceOf(opens: SetOpens): OpenSequence {
    const { readers, files, directories, pausesMs } = opens;
    return {
      count: files.length,
      readers: new Int32Array(readers),
      places: this.#ascends(opens) ? orders.map((keyOf) => this.#places(opens, keyOf)) : [],
      directories: new Int32Array(directories),
      pausesMs: new Float64Array(pausesMs),
      passes: passesOf(files),
      fromStart: !this.#parts.log.forgets,
    };
  }

  /** Whether its readers go through directories by the numbers in names, by and large: what does not need not be sorted. */
  #ascends({ readers, files, directories }: SetOpens): boolean {
    const last = new Map<number, number>();
    let inDirectory = 0;
    let up = 0;
    for (let at = 0; at < readers.length; at++) {
      const reader = readers[at]!;
      const before = last.get(reader);
      last.set(reader, at);
      if (before === undefined || directories[before] !== directories[at]) continue;
      inDirectory++;
      if (this.#parts.files.nameNumber(files[at]!) > this.#parts.files.nameNumber(files[before]!)) up++;
    }
    return up >= inDirectory * UP_SHARE && up >= readers.length * IN_DIRECTORY_SHARE;
  }

  /** Of each open the place of its file among all that were opened, by directory and by the number in its name. */
  #places({ files, directories }: SetOpens, keyOf: (number: number) => number): Int32Array {
    const order = [...new Set(directories)].sort((a, b) => compare(this.#path(a), this.#path(b)));
    const rank = new Map(order.map((directory, at) => [directory, at]));
    const keys = new Float64Array(files.length);
    for (let at = 0; at < keys.length; at++) {
      keys[at] = rank.get(directories[at]!)! * KEYS + keyOf(this.#parts.files.nameNumber(files[at]!));
    }
    return ranks(keys);
  }

  #path(directory: number): string {
    return this.#parts.directories[directory]!.path;
  }
}

/** Above all keys of names. */
const KEYS = 2 * 10 ** 10;

function numerically(number: number): number {
  return number;
}

/** As names without leading zeros sort: 1, 10, 11, 2. */
function alphabetically(number: number): number {
  let digits = 1;
  let shifted = number * 10 ** 9;
  for (let least = 10; least <= number; least *= 10) {
    digits++;
    shifted /= 10;
  }
  return shifted + digits / 10;
}

const orders = [numerically, alphabetically];

/** Of each key the place among all that differ. */
function ranks(keys: Float64Array): Int32Array {
  const sorted = Float64Array.from(keys).sort();
  let differ = 0;
  for (const key of sorted) if (differ === 0 || key !== sorted[differ - 1]) sorted[differ++] = key;
  const found = new Int32Array(keys.length);
  for (let at = 0; at < keys.length; at++) found[at] = lowerBound(sorted, differ, keys[at]!);
  return found;
}

/** The first of the `count` sorted numbers that is not less. */
function lowerBound(sorted: Float64Array, count: number, wanted: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** Where passes begin: positions of the first open of each. */
export function passesOf(files: readonly number[]): number[] {
  const counter = new EpochCounter();
  const tickets = new Map<number, number>();
  /** By ticket, which open it is of. */
  const counted = [0];
  const passes = [0];
  for (let at = 0; at < files.length; at++) {
    const file = files[at]!;
    const before = tickets.get(file);
    const { epoch } = counter;
    const ticket = counter.opened(before ?? 0, before === undefined);
    if (ticket === before) continue;
    tickets.set(file, ticket);
    counted[ticket] = at;
    if (epoch > 0 && counter.epoch > epoch) passes.push(beginOf(counted, counter.begun));
  }
  return passes;
}

/** A pass begins right behind the last open of the one before: some of its files count to neither, since it had just read them. */
function beginOf(counted: readonly number[], begun: number): number {
  return counted[begun]! + 1;
}
