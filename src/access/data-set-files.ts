/**
 * The files of data sets, known by a 64-bit hash of their path: an inode is forgotten by the kernel as it likes, and a file
 * that comes back must be found to be the same. About 31 bytes a file.
 *
 * Files are numbered as they come; pages of typed arrays hold what is known of them. The index is 256 small tables that grow
 * by themselves, so that none of them takes long to.
 */

const PAGE_BITS = 13;
const PAGE = 1 << PAGE_BITS;
const SHARDS = 256;
const SHARD_LEAST = 16;
export const FILES_MOST = 2_097_152;

interface Page {
  low: Uint32Array;
  high: Uint32Array;
  ticket: Uint32Array;
  size: Float64Array;
  nameNumber: Int32Array;
}

export class KnownFiles {
  count = 0;
  readonly #most: number;
  readonly #pages: Page[] = [];
  /** Numbers of files plus one; 0: free. Open addressing. */
  readonly #shards: Uint32Array[] = [];
  readonly #used = new Uint32Array(SHARDS);

  constructor(most: number = FILES_MOST) {
    this.#most = most;
    for (let i = 0; i < SHARDS; i++) this.#shards.push(new Uint32Array(SHARD_LEAST));
  }

  /** The number of the file with that hash; -1: none. */
  find(low: number, high: number): number {
    const shard = this.#shards[high >>> 24]!;
    const mask = shard.length - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const found = shard[at]! - 1;
      if (found < 0) return -1;
      const page = this.#pages[found >>> PAGE_BITS]!;
      const slot = found & (PAGE - 1);
      if (page.low[slot] === low && page.high[slot] === high) return found;
    }
  }

  /** Takes one more, which was not found; -1: there is no room. */
  add(low: number, high: number, size: number, nameNumber = 0): number {
    if (this.count >= this.#most) return -1;
    const number = this.count++;
    if ((number & (PAGE - 1)) === 0) {
      this.#pages.push({
        low: new Uint32Array(PAGE),
        high: new Uint32Array(PAGE),
        ticket: new Uint32Array(PAGE),
        size: new Float64Array(PAGE),
        nameNumber: new Int32Array(PAGE),
      });
    }
    const page = this.#pages[number >>> PAGE_BITS]!;
    const slot = number & (PAGE - 1);
    page.low[slot] = low;
    page.high[slot] = high;
    page.size[slot] = size;
    page.nameNumber[slot] = nameNumber;
    this.#index(number, low, high >>> 24);
    return number;
  }

  ticket(number: number): number {
    return this.#pages[number >>> PAGE_BITS]!.ticket[number & (PAGE - 1)]!;
  }

  setTicket(number: number, ticket: number): void {
    this.#pages[number >>> PAGE_BITS]!.ticket[number & (PAGE - 1)] = ticket;
  }

  /** The number in its name, as it was added. */
  nameNumber(number: number): number {
    return this.#pages[number >>> PAGE_BITS]!.nameNumber[number & (PAGE - 1)]!;
  }

  /** Notes the size and returns by how much it has grown. */
  resize(number: number, size: number): number {
    const { size: sizes } = this.#pages[number >>> PAGE_BITS]!;
    const slot = number & (PAGE - 1);
    const before = sizes[slot]!;
    if (before !== size) sizes[slot] = size;
    return size - before;
  }

  /** What all of it takes, in bytes. */
  get heldBytes(): number {
    const index = this.#shards.reduce((sum, shard) => sum + shard.byteLength, 0);
    return index + this.#pages.length * PAGE * 24;
  }

  #index(number: number, low: number, shardNumber: number): void {
    let shard = this.#shards[shardNumber]!;
    if (++this.#used[shardNumber]! > (shard.length * 3) / 4) shard = this.#grow(shardNumber, shard);
    put(shard, number, low);
  }

  #grow(shardNumber: number, shard: Uint32Array): Uint32Array {
    const larger = new Uint32Array(shard.length * 2);
    for (const entry of shard) {
      if (entry === 0) continue;
      const number = entry - 1;
      put(larger, number, this.#pages[number >>> PAGE_BITS]!.low[number & (PAGE - 1)]!);
    }
    this.#shards[shardNumber] = larger;
    return larger;
  }
}

function put(shard: Uint32Array, number: number, low: number): void {
  const mask = shard.length - 1;
  let at = low & mask;
  while (shard[at] !== 0) at = (at + 1) & mask;
  shard[at] = number + 1;
}

/** Two hashes of a byte string in one pass (FNV-1a, and a multiplicative one with another factor). */
export const pathHash = { low: 0, high: 0 };

export function hashPath(path: string): void {
  let low = 0x811c9dc5 | 0;
  let high = 0x9e3779b9 | 0;
  for (let i = 0; i < path.length; i++) {
    const byte = path.charCodeAt(i);
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x85ebca6b);
    high ^= high >>> 13;
  }
  pathHash.low = mixed(low);
  pathHash.high = mixed(high);
}

/** The last step of MurmurHash3: every bit of the result depends on every bit given. */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
