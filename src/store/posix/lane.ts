/**
 * A share of the thread pool. The pool is one queue for the whole process: as many calls as it has threads, hung on one
 * store, would stop everything else that uses it. A lane lets only so many of its calls into the pool and keeps the
 * others waiting in order.
 */
import { Errno } from '../../sys/errno.ts';
import type { Argument, SystemCall } from '../../sys/libc.ts';

export type AnyCall = SystemCall<readonly Argument[]>;

interface Waiting {
  call: AnyCall;
  args: readonly Argument[];
  resolve: (result: number) => void;
}

/** libuv's default, when UV_THREADPOOL_SIZE does not say otherwise. */
const POOL_DEFAULT = 4;

/** Threads of the pool that one lane may use: all but a quarter. */
export function laneWidth(): number {
  const size = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10);
  const threads = size > 0 ? Math.min(size, 1024) : POOL_DEFAULT;
  return Math.max(1, threads - Math.ceil(threads / 4));
}

export class Lane {
  readonly width: number;
  #inFlight = 0;
  /** A queue as two stacks: shift() on a long array would move everything behind it. */
  #arrivals: Waiting[] = [];
  #next: Waiting[] = [];
  #idle: (() => void)[] = [];

  constructor(width: number = laneWidth()) {
    this.width = width;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#arrivals.length + this.#next.length;
  }

  run(call: AnyCall, args: readonly Argument[]): Promise<number> {
    return new Promise((resolve) => {
      const item = { call, args, resolve };
      if (this.#inFlight < this.width) this.#start(item);
      else this.#arrivals.push(item);
    });
  }

  /** Resolves when nothing is in flight, or after `timeoutMs`: false. */
  async idle(timeoutMs: number): Promise<boolean> {
    if (this.#inFlight === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  #start(item: Waiting): void {
    this.#inFlight++;
    item.call.later(...item.args).then(
      (result) => this.#ended(item, result),
      () => this.#ended(item, -Errno.EIO),
    );
  }

  #ended(item: Waiting, result: number): void {
    this.#inFlight--;
    const next = this.#dequeue();
    if (next) this.#start(next);
    item.resolve(result);
    if (this.#inFlight === 0) for (const wake of this.#idle.splice(0)) wake();
  }

  #dequeue(): Waiting | undefined {
    if (this.#next.length === 0 && this.#arrivals.length > 0) {
      this.#next = this.#arrivals.reverse();
      this.#arrivals = [];
    }
    return this.#next.pop();
  }
}
