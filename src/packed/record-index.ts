/**
 * Finds records by a hash of their key. Open addressing with linear probing; in many small tables that grow by themselves,
 * so that none of them takes long to. Some 8 bytes a record.
 */

const SHARD_BITS = 8;
const SHARDS = 1 << SHARD_BITS;
const SHARD_LEAST = 16;

export class RecordIndex {
  readonly #hashOf: (record: number) => number;
  /** Records plus one; 0: free. */
  readonly #shards: Uint32Array[] = [];
  readonly #used = new Uint32Array(SHARDS);

  /** `hashOf`: of a record that is in it, the hash it was added with; 32 bits, unsigned. */
  constructor(hashOf: (record: number) => number) {
    this.#hashOf = hashOf;
    for (let i = 0; i < SHARDS; i++) this.#shards.push(new Uint32Array(SHARD_LEAST));
  }

  /** The record with that hash of which `is` says so; -1: none. */
  find(hash: number, is: (record: number) => boolean): number {
    const shard = this.#shards[hash >>> (32 - SHARD_BITS)]!;
    const mask = shard.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const record = shard[at]! - 1;
      if (record < 0) return -1;
      if (this.#hashOf(record) === hash && is(record)) return record;
    }
  }

  add(hash: number, record: number): void {
    const number = hash >>> (32 - SHARD_BITS);
    if (++this.#used[number]! * 4 > this.#shards[number]!.length * 3) this.#grow(number);
    put(this.#shards[number]!, hash, record);
  }

  /** Of a record that is in it. */
  remove(hash: number, record: number): void {
    const number = hash >>> (32 - SHARD_BITS);
    const shard = this.#shards[number]!;
    const mask = shard.length - 1;
    let hole = hash & mask;
    while (shard[hole] !== record + 1) hole = (hole + 1) & mask;
    // What comes after and was pushed on by it moves up (Knuth, TAOCP 3, 6.4, algorithm R): there are no tombstones.
    for (let at = (hole + 1) & mask; shard[at] !== 0; at = (at + 1) & mask) {
      const home = this.#hashOf(shard[at]! - 1) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      shard[hole] = shard[at]!;
      hole = at;
    }
    shard[hole] = 0;
    this.#used[number]!--;
  }

  /** All that are in it, in no order. */
  records(): number[] {
    return this.#shards.flatMap((shard) => [...shard].filter((entry) => entry !== 0).map((entry) => entry - 1));
  }

  #grow(number: number): void {
    const before = this.#shards[number]!;
    const shard = new Uint32Array(before.length * 2);
    this.#shards[number] = shard;
    for (const entry of before) if (entry !== 0) put(shard, this.#hashOf(entry - 1), entry - 1);
  }
}

function put(shard: Uint32Array, hash: number, record: number): void {
  const mask = shard.length - 1;
  let at = hash & mask;
  while (shard[at] !== 0) at = (at + 1) & mask;
  shard[at] = record + 1;
}
