/** The beginnings of files of one directory that will be begun next; of small ones that is all. */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, Wanted } from '../order.ts';

/** Files that wait; of more, those that were wanted first are given up: their reader has come to them. */
const WAITING_MOST = 64;

export class NextFileOrder implements Order {
  readonly name = 'next-file';
  readonly about: string;
  readonly #bytes: number;
  readonly #waiting: string[] = [];

  /** `bytes`: from the beginning of each. */
  constructor(directory: string, bytes: number) {
    this.about = directory;
    this.#bytes = bytes;
  }

  put(path: string): void {
    if (this.#waiting.includes(path)) return;
    this.#waiting.push(path);
    if (this.#waiting.length > WAITING_MOST) this.#waiting.shift();
  }

  next(): Wanted | undefined {
    const file = this.#waiting.shift();
    return file === undefined ? undefined : { file, offset: 0, length: this.#bytes };
  }

  settled({ file }: Wanted, outcome: Outcome<number>): void {
    if (outcome === -Errno.ECANCELED) this.put(file as string);
  }
}
