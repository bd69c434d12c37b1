/** Paths by number, each once, outside the JavaScript heap. One that nobody holds any more is forgotten. */
import { hashOf } from '../../packed/hash.ts';
import { RecordIndex } from '../../packed/record-index.ts';
import { Records } from '../../packed/records.ts';
import { Texts } from '../../packed/texts.ts';

/** Of a record, in words: its text, how many hold it, and its hash. */
const TEXT = 0;
const HOLDERS = 1;
const HASH = 2;
/** What the index takes for one, at most. */
const INDEX_BYTES = 12;

export class Paths {
  readonly #records = new Records(2);
  readonly #texts = new Texts();
  readonly #index = new RecordIndex((record) => this.#word(record, HASH));

  /** Memory taken, in bytes. */
  get bytes(): number {
    return this.#records.bytes + this.#texts.bytes + this.#records.size * INDEX_BYTES;
  }

  /** The number of a path, held once more. A byte string of at most PATH_BYTES_MOST. */
  hold(path: string): number {
    const hash = hashOf(path);
    let number = this.#find(hash, path);
    if (number < 0) {
      number = this.#records.take();
      const { words } = this.#records.page(number);
      const at = this.#at(number);
      words[at + TEXT] = this.#texts.put(path)!;
      words[at + HOLDERS] = 0;
      words[at + HASH] = hash;
      this.#index.add(hash, number);
    }
    this.holdAgain(number);
    return number;
  }

  holdAgain(number: number): void {
    this.#records.page(number).words[this.#at(number) + HOLDERS]!++;
  }

  release(number: number): void {
    const { words } = this.#records.page(number);
    const at = this.#at(number);
    if (--words[at + HOLDERS]! > 0) return;
    this.#index.remove(words[at + HASH]!, number);
    this.#texts.remove(words[at + TEXT]!);
    this.#records.give(number);
  }

  get(number: number): string {
    return this.#texts.get(this.#word(number, TEXT));
  }

  /** -1: nobody holds it. */
  find(path: string): number {
    return this.#find(hashOf(path), path);
  }

  #find(hash: number, path: string): number {
    return this.#index.find(hash, (record) => this.get(record) === path);
  }

  #word(record: number, word: number): number {
    return this.#records.page(record).words[this.#at(record) + word]!;
  }

  #at(record: number): number {
    return this.#records.at(record) * 2;
  }
}
