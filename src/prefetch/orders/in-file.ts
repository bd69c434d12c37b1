/**
 * Orders inside large files, from how they are read: each run that goes on and on is read ahead of (readahead.ts), each stride
 * is gone ahead of (stride.ts). Knows who reads by what access/ shows of it, and of what is brought no more than the scheduler
 * says of it.
 */
import { LRUCache } from 'lru-cache';
import { directoryOf, type Order, type Orders, type ReadFile } from '../order.ts';
import { Losses } from './losses.ts';
import { ReadaheadOrder, type RunView } from './readahead.ts';
import { StrideOrder, type StrideView } from './stride.ts';

/** Orders at once; of more, those whose readers rested longest end. */
const ORDERS_MOST = 64;
/** Jumps of a reader in a row after which a run that it read has ended; to read on and on elsewhere counts for some. */
const JUMPS_AWAY = 3;
const JUMPS_ELSEWHERE = 2;
/** Directories whose losses are remembered; those that were read last. */
const DIRECTORIES_MOST = 1024;

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
  /** It is not followed any more. `comesLater`: but somebody reads on there. */
  end(comesLater: boolean): void;
  /** Its reader is at the end, or somewhere else. */
  readonly ended: boolean;
  /** What is brought for its reader has this place. */
  leadsTo(offset: number): boolean;
  /** Its reader goes the other way now. */
  readonly turned?: boolean;
}

interface Followed {
  readonly order: FollowingOrder;
  /** Who moved it last, and how often he has jumped since. */
  stream: StreamView;
  away: number;
}

export class InFileOrders {
  readonly #orders: Orders;
  /** Ahead of one reader. */
  readonly #aheadBytes: number;
  /** By what they follow: a run or a stream's strides. The one that moved last is the last. */
  readonly #active = new Map<object, Followed>();
  /** By directory; and where each file's are. */
  readonly #losses = new LRUCache<string, Losses>({ max: DIRECTORIES_MOST });
  readonly #lossesOf = new WeakMap<ReadFile, Losses>();

  constructor(orders: Orders, aheadBytes: number) {
    this.#orders = orders;
    this.#aheadBytes = aheadBytes;
  }

  /** A READ of `size` bytes, of a stream, that belongs to a run; `jumped`: it began the run. */
  read(stream: StreamView, run: RunView, jumped: boolean, size: number): void {
    const { file, strides } = stream;
    if (file.whole) return;
    const losses = this.#lossesIn(file);
    losses.read(size);
    const ofPieces = run.pieceOf && this.#active.get(run.pieceOf);
    if (ofPieces !== undefined) ofPieces.away = 0; // its reader is at the next one
    if (jumped) {
      this.#end(run); // its object is used again
      this.#away(stream, run, 1);
    }
    // How much is read at each place of a stride is known: a run there is not gone ahead of by itself.
    if (strides.period > 0 && !strides.outgrown) {
      if (jumped) this.#follow(stream, strides, () => new StrideOrder(file, strides, this.#aheadBytes, losses));
    } else if (run.sure) {
      const known = this.#active.has(run);
      this.#follow(stream, run, () => new ReadaheadOrder(file, run, this.#aheadBytes, losses));
      if (!known && this.#active.has(run) && run.pieceOf === undefined) this.#away(stream, run, JUMPS_ELSEWHERE);
    }
  }

  /** A run became a part of another: what was brought ahead of it is come to there. */
  joined(part: RunView): void {
    this.#end(part, true);
  }

  /** Nobody looks at this file any more. */
  forgotten(file: ReadFile): void {
    for (const [key, { order }] of this.#active) if (order.file === file) this.#end(key);
  }

  #follow(stream: StreamView, key: object, make: () => FollowingOrder): void {
    let followed = this.#active.get(key);
    if (followed?.order.turned) {
      this.#end(key, true);
      followed = undefined;
    }
    if (followed === undefined) {
      followed = { order: make(), stream, away: 0 };
      if (this.#active.size >= ORDERS_MOST) this.#endOldest();
      this.#orders.add(followed.order);
    } else this.#active.delete(key);
    this.#active.set(key, followed);
    followed.stream = stream;
    followed.away = 0;
    const { order } = followed;
    const wanting = order.moved();
    if (order.ended) this.#end(key);
    else if (wanting) this.#orders.wake();
  }

  /** Who jumps to `run`, again and again, does not come back to where he read on and on; not so who is ahead of himself there. */
  #away(stream: StreamView, run: RunView, jumps: number): void {
    for (const [key, followed] of this.#active) {
      if (followed.stream !== stream || key === stream.strides || key === run) continue;
      if (followed.order.leadsTo(run.begin)) continue;
      followed.away += jumps;
      if (followed.away >= JUMPS_AWAY) this.#end(key);
    }
  }

  #lossesIn(file: ReadFile): Losses {
    let losses = this.#lossesOf.get(file);
    if (losses !== undefined) return losses;
    const directory = directoryOf(file.path());
    losses = this.#losses.get(directory) ?? new Losses();
    this.#losses.set(directory, losses);
    this.#lossesOf.set(file, losses);
    return losses;
  }

  #endOldest(): void {
    for (const oldest of this.#active.keys()) {
      this.#end(oldest);
      return;
    }
  }

  #end(key: object, comesLater = false): void {
    const followed = this.#active.get(key);
    if (followed === undefined) return;
    this.#active.delete(key);
    followed.order.end(comesLater);
    this.#orders.remove(followed.order);
  }
}
