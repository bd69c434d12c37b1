/**
 * The files of a data set, by number: what a pass over it reads. About 50 bytes a file, outside the JavaScript heap.
 * Paths are byte strings (latin1) below the mount's root.
 */
import { hashOf } from '../packed/hash.ts';
import { RecordIndex } from '../packed/record-index.ts';
import { Texts } from '../packed/texts.ts';

export const CATALOGUE_MOST = 2_097_152;
const FIRST_ROOM = 1024;

/** What is noted of an item. */
export const Noted = {
  /** It is in the cache, as far as is known. */
  CACHED: 1,
  /** It was brought ahead, and has not been read since. */
  UNREAD: 2,
} as const;

export class Catalogue {
  readonly #directories: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #names = new Texts();
  readonly #index = new RecordIndex((item) => this.#hashes[item]!);
  #hashes = new Uint32Array(FIRST_ROOM);
  #directoryOf = new Uint32Array(FIRST_ROOM);
  #nameOf = new Float64Array(FIRST_ROOM);
  #seenIn = new Uint16Array(FIRST_ROOM);
  #givenIn = new Uint16Array(FIRST_ROOM);
  #noted = new Uint8Array(FIRST_ROOM);
  size = 0;

  get full(): boolean {
    return this.size >= CATALOGUE_MOST;
  }

  /** A number for a directory, for the files that are added in it. */
  addDirectory(path: string): number {
    let number = this.#numbers.get(path);
    if (number === undefined) {
      number = this.#directories.push(path) - 1;
      this.#numbers.set(path, number);
    }
    return number;
  }

  /** The number of the file; as it was when it is known already. -1: it cannot be taken. */
  add(directory: number, name: string): number {
    const path = joined(this.#directories[directory]!, name);
    const known = this.find(path);
    if (known >= 0 || this.full) return known;
    const text = this.#names.put(name);
    if (text === undefined) return -1;
    if (this.size === this.#hashes.length) this.#grow();
    const item = this.size++;
    this.#hashes[item] = hashOf(path);
    this.#directoryOf[item] = directory;
    this.#nameOf[item] = text;
    this.#index.add(this.#hashes[item]!, item);
    return item;
  }

  /** -1: it is not known. */
  find(path: string): number {
    return this.#index.find(hashOf(path), (item) => this.path(item) === path);
  }

  path(item: number): string {
    return joined(this.#directories[this.#directoryOf[item]!]!, this.#names.get(this.#nameOf[item]!));
  }

  /** Whether a pass (from 1) was the last that it was read in. */
  seenIn(item: number, pass: number): boolean {
    return this.#seenIn[item] === stampOf(pass);
  }

  see(item: number, pass: number): void {
    this.#seenIn[item] = stampOf(pass);
  }

  has(item: number, bits: number): boolean {
    return (this.#noted[item]! & bits) !== 0;
  }

  note(item: number, bits: number): void {
    this.#noted[item]! |= bits;
  }

  clear(item: number, bits: number): void {
    this.#noted[item]! &= ~bits;
  }

  /** As `seenIn`, of handing it out. */
  givenIn(item: number, pass: number): boolean {
    return this.#givenIn[item] === stampOf(pass);
  }

  give(item: number, pass: number): void {
    this.#givenIn[item] = stampOf(pass);
  }

  #grow(): void {
    const room = this.size * 2;
    this.#hashes = grown(this.#hashes, new Uint32Array(room));
    this.#directoryOf = grown(this.#directoryOf, new Uint32Array(room));
    this.#nameOf = grown(this.#nameOf, new Float64Array(room));
    this.#givenIn = grown(this.#givenIn, new Uint16Array(room));
    this.#seenIn = grown(this.#seenIn, new Uint16Array(room));
    this.#noted = grown(this.#noted, new Uint8Array(room));
  }
}

/** A pass in 16 bits, of which 0 is none. */
function stampOf(pass: number): number {
  return 1 + ((pass - 1) % 0xffff);
}

/** `after`, with what is in `before`. */
export function grown<T extends Uint32Array | Float64Array | Uint16Array | Uint8Array>(before: T, after: T): T {
  after.set(before);
  return after;
}

function joined(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
