/**
 * Whether an order is believed, for what it speaks of. One of whose bytes fewer than half were used is off: what it says is
 * still noted (its shadow), and once most of that was read it is believed again.
 */
import type { Account } from './ledger.ts';
import { placeOf, type ReadFile } from './order.ts';

/** Used or wasted before anything is decided, in bytes. */
const JUDGED_FROM_BYTES = 4 * 1024 * 1024;
/** After so much the older half counts half. */
const FADE_BYTES = 256 * 1024 * 1024;
const ACCURACY_LEAST = 0.5;
/** Of the last predictions of one that is off, and how many of them must have been read. */
const SHADOW_MOST = 256;
const SHADOW_JUDGED = 64;
const SHADOW_ACCURACY = 0.7;

interface Noted {
  file: string | ReadFile;
  /** Negative: from the end. */
  offset: number;
  length: number;
  read: boolean;
}

export class Trust {
  readonly #account: Account;
  #usedBefore = 0;
  #wastedBefore = 0;
  /** What it predicted while it was off. */
  #shadow: Noted[] = [];
  #off = false;

  constructor(account: Account) {
    this.#account = account;
  }

  get believed(): boolean {
    this.#judge();
    return !this.#off;
  }

  /** A prediction of one that is not believed: nothing is brought for it. */
  noted(file: string | ReadFile, offset: number, length: number): void {
    this.#shadow.push({ file, offset, length, read: false });
    if (this.#shadow.length > SHADOW_MOST) this.#shadow.shift();
  }

  /** Somebody reads a range of a file. */
  came(file: ReadFile, offset: number, end: number): void {
    if (!this.#off) return;
    let path: string | undefined;
    let read = 0;
    for (const noted of this.#shadow) {
      const from = placeOf(noted.offset, file.attributes.size);
      if (!noted.read && offset < from + noted.length && end > from) {
        if (typeof noted.file === 'string') path ??= file.path();
        noted.read = noted.file === (typeof noted.file === 'string' ? path : file);
      }
      if (noted.read) read++;
    }
    if (this.#shadow.length < SHADOW_JUDGED || read < SHADOW_ACCURACY * this.#shadow.length) return;
    this.#off = false;
    this.#shadow = [];
    this.#usedBefore = this.#account.usedBytes;
    this.#wastedBefore = this.#account.wastedBytes;
  }

  #judge(): void {
    const { used, decided } = this.#recent();
    if (decided < JUDGED_FROM_BYTES) return;
    if (used < ACCURACY_LEAST * decided) this.#off = true;
    if (decided < FADE_BYTES) return;
    this.#usedBefore += used / 2;
    this.#wastedBefore += (decided - used) / 2;
  }

  #recent(): { used: number; decided: number } {
    const used = this.#account.usedBytes - this.#usedBefore;
    return { used, decided: used + Math.max(0, this.#account.wastedBytes - this.#wastedBefore) };
  }
}
