/** Pieces of files of one directory, as they are put: beginnings and ends of files that are opened, or will be next. */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, OrderName, Orders, Wanted } from '../order.ts';

/** Pieces that wait; of more, those that were wanted first are given up: their reader has come to them. */
const WAITING_MOST = 64;

export class PiecesOrder implements Order {
  readonly name: OrderName;
  readonly about: string;
  readonly #orders: Orders;
  readonly #waiting: Wanted[] = [];
  #added = false;

  constructor(name: OrderName, directory: string, orders: Orders) {
    this.name = name;
    this.about = directory;
    this.#orders = orders;
  }

  /** The caller wakes the scheduler when it has put what there is. */
  put(piece: Wanted): void {
    if (!this.#added) this.#orders.add(this); // most directories never have any
    this.#added = true;
    const { file, offset } = piece;
    if (this.#waiting.some((one) => one.file === file && one.offset === offset)) return;
    this.#waiting.push(piece);
    if (this.#waiting.length > WAITING_MOST) this.#waiting.shift();
  }

  next(): Wanted | undefined {
    return this.#waiting.shift();
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    if (outcome === -Errno.ECANCELED) this.put(wanted);
  }
}
