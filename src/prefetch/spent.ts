/**
 * Files in the cache that were read in this pass over their data set: nobody reads them again before the pass ends, so they
 * are what goes for something that will be read sooner (Belady, 1966: what is used farthest in the future). Of a pass that
 * repeats the one before, what was read last is farthest; of a shuffled one all are alike. So the last goes first.
 */

/** Files in use that are passed over for one that is not. */
const TRIES = 16;

/** Told when a file of its goes. */
export interface SpentOwner {
  dropped(item: number): void;
}

interface Entry {
  readonly fileKey: string;
  readonly owner: SpentOwner;
  readonly item: number;
  readonly bytes: number;
}

export class Spent {
  readonly #files = new Map<string, Entry>();
  /** As they were added; some are not there any more. */
  #order: Entry[] = [];
  #bytes = 0;

  /** What could be free, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `item`: the owner's number for the file. */
  add(fileKey: string, owner: SpentOwner, item: number, bytes: number): void {
    this.remove(fileKey);
    const entry = { fileKey, owner, item, bytes };
    this.#files.set(fileKey, entry);
    this.#order.push(entry);
    this.#bytes += bytes;
  }

  /** It will be read again before long, or is gone. */
  remove(fileKey: string): void {
    const entry = this.#files.get(fileKey);
    if (entry === undefined) return;
    this.#files.delete(fileKey);
    this.#bytes -= entry.bytes;
    if (this.#order.length > 64 + 2 * this.#files.size) this.#order = [...this.#files.values()];
  }

  /** A new pass begins: every file of the owner will be read again. */
  removeAll(owner: SpentOwner): void {
    for (const [fileKey, entry] of this.#files) if (entry.owner === owner) this.remove(fileKey);
  }

  /** Has one of them go by `drop`, which says how many bytes that freed; 0: none can go now. */
  async free(drop: (fileKey: string) => Promise<number>): Promise<number> {
    const inUse: Entry[] = [];
    let freed = 0;
    while (freed === 0 && inUse.length < TRIES) {
      const entry = this.#order.pop();
      if (entry === undefined) break;
      const { fileKey, owner, item } = entry;
      if (this.#files.get(fileKey) !== entry) continue;
      this.remove(fileKey); // nobody else shall have it go as well
      freed = await drop(fileKey);
      if (freed > 0) owner.dropped(item);
      else inUse.push(entry);
    }
    for (const { fileKey, owner, item, bytes } of inUse.reverse()) this.add(fileKey, owner, item, bytes);
    return freed;
  }
}
