/**
 * What the opens of a recorded trace say: which data sets were read in passes, whether a pass went in the order of the one
 * before, and where large files were taken in the order of their names. Everything is known when it is asked, so that passes
 * are counted over the data sets as they were at the end.
 */
import { BEGUN_MOST, type Begun, NameSequences, stepOf } from '../prefetch/name-sequence.ts';
import { directoryOf, WHOLE_FILE_BYTES } from '../prefetch/order.ts';
import { Repetition } from '../prefetch/repetition.ts';
import { type DataSet, EpochCounter } from './data-set-epochs.ts';
import { KnownFiles } from './data-set-files.ts';
import type { Readers } from './data-set-readers.ts';
import { DataSets } from './datasets.ts';
import type { Batches } from './detectors/batch.ts';
import type { AccessedFile, AccessedHandle, From } from './observer.ts';
import { OpenLog } from './open-log.ts';

export interface ClassifiedDataSet extends Batches {
  /** Below the mount's root, '' for the root; a byte string. */
  path: string;
  /** Files that were opened, each once, and their bytes. */
  files: number;
  bytes: number;
  opens: number;
  /** Processes that opened its files: the workers of a loader. */
  readers: number;
  /** Passes begun, and the share of its files that the last one has read. */
  passes: number;
  passDone: number;
  /** Whether passes go in the order of the one before; null: there are too few files or passes to tell. */
  repeats: boolean | null;
}

/** A directory whose large files are begun in the order of their names. */
export interface ClassifiedSequence {
  path: string;
  /** From one file of a reader to its next; where W workers share them, W; negative: backward. */
  step: number;
  readers: number;
  /** Files begun by these readers, and the share of them that lay a step further. */
  files: number;
  share: number;
}

/** Opens that batches are found from, the last of them: hours of most jobs. */
const LOGGED_MOST = 1 << 20;
/** A directory goes by name when most of what its readers begin does. */
const SHARE_LEAST = 0.5;

export class OpenOrders {
  readonly #dataSets: DataSets;
  readonly #files: AccessedFile[] = [];
  readonly #numbers = new Map<AccessedFile, number>();
  /** Numbers of files, as they were opened, and by whom. */
  readonly #opens: number[] = [];
  readonly #openedBy: number[] = [];
  /** By directory and process. */
  readonly #begun = new Map<string, Map<number, Begun[]>>();

  constructor(readers: Readers) {
    this.#dataSets = new DataSets(readers, new KnownFiles(), new OpenLog(LOGGED_MOST));
  }

  /** A file is opened to be read. `process`: of the thread, or the thread where that cannot be seen. Times in monotonic ms. */
  opened(handle: AccessedHandle, thread: number, process: number, begunMs: number, atMs: number): void {
    const { inode } = handle;
    this.#dataSets.opened(handle, thread, begunMs, atMs);
    let number = this.#numbers.get(inode);
    if (number === undefined) {
      number = this.#files.push(inode) - 1;
      this.#numbers.set(inode, number);
    }
    this.#opens.push(number);
    this.#openedBy.push(process);
    if (inode.attributes.size <= WHOLE_FILE_BYTES) return;
    const path = inode.path();
    const directory = directoryOf(path);
    const readers = this.#begun.get(directory) ?? new Map<number, Begun[]>();
    this.#begun.set(directory, readers);
    const begun = readers.get(process) ?? [];
    readers.set(process, begun);
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (begun.at(-1)?.name !== name) begun.push({ name, thread });
  }

  read(handle: AccessedHandle, thread: number, count: number, from: From, begunMs: number, atMs: number): void {
    this.#dataSets.read(handle, thread, count, from, begunMs, atMs);
  }

  /** Those with the most opens first. */
  dataSets(): ClassifiedDataSet[] {
    this.#dataSets.snapshot(); // what is a data set is decided anew
    const passes = new Map<DataSet, Passes>();
    for (const [at, number] of this.#opens.entries()) {
      const file = this.#files[number]!;
      const set = this.#dataSets.setOf(file);
      if (set === undefined) continue;
      const found = passes.get(set) ?? new Passes();
      passes.set(set, found);
      found.opened(number, file.attributes.size, this.#openedBy[at]!);
    }
    const sets = [...passes].map(([set, found]) => ({
      path: set.path,
      ...found.summary(),
      ...this.#dataSets.batches.of(set),
    }));
    return sets.sort((a, b) => b.opens - a.opens);
  }

  /** Those with the most files first. */
  async sequences(): Promise<ClassifiedSequence[]> {
    const found: ClassifiedSequence[] = [];
    for (const [path, readers] of this.#begun) {
      const names = await NameSequences.of([...new Set([...readers.values()].flat().map(({ name }) => name))]);
      const sequence = sequenceOf(names, [...readers.values()]);
      if (sequence !== undefined) found.push({ path, ...sequence });
    }
    return found.sort((a, b) => b.files - a.files);
  }
}

/** One data set, as its opens come. */
class Passes {
  readonly #counter = new EpochCounter();
  readonly #tickets = new Map<number, number>();
  readonly #order = new Repetition();
  readonly #readers = new Set<number>();
  #opens = 0;
  #bytes = 0;
  #repeats: boolean | null = null;

  opened(file: number, sizeBytes: number, process: number): void {
    this.#opens++;
    this.#readers.add(process);
    const before = this.#tickets.get(file);
    if (before === undefined) this.#bytes += sizeBytes;
    const pass = this.#counter.epoch;
    const ticket = this.#counter.opened(before ?? 0, before === undefined);
    this.#tickets.set(file, ticket);
    if (ticket === before) return; // it was counted in this pass
    if (pass > 0 && this.#counter.epoch !== pass) {
      this.#judge();
      this.#order.begin();
    }
    this.#order.read(file);
  }

  summary(): Omit<ClassifiedDataSet, 'path' | keyof Batches> {
    this.#judge();
    const { epoch, done, files } = this.#counter;
    return {
      files,
      bytes: this.#bytes,
      opens: this.#opens,
      readers: this.#readers.size,
      passes: epoch,
      passDone: done ?? 0,
      repeats: this.#repeats,
    };
  }

  /** The pass that was seen last decides, when enough of it was. */
  #judge(): void {
    if (this.#order.tells) this.#repeats = this.#order.repeats;
  }
}

/** Undefined: its files are not taken by their names. */
function sequenceOf(names: NameSequences, readers: readonly Begun[][]): Omit<ClassifiedSequence, 'path'> | undefined {
  const steps = new Map<number, number>();
  let files = 0;
  let step = 0;
  for (const begun of readers) {
    for (let at = 1; at < begun.length; at++) {
      files++;
      const { positions, threads } = names.progress(begun.slice(Math.max(0, at + 1 - BEGUN_MOST), at + 1));
      const found = stepOf(positions, threads, step, readers.length);
      if (found === 0) continue;
      step = found;
      steps.set(found, (steps.get(found) ?? 0) + 1);
    }
  }
  const [most] = [...steps].sort(([, a], [, b]) => b - a);
  if (most === undefined || most[1] < SHARE_LEAST * files) return undefined;
  return { step: most[0], readers: readers.length, files: files + readers.length, share: most[1] / files };
}
