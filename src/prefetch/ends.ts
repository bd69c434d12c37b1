/**
 * Files that are read from their end: formats whose directory of contents is there (parquet, zip and what is made of it). Of a
 * file that is opened the end and the beginning are brought in one go, and both are there of those that come next. Which files
 * these are is told by how the last ones of the directory were read, and before there were any by their names.
 */
import { LRUCache } from 'lru-cache';
import { directoryOf, type Orders, type ReadFile } from './order.ts';
import { PiecesOrder } from './orders/pieces.ts';

const ENDINGS: ReadonlySet<string> = new Set(
  'parquet orc arrow feather lance zip npz pt pth ckpt whl jar'.split(' '), // torch.save makes a zip
);
/** What readers of these ask for first (pyarrow; zipfile: the longest comment), and the most that is brought of an end. */
const END_BYTES = 64 * 1024;
const END_MOST_BYTES = 1024 * 1024;
const BEGINNING_BYTES = 64 * 1024;
/** A first READ that comes so near to the end is of the end. */
const NEAR_BYTES = 4096;
/** READs of a reader that tell what it does first. */
const LOOKED = 4;
/** Files after which those before count half. */
const FADE_FILES = 16;
const DIRECTORIES_MOST = 64;

/** How the files of a directory are begun. */
class Begun {
  files = 0;
  fromEnd = 0;
  /** Of those that were begun at the end, the ones whose beginning came next. */
  thenBeginning = 0;
  endBytes = END_BYTES;

  began(fromEnd: boolean): void {
    this.files++;
    if (fromEnd) this.fromEnd++;
    if (this.files < FADE_FILES) return;
    this.files /= 2;
    this.fromEnd /= 2;
    this.thenBeginning /= 2;
  }

  isFromEnd(path: string): boolean {
    if (this.files > 0) return 2 * this.fromEnd > this.files;
    return ENDINGS.has(path.slice(path.lastIndexOf('.') + 1).toLowerCase());
  }

  get goesToBeginning(): boolean {
    return this.files === 0 || 2 * this.thenBeginning > this.fromEnd;
  }
}

/** One reader of one file. */
export interface Beginner {
  readonly file: ReadFile;
  /** READs so far. */
  readonly reads: number;
}

export class Ends {
  readonly #orders: Orders;
  /** By directory. */
  readonly #begun: LRUCache<string, { begun: Begun; order: PiecesOrder }>;
  /** Readers that began at the end. */
  readonly #fromEnd = new WeakSet<Beginner>();

  constructor(orders: Orders) {
    this.#orders = orders;
    this.#begun = new LRUCache({ max: DIRECTORIES_MOST, dispose: ({ order }) => orders.remove(order) });
  }

  /** A large file is opened, which is not all there. */
  opened(file: ReadFile): void {
    const path = file.path();
    const { size } = file.attributes;
    const { begun, order } = this.#of(directoryOf(path));
    if (!begun.isFromEnd(path)) return;
    order.put({ file, offset: Math.max(0, size - begun.endBytes), length: begun.endBytes });
    if (begun.goesToBeginning) order.put({ file, offset: 0, length: BEGINNING_BYTES });
    this.#orders.wake();
  }

  /** A READ: what a reader does first. */
  read(reader: Beginner, offset: number, length: number): void {
    if (reader.reads > LOOKED) return;
    const { file } = reader;
    const { size } = file.attributes;
    const { begun } = this.#of(directoryOf(file.path()));
    if (reader.reads === 1) {
      const fromEnd = offset > 0 && offset + length >= size - NEAR_BYTES;
      begun.began(fromEnd);
      if (fromEnd) this.#fromEnd.add(reader);
    }
    if (!this.#fromEnd.has(reader)) return;
    if (offset === 0) begun.thenBeginning++;
    else if (size - offset <= END_MOST_BYTES) begun.endBytes = Math.max(begun.endBytes, size - offset);
  }

  /** Of a file that will be opened next, the bytes to bring of its end; 0: it is not read from there. */
  endBytesOf(path: string): number {
    const { begun } = this.#of(directoryOf(path));
    return begun.isFromEnd(path) ? begun.endBytes : 0;
  }

  #of(directory: string): { begun: Begun; order: PiecesOrder } {
    const known = this.#begun.get(directory);
    if (known !== undefined) return known;
    const made = { begun: new Begun(), order: new PiecesOrder('end', directory, this.#orders) };
    this.#begun.set(directory, made);
    return made;
  }

  stop(): void {
    this.#begun.clear();
  }
}
