/**
 * Large files that are read in the order of their names (shards, parts of a model): the beginning of those that come next, so
 * that no reader waits where a file begins. What follows there is a matter of its readahead (orders/in-file.ts).
 *
 *   a reader begins a file -> which of its directory's names (name-sequence.ts) -> its step -> orders/pieces.ts
 */
import { LRUCache } from 'lru-cache';
import { failed } from '../sys/errno.ts';
import type { Ends } from './ends.ts';
import type { Names, PrefetchHost } from './host.ts';
import { BEGUN_MOST, type Begun, NameSequences, stepOf } from './name-sequence.ts';
import { directoryOf, type Orders, type ReadFile } from './order.ts';
import { PiecesOrder } from './orders/pieces.ts';

/** Directories that are followed, and readers in each; of more, those that rested longest are forgotten. */
const DIRECTORIES_MOST = 64;
const READERS_MOST = 64;
/** A directory of more names is not followed: to sort them takes the daemon's one thread. */
const NAMES_MOST = 16_384;
/** Ahead of a reader, in files, however small they are. */
const FILES_MOST = 16;
/** Of what may be ahead of a reader, what is brought of one file that it has not begun: time enough for the rest. */
const BEGINNING_SHARE = 1 / 2;
/** A name that is not known may be new: listed again at most once in so many ms. */
const AGAIN_MS = 30_000;

/** A process, as it goes through one directory. */
interface Reader {
  readonly begun: Begun[];
  step: number;
  /** The position up to which files were given. */
  given: number | undefined;
}

interface Directory {
  readonly path: string;
  readonly readers: LRUCache<number, Reader>;
  readonly order: PiecesOrder;
  names: NameSequences | undefined;
  listing: boolean;
  listedMs: number;
  /** As its readers step. */
  step: number;
}

/** Files that are read in the order of their names. */
export interface SequenceSnapshot {
  /** Their directory. */
  path: string;
  /** From one file of a reader to its next; where W workers share them, W. */
  step: number;
  readers: number;
}

export interface NextFilesParts {
  host: PrefetchHost;
  orders: Orders;
  /** Which files are begun at their end. */
  ends: Ends;
  /** What may be ahead of one reader, in bytes. */
  aheadBytes: number;
  /** Whether a job has said what it will read below a directory. */
  announced: (path: string) => boolean;
}

export class NextFiles {
  readonly #parts: NextFilesParts;
  /** By path. */
  readonly #directories: LRUCache<string, Directory>;
  #stopped = false;

  constructor(parts: NextFilesParts) {
    this.#parts = parts;
    this.#directories = new LRUCache({ max: DIRECTORIES_MOST, dispose: ({ order }) => parts.orders.remove(order) });
  }

  /** A process begins to read a large file, by one of its threads. */
  began(file: ReadFile, process: number, thread: number): void {
    const path = file.path();
    const directory = this.#directory(directoryOf(path));
    const reader = readerOf(directory, process);
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (reader.begun.at(-1)?.name === name) return;
    reader.begun.push({ name, thread });
    if (reader.begun.length > BEGUN_MOST) reader.begun.shift();
    const { names } = directory;
    if (names !== undefined && names.positionOf(name) !== undefined) {
      this.#follow(directory, names, reader, file.attributes.size);
    } else if (reader.begun.length > 1 || directory.step !== 0) {
      void this.#list(directory, reader, file.attributes.size);
    }
  }

  snapshot(): SequenceSnapshot[] {
    const followed = [...this.#directories.values()].filter(({ step }) => step !== 0);
    return followed.map(({ path, step, readers }) => ({ path, step, readers: readers.size }));
  }

  stop(): void {
    this.#stopped = true;
    this.#directories.clear();
  }

  #directory(path: string): Directory {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const directory: Directory = {
      ...{ path, names: undefined, listing: false, listedMs: Number.NEGATIVE_INFINITY, step: 0 },
      readers: new LRUCache({ max: READERS_MOST }),
      order: new PiecesOrder('next-file', path, this.#parts.orders),
    };
    this.#directories.set(path, directory);
    return directory;
  }

  async #list(directory: Directory, reader: Reader, sizeBytes: number): Promise<void> {
    const { host } = this.#parts;
    if (directory.listing || host.nowMs() - directory.listedMs < AGAIN_MS) return;
    directory.listing = true;
    directory.listedMs = host.nowMs();
    try {
      const listed = await host.list(directory.path);
      if (failed(listed) || this.#stopped) return;
      const { files } = listed as Names;
      if (files.length > NAMES_MOST) {
        directory.listedMs = Number.POSITIVE_INFINITY; // and not again
        return;
      }
      directory.names = await NameSequences.of(files);
      if (this.#stopped || this.#directories.peek(directory.path) !== directory) return; // it was forgotten meanwhile
      this.#follow(directory, directory.names, reader, sizeBytes);
    } catch (error) {
      host.defect(error);
    } finally {
      directory.listing = false;
    }
  }

  /** Orders what comes after what the reader began last, which had so many bytes. */
  #follow(directory: Directory, names: NameSequences, reader: Reader, sizeBytes: number): void {
    const last = reader.begun.at(-1)!.name;
    const { positions, threads } = names.progress(reader.begun);
    const step = stepOf(positions, threads, directory.step, directory.readers.size);
    if (step !== reader.step) reader.given = undefined;
    reader.step = step;
    if (step !== 0 || positions.length > 2) directory.step = step;
    if (step === 0 || this.#parts.announced(directory.path)) return;
    const smaller = Math.ceil(this.#parts.aheadBytes / Math.max(1, sizeBytes));
    const files = Math.min(FILES_MOST, Math.max(threads, smaller));
    this.#give(directory, names.like(last), reader, positions.slice(-threads), files);
  }

  /** `at`: where the reader's threads are, the newest last. */
  #give(directory: Directory, names: readonly string[], reader: Reader, at: readonly number[], files: number): void {
    const { step } = reader;
    const ahead = (one: number, other: number): boolean => (one - other) * step > 0;
    const newest = at.at(-1)!;
    // It is where it was before: it has begun anew.
    if (reader.given !== undefined && Math.abs(reader.given - newest) > 2 * files * Math.abs(step)) {
      reader.given = undefined;
    }
    const furthest = at.reduce((most, one) => (ahead(one, most) ? one : most), newest);
    for (let nth = 1; nth <= files; nth++) {
      const position = furthest + nth * step;
      const name = names[position];
      if (name === undefined) break;
      if (reader.given !== undefined && !ahead(position, reader.given)) continue;
      reader.given = position;
      this.#put(directory, directory.path === '' ? name : `${directory.path}/${name}`);
    }
    this.#parts.orders.wake();
  }

  #put({ order }: Directory, file: string): void {
    const { aheadBytes, ends } = this.#parts;
    const endBytes = ends.endBytesOf(file);
    if (endBytes > 0) order.put({ file, offset: -endBytes, length: endBytes });
    order.put({ file, offset: 0, length: Math.ceil(aheadBytes * BEGINNING_SHARE) });
  }
}

function readerOf({ readers }: Directory, process: number): Reader {
  const known = readers.get(process);
  if (known !== undefined) return known;
  const reader: Reader = { begun: [], step: 0, given: undefined };
  readers.set(process, reader);
  return reader;
}
