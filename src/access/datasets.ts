/**
 * Which data sets are read through the mount, and how: from the paths of the files that are opened.
 *
 *   open  -> file (by the hash of its path) -> directory -> data set -> epoch
 *   read  -> file -> directory: counts, waiting, time between reads
 *
 * Counts are kept by directory, so that they stay right when what counts as a data set changes. That is decided again when
 * a good share of a set's files is new, when some files are of no data set yet (a job has come to another), and when somebody
 * asks.
 */
import { O_ACCMODE } from '../sys/open-flags.ts';
import { DataSetBatches } from './data-set-batches.ts';
import { DataSet, EpochCounter } from './data-set-epochs.ts';
import { hashPath, KnownFiles, pathHash } from './data-set-files.ts';
import type { Reader, Readers } from './data-set-readers.ts';
import { findRoots } from './data-set-roots.ts';
import { type Directory, DirectoryTree, enter } from './data-set-tree.ts';
import { type ObservedFile, observed } from './observed.ts';
import { type AccessedFile, type AccessedHandle, From } from './observer.ts';
import { OpenLog } from './open-log.ts';
import type { DataSetSnapshot } from './snapshot.ts';

/** A pause of a reader that is longer is no time between reads: it did something else. */
const PAUSE_MS = 60_000;
/** A thread that opens fewer files than this is not asked whose it is: processes that come for one file are many. */
const OPENS_TO_IDENTIFY = 4;
const FRESH_LEAST = 8;
/** Known directories for each new file before it is decided again, which takes 0.1 to 0.3 us for each directory. */
const DIRECTORIES_EACH = 128;
/** Who read what fades: after one to two of these it does not count any more. */
const FADE_MS = 600_000;
/** With all sets counted, opens between two decisions even if no file is new. */
const OPENS_BETWEEN = 1 << 18;
const JOBS_REMEMBERED = 1024;
/** Of a number in a name, which has to fit in 32 bits. */
const NAME_DIGITS = 9;
const ZERO = '0'.charCodeAt(0);
const SNAPSHOTS_MOST = 64;

export class DataSets {
  readonly #readers: Readers;
  readonly #none = new DataSet(undefined);
  readonly #tree = new DirectoryTree(this.#none);
  readonly #files: KnownFiles;
  readonly #log: OpenLog;
  readonly batches: DataSetBatches;
  #sets = new Map<Directory, DataSet>();
  readonly #processBits = new Map<number, number>();
  readonly #jobBits = new Map<number, number>();
  #opensSince = 0;
  #fadedMs = 0;
  /** Files that were not taken up for want of room. */
  #untaken = 0;

