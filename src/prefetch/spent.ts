/**
 * Files in the cache that were read in this pass over their data set: nobody reads them again before the pass ends, so they
 * are what goes for something that will be read sooner (Belady, 1966: what is used farthest in the future). Of a pass that
 * repeats the one before, what was read last is farthest; of a shuffled one all are alike. So the last goes first.
 */

/** Files in use that are passed over for one that is not. */
const TRIES = 16;
/** Entries from which on those that are not there any more are looked for. */
const TIDIED_FROM = 1024;

/** Told when a file of its goes, or has gone. */
export interface SpentOwner {
  dropped(item: number): void;
}

interface Entry {
  readonly fileKey: string;
  readonly owner: SpentOwner;
  readonly item: number;
  readonly bytes: number;
}

/** Of one owner; as a whole it is let go of at once, however much there is. */
class Part {
  readonly files = new Map<string, Entry>();
  bytes = 0;

  delete(fileKey: string): void {
    const entry = this.files.get(fileKey);
    if (entry === undefined) return;
    this.files.delete(fileKey);
    this.bytes -= entry.bytes;
  }
}

export class Spent {
  readonly #parts = new Map<SpentOwner, Part>();
  /** As they were added; some are not there any more. */
  #order: Entry[] = [];
  /** In use when their turn came. */
  #later: Entry[] = [];

  /** What could be free, in bytes. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#parts.values()) sum += bytes;
    return sum;
  }

  /** What is remembered, with those that are not there any more. */
  get entries(): number {
    return this.#order.length + this.#later.length;
  }

  /** `item`: the owner's number for the file. */
  add(fileKey: string, owner: SpentOwner, item: number, bytes: number): void {
    this.remove(fileKey);
    let part = this.#parts.get(owner);
    if (part === undefined) {
      part = new Part();
      this.#parts.set(owner, part);
    }
    const entry = { fileKey, owner, item, bytes };
    part.files.set(fileKey, entry);
    part.bytes += bytes;
    this.#order.push(entry);
    if (this.#order.length > TIDIED_FROM && this.#order.length > 2 * this.#count) {
      this.#order = this.#order.filter((other) => this.#has(other));
    }
  }

  get #count(): number {
    let sum = 0;
    for (const { files } of this.#parts.values()) sum += files.size;
    return sum;
  }

  #has(entry: Entry): boolean {
    return this.#parts.get(entry.owner)?.files.get(entry.fileKey) === entry;
  }

  /** It will be read again before long, or is gone. */
  remove(fileKey: string): void {
    for (const part of this.#parts.values()) part.delete(fileKey);
  }

  /** A new pass begins: every file of the owner will be read again. */
  removeAll(owner: SpentOwner): void {
    this.#parts.delete(owner);
    if (this.#parts.size > 0) return;
    this.#order = [];
    this.#later = [];
  }

  /**
   * Has one of them go by `drop`, which says how many bytes that freed (0: it is in use; negative: it was not there any more).
   * The bytes; 0: none can go now.
   */
  async free(drop: (fileKey: string) => Promise<number>): Promise<number> {
    for (let tries = 0; tries < TRIES; ) {
      const entry = this.#next();
      if (entry === undefined) return 0;
      const { fileKey, owner, item } = entry;
      const freed = await drop(fileKey);
      if (freed === 0) {
        tries++;
        if (this.#has(entry)) this.#later.push(entry);
        continue;
      }
      if (this.#has(entry)) {
        this.remove(fileKey);
        owner.dropped(item);
      } // else its owner has let go of it meanwhile
      if (freed > 0) return freed;
    }
    return 0;
  }

  #next(): Entry | undefined {
    if (this.#order.length === 0) {
      this.#order = this.#later;
      this.#later = [];
    }
    for (let entry = this.#order.pop(); entry !== undefined; entry = this.#order.pop()) {
      if (this.#has(entry)) return entry;
    }
    return undefined;
  }
}
