/**
 * Which files were read before, and when a job begins to read them anew (an epoch). What is known of a file lies with its
 * inode (observed.ts), which every event has in hand: a table of its own would cost each of them a look into cold memory.
 * A file that the kernel has forgotten, and looks up again, counts as new.
 */
import { type ObservedFile, Read } from './observed.ts';

/** Files that are opened again, from far back, before that is a new epoch; or an eighth of all, if that is less. */
const AGAIN_MOST = 64;
const AGAIN_LEAST = 4;

export class FilesSeen {
  /** Opens of files so far. */
  #ordinal = 0;
  #epochFirst = 1;
  #distinct = 0;
  #again = 0;
  #between = 0;

  /** How many files were opened again; at the first of them a new epoch may have begun. */
  get again(): number {
    return this.#again;
  }

  /** Files opened in this epoch. */
  get distinct(): number {
    return this.#distinct;
  }

  /**
   * A file is opened. 'again': it was in this epoch, and long ago: perhaps a new epoch has begun with it. 'epoch': so it is,
   * and it began with the first of these.
   */
  opened(file: ObservedFile): 'new' | 'again' | 'epoch' {
    const before = file.openedLast;
    file.openedLast = ++this.#ordinal;
    if (before < this.#epochFirst) {
      this.#distinct++;
      return this.#notAgain();
    }
    // The same file over and over, or the two of a pair: no epoch.
    if (this.#ordinal - before < Math.max(AGAIN_LEAST, this.#distinct / 8)) return this.#notAgain();
    this.#between = 0;
    this.#again++;
    if (this.#again < Math.max(AGAIN_LEAST, Math.min(AGAIN_MOST, this.#distinct / 8))) return 'again';
    this.#distinct = this.#again;
    this.#epochFirst = this.#ordinal - this.#again + 1;
    this.#again = 0;
    return 'epoch';
  }

  /** Single files that are read again in the middle of an epoch (an index, the labels) begin no new one. */
  #notAgain(): 'new' {
    if (this.#again > 0 && ++this.#between > this.#again + AGAIN_LEAST) this.#again = 0;
    return 'new';
  }

  forgetEpoch(): void {
    this.#epochFirst = this.#ordinal + 1;
    this.#distinct = 0;
    this.#again = 0;
  }
}

/** Whether its reading now is its first. */
export function isFirstRead(file: ObservedFile): boolean {
  return file.read !== Read.DONE;
}

export function wasRead(file: ObservedFile): void {
  if (file.read === Read.NO) file.read = Read.ONCE;
}

export function wasReleased(file: ObservedFile): void {
  if (file.read === Read.ONCE) file.read = Read.DONE;
}