  constructor(readers: Readers, files: KnownFiles = new KnownFiles(), log: OpenLog = new OpenLog()) {
    this.#readers = readers;
    this.#files = files;
    this.#log = log;
    this.batches = new DataSetBatches({ log, readers, files, directories: this.#tree.all });
  }

  opened(handle: AccessedHandle, thread: number, begunMs: number, nowMs: number): void {
    if ((handle.flags & O_ACCMODE) !== 0) return; // what a job writes is not its data set
    this.#open(handle.inode, thread, begunMs, nowMs, true);
  }

  read(handle: AccessedHandle, thread: number, count: number, from: From, begunMs: number, nowMs: number): void {
    if ((handle.flags & O_ACCMODE) !== 0) return;
    const { inode } = handle;
    const known = inode.observed as ObservedFile | undefined;
    // Where the kernel opens files by itself, the first read stands for it.
    const directory = known?.directory ?? this.#open(inode, thread, nowMs, nowMs, false);
    const reader = this.#readers.of(thread, nowMs);
    directory.reads++;
    if (count > 0) directory.readBytes += count;
    if (from === From.TIER) {
      directory.hits++;
      if (count > 0) directory.hitBytes += count;
    }
    directory.waitMs += nowMs - begunMs;
    const between = begunMs - reader.answeredMs;
    if (reader.answeredMs > 0 && between > 0 && between < PAUSE_MS) directory.betweenMs += between;
    reader.answeredMs = nowMs;
    reader.servedMs = nowMs;
  }

  /** The data set that a file which was opened counts to, and the pass it is in; undefined: none. */
  setOf({ observed: file }: AccessedFile): DataSet | undefined {
    const set = (file as ObservedFile | undefined)?.directory?.set;
    return set?.root === undefined ? undefined : set;
  }

  snapshot(): DataSetSnapshot[] {
    this.#decide(performance.now());
    const shown = new Map<DataSet, DataSetSnapshot>();
    for (const set of this.#sets.values()) shown.set(set, this.#empty(set));
    for (const directory of this.#tree.all) {
      const sum = shown.get(directory.set);
      if (sum !== undefined) add(sum, directory);
    }
    const byUse = [...shown].sort(([a], [b]) => b.openedMs - a.openedMs);
    return byUse.slice(0, SNAPSHOTS_MOST).map(([, snapshot]) => snapshot);
  }

  /** `asked`: it was asked for, and not by its first read. */
  #open(inode: AccessedFile, thread: number, begunMs: number, nowMs: number, asked: boolean): Directory {
    const file = observed(inode);
    const isNew = file.directory === undefined && this.#find(file, inode);
    const directory = file.directory!;
    const { set } = directory;
    set.openedMs = nowMs;
    directory.opens++;
    directory.waitMs += nowMs - begunMs;
    if (file.known >= 0) {
      const { size } = inode.attributes;
      if (size !== file.sizeBytes) {
        directory.bytes += this.#files.resize(file.known, size);
        file.sizeBytes = size;
      }
      const before = isNew ? 0 : this.#files.ticket(file.known);
      const ticket = set.epochs.opened(before, isNew);
      if (ticket !== before) this.#files.setTicket(file.known, ticket);
    }
    const reader = this.#readers.of(thread, nowMs);
    if (asked && file.known >= 0) this.#log.opened(thread, file.known, directory.index, reader.pauseMs(begunMs));
    reader.servedMs = nowMs;
    this.#came(reader, directory);
    this.#opensSince++;
    if (isNew) set.fresh++;
    if (this.#isDue(set)) this.#decide(nowMs);
    return directory;
  }

  /**
   * Whether to decide anew what counts as a data set, after an open in this one. Each set is asked by itself: among the files
   * of a set that was read before, however large, those of another job would not be many for long.
   */
  #isDue(set: DataSet): boolean {
    if (this.#opensSince >= OPENS_BETWEEN) return true;
    const share = set === this.#none ? 0 : set.epochs.files >>> 2;
    return set.fresh >= Math.max(FRESH_LEAST, share, this.#tree.all.length / DIRECTORIES_EACH);
  }

  #came(reader: Reader, directory: Directory): void {
    if (reader.directory !== directory) {
      enter(reader.directory, directory);
      reader.directory = directory;
    }
    if (++reader.opens === OPENS_TO_IDENTIFY || (reader.processBit === 0 && reader.opens > OPENS_TO_IDENTIFY)) {
      const { pid, job } = this.#readers.identity(reader);
      reader.processBit = bit(this.#processBits, pid ?? 0);
      reader.jobBit = bit(this.#jobBits, job);
    }
    directory.processes |= reader.processBit;
    directory.jobs |= reader.jobBit;
  }

  /** Finds out where a file is and whether it is known; true: it was not. Once for each inode. */
  #find(file: ObservedFile, inode: AccessedFile): boolean {
    const path = inode.path();
    const slash = path.lastIndexOf('/');
    const directory = this.#tree.of(slash < 0 ? '' : path.slice(0, slash));
    file.directory = directory;
    hashPath(path);
    const { low, high } = pathHash;
    file.known = this.#files.find(low, high);
    if (file.known >= 0) return false;
    const { size } = inode.attributes;
    file.sizeBytes = size;
    file.known = this.#files.add(low, high, size, nameNumber(path, slash + 1));
    directory.files++;
    directory.bytes += size;
    directory.vote(extensionHash(path, slash + 1));
    if (file.known < 0) this.#untaken++;
    return true;
  }

  /** What counts as a data set now. */
  #decide(nowMs: number): void {
    if (this.#opensSince === 0) return;
    this.#opensSince = 0;
    const { all } = this.#tree;
    if (nowMs - this.#fadedMs > FADE_MS) {
      this.#fadedMs = nowMs;
      for (const directory of all) fade(directory);
    }
    const roots = findRoots(all);
    const sets = new Map<Directory, DataSet>();
    const made = new Map<DataSet, Map<DataSet, number>>();
    let alike = { set: this.#none, before: this.#none, files: 0 }; // most directories are of the same set as the one before
    for (const directory of all) {
      const before = directory.set;
      let set = directory.parent?.set ?? this.#none;
      if (roots.has(directory)) {
        set = this.#sets.get(directory) ?? new DataSet(directory);
        sets.set(directory, set);
      }
      directory.set = set;
      if (set !== alike.set || before !== alike.before) {
        count(made, alike);
        alike = { set, before, files: 0 };
      }
      alike.files += directory.files;
    }
    count(made, alike);
    for (const [set, parts] of made) continueSet(set, parts);
    this.#sets = sets;
    this.#none.fresh = 0;
    for (const set of sets.values()) set.fresh = 0;
  }

  #empty(set: DataSet): DataSetSnapshot {
    return {
      path: Buffer.from(set.root?.path ?? '', 'latin1').toString('utf8'),
      files: 0,
      bytes: 0,
      opens: 0,
      reads: 0,
      readBytes: 0,
      hits: 0,
      hitBytes: 0,
      waitSeconds: 0,
      betweenSeconds: 0,
      epoch: set.epochs.epoch,
      epochDone: this.#untaken > 0 ? null : set.epochs.done,
      ...this.batches.of(set),
    };
  }
}

function add(sum: DataSetSnapshot, directory: Directory): void {
  sum.files += directory.files;
  sum.bytes += directory.bytes;
  sum.opens += directory.opens;
  sum.reads += directory.reads;
  sum.readBytes += directory.readBytes;
  sum.hits += directory.hits;
  sum.hitBytes += directory.hitBytes;
  sum.waitSeconds += directory.waitMs / 1000;
  sum.betweenSeconds += directory.betweenMs / 1000;
}

/** Of a set so many files, which were of another before. */
interface Moved {
  set: DataSet;
  before: DataSet;
  files: number;
}

function count(made: Map<DataSet, Map<DataSet, number>>, { set, before, files }: Moved): void {
  if (files === 0) return;
  const parts = made.get(set) ?? new Map<DataSet, number>();
  made.set(set, parts);
  parts.set(before, (parts.get(before) ?? 0) + files);
}

/** Where a set is still made of the same directories, there is nothing to do. */
function continueSet(set: DataSet, made: Map<DataSet, number>): void {
  if (made.size === 1 && made.has(set)) return;
  const parts: { counter: EpochCounter; files: number }[] = [];
  for (const [before, files] of made) {
    parts.push({ counter: before.epochs, files });
    set.openedMs = Math.max(set.openedMs, before.openedMs);
  }
  const counter = new EpochCounter();
  counter.continueFrom(parts);
  set.epochs = counter;
}

function fade(directory: Directory): void {
  directory.olderProcesses = directory.processes;
  directory.olderJobs = directory.jobs;
  directory.processes = 0;
  directory.jobs = 0;
}

/** One of 32 bits for each number, in the order they come. */
function bit(bits: Map<number, number>, number: number): number {
  let known = bits.get(number);
  if (known === undefined) {
    if (bits.size >= JOBS_REMEMBERED) bits.clear();
    known = 1 << (bits.size & 31);
    bits.set(number, known);
  }
  return known;
}

/** The last number in a name before its extension, of nine digits at most; 0: it has none. */
function nameNumber(path: string, nameAt: number): number {
  const dot = path.lastIndexOf('.');
  let end = dot > nameAt ? dot : path.length; // not that of .mp4
  while (end > nameAt && !isDigit(path, end - 1)) end--;
  let number = 0;
  let value = 1;
  for (let at = end - 1; at >= nameAt && isDigit(path, at) && value < 10 ** NAME_DIGITS; at--) {
    number += value * (path.charCodeAt(at) - ZERO);
    value *= 10;
  }
  return number;
}

function isDigit(path: string, at: number): boolean {
  const digit = path.charCodeAt(at) - ZERO;
  return digit >= 0 && digit <= 9;
}

/** Of a name's extension, which stands for what kind of file it is; 0: none. */
function extensionHash(path: string, nameAt: number): number {
  const dot = path.lastIndexOf('.');
  if (dot <= nameAt) return 0;
  let hash = 0;
  for (let i = dot + 1; i < path.length; i++) hash = (Math.imul(hash, 31) + (path.charCodeAt(i) | 0x20)) | 0;
  return hash;
}
