/**
 * Where names are in a list of entries. Open addressing with linear probing over the places; 5 to 11 bytes a name. A Map would
 * have V8 enter each name in its table of strings first, which is looked through whenever garbage is collected: with a million
 * names 15 ms each time, also when they are long gone.
 */
import { hashOf } from '../packed/hash.ts';

const LEAST = 16;

interface Named {
  readonly name: string;
}

export class NameIndex {
  readonly #entries: readonly Named[];
  /** Places plus one; 0: free. */
  #table: Uint32Array;
  #used = 0;

  /** Of none of the entries yet, and with room for so many. */
  constructor(entries: readonly Named[], expected: number) {
    this.#entries = entries;
    this.#table = new Uint32Array(roomFor(expected));
  }

  /** Of all of them. */
  static of(entries: readonly Named[]): NameIndex {
    const index = new NameIndex(entries, entries.length);
    for (let at = 0; at < entries.length; at++) index.add(at);
    return index;
  }

  /** Takes in the entry at that place. Of two with the same name the first is found. */
  add(at: number): void {
    if (++this.#used * 4 > this.#table.length * 3) this.#grow();
    this.#put(at);
  }

  find(name: string): number | undefined {
    const mask = this.#table.length - 1;
    for (let slot = hashOf(name) & mask; ; slot = (slot + 1) & mask) {
      const place = this.#table[slot]!;
      if (place === 0) return undefined;
      if (this.#entries[place - 1]!.name === name) return place - 1;
    }
  }

  #put(at: number): void {
    const mask = this.#table.length - 1;
    let slot = hashOf(this.#entries[at]!.name) & mask;
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
    this.#table[slot] = at + 1;
  }

  #grow(): void {
    const before = this.#table;
    this.#table = new Uint32Array(before.length * 2);
    for (const place of before) if (place !== 0) this.#put(place - 1);
  }
}

/** A power of two, of which they fill three quarters at most. */
function roomFor(names: number): number {
  return Math.max(LEAST, 2 ** Math.ceil(Math.log2((names * 4) / 3 + 1)));
}
