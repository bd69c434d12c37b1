/**
 * Files in the cache that were read in this pass over their data set: nobody reads them again before the pass ends, so they
 * are what goes for something that will be read sooner (Belady, 1966: what is used farthest in the future). Among themselves
 * they are alike where the order is shuffled; the one spent longest goes first, which no reader has open any more.
 */

/** Files in use that are passed over for one that is not. */
const TRIES = 16;

/** Told when a file of its goes. */
export interface SpentOwner {
  dropped(item: number): void;
}

interface Entry {
  readonly owner: SpentOwner;
  readonly item: number;
  readonly bytes: number;
}

export class Spent {
  readonly #files = new Map<string, Entry>();
  #bytes = 0;

  /** What could be free, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `item`: the owner's number for the file. */
  add(fileKey: string, owner: SpentOwner, item: number, bytes: number): void {
    this.remove(fileKey);
    this.#files.set(fileKey, { owner, item, bytes });
    this.#bytes += bytes;
  }

  /** It will be read again before long, or is gone. */
  remove(fileKey: string): void {
    const entry = this.#files.get(fileKey);
    if (entry === undefined) return;
    this.#files.delete(fileKey);
    this.#bytes -= entry.bytes;
  }

  /** A new pass begins: every file of the owner will be read again. */
  removeAll(owner: SpentOwner): void {
    for (const [fileKey, entry] of this.#files) if (entry.owner === owner) this.remove(fileKey);
  }

  /** Has one of them go by `drop`, which says whether it could; false: none can now. */
  free(drop: (fileKey: string) => boolean): boolean {
    let tries = TRIES;
    for (const [fileKey, { owner, item, bytes }] of this.#files) {
      this.remove(fileKey);
      if (drop(fileKey)) {
        owner.dropped(item);
        return true;
      }
      this.add(fileKey, owner, item, bytes); // somebody has it open: behind the others
      if (--tries === 0) break;
    }
    return false;
  }
}
