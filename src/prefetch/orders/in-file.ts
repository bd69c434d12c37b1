/**
 * Orders inside large files, from how they are read: each run that goes on and on is read ahead of (readahead.ts), each stride
 * is gone ahead of (stride.ts). Knows who reads by what access/ shows of it, and of what is brought no more than the scheduler
 * says of it.
 */
import type { Order, Orders, ReadFile } from '../order.ts';
import { ReadaheadOrder, type RunView } from './readahead.ts';
import { StrideOrder, type StrideView } from './stride.ts';

/** Orders at once; of more, those whose readers rested longest end. */
const ORDERS_MOST = 64;

/** A file whose bytes may all be there already. */
export interface FileInParts extends ReadFile {
  readonly whole?: boolean;
}

/** One reader of one file. */
export interface StreamView {
  readonly file: FileInParts;
  readonly strides: StrideView;
}

interface FollowingOrder extends Order {
  readonly file: ReadFile;
  /** Its reader has read on; true: it may have something to bring. */
  moved(): boolean;
  /** Its reader is at the end, or somewhere else. */
  readonly ended: boolean;
}

export class InFileOrders {
  readonly #orders: Orders;
  /** Ahead of one reader. */
  readonly #aheadBytes: number;
  /** By what they follow: a run or a stream's strides. The one that moved last is the last. */
  readonly #active = new Map<object, FollowingOrder>();

  constructor(orders: Orders, aheadBytes: number) {
    this.#orders = orders;
    this.#aheadBytes = aheadBytes;
  }

  /** A READ of a stream that belongs to a run; `jumped`: it began the run. */
  read(stream: StreamView, run: RunView, jumped: boolean): void {
    const { file, strides } = stream;
    if (file.whole) return;
    if (jumped) this.#end(run); // its object is used again
    // How much is read at each place of a stride is known: a run there is not gone ahead of by itself.
    if (strides.period > 0 && !strides.outgrown) {
      if (jumped) this.#follow(strides, () => new StrideOrder(file, strides, this.#aheadBytes));
    } else if (run.sure) this.#follow(run, () => new ReadaheadOrder(file, run, this.#aheadBytes));
  }

  /** Nobody looks at this file any more. */
  forgotten(file: ReadFile): void {
    for (const [key, order] of this.#active) if (order.file === file) this.#end(key);
  }

  #follow(key: object, make: () => FollowingOrder): void {
    let order = this.#active.get(key);
    if (order === undefined) {
      order = make();
      if (this.#active.size >= ORDERS_MOST) this.#endOldest();
      this.#orders.add(order);
    } else this.#active.delete(key);
    this.#active.set(key, order);
    const wanting = order.moved();
    if (order.ended) this.#end(key);
    else if (wanting) this.#orders.wake();
  }

  #endOldest(): void {
    for (const oldest of this.#active.keys()) {
      this.#end(oldest);
      return;
    }
  }

  #end(key: object): void {
    const order = this.#active.get(key);
    if (order === undefined) return;
    this.#active.delete(key);
    this.#orders.remove(order);
  }
}
