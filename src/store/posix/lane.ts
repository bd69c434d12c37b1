/**
 * A share of the threads that make calls: libuv's pool, and the workers of the io_uring where there is one. Each is one queue
 * for the whole process: as many calls as it has threads, hung on one store, would stop everything else that uses it. A lane
 * lets only so many of its calls into either and keeps the others waiting in order.
 */
import { Errno } from '../../sys/errno.ts';
import type { Argument, SystemCall } from '../../sys/libc.ts';
import { ioUringWorkers } from '../../sys/uring-calls.ts';

type Call = SystemCall<readonly Argument[]>;
export type AnyCall = Pick<Call, 'now' | 'later'> & Partial<Pick<Call, 'diverted'>>;

interface Waiting {
  call: AnyCall;
  args: readonly Argument[];
  resolve: (result: number) => void;
}

/** libuv's default, when UV_THREADPOOL_SIZE does not say otherwise. */
const POOL_DEFAULT = 4;

function poolThreads(): number {
  const size = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10);
  return size > 0 ? Math.min(size, 1024) : POOL_DEFAULT;
}

/** All but a quarter. */
function shareOf(threads: number): number {
  return Math.max(1, threads - Math.ceil(threads / 4));
}

/** Calls of one lane at once: those that go the way of most. */
export function laneWidth(): number {
  return shareOf(ioUringWorkers() || poolThreads());
}

/** Calls under way at once, and those that wait. */
class Share {
  readonly width: number;
  inFlight = 0;
  readonly #ended: () => void;
  /** A queue as two stacks: shift() on a long array would move everything behind it. */
  #arrivals: Waiting[] = [];
  #next: Waiting[] = [];

  constructor(width: number, ended: () => void) {
    this.width = width;
    this.#ended = ended;
  }

  get waiting(): number {
    return this.#arrivals.length + this.#next.length;
  }

  run(item: Waiting): void {
    if (this.inFlight < this.width) this.#start(item);
    else this.#arrivals.push(item);
  }

  #start(item: Waiting): void {
    this.inFlight++;
    item.call.later(...item.args).then(
      (result) => this.#end(item, result),
      () => this.#end(item, -Errno.EIO),
    );
  }

  #end(item: Waiting, result: number): void {
    this.inFlight--;
    const next = this.#dequeue();
    if (next) this.#start(next);
    item.resolve(result);
    this.#ended();
  }

  #dequeue(): Waiting | undefined {
    if (this.#next.length === 0 && this.#arrivals.length > 0) {
      this.#next = this.#arrivals.reverse();
      this.#arrivals = [];
    }
    return this.#next.pop();
  }
}

export class Lane {
  readonly #pool: Share;
  readonly #ring: Share;
  #idle: (() => void)[] = [];

  constructor(poolWidth: number = shareOf(poolThreads()), ringWidth: number = laneWidth()) {
    const ended = (): void => {
      if (this.inFlight === 0) for (const wake of this.#idle.splice(0)) wake();
    };
    this.#pool = new Share(poolWidth, ended);
    this.#ring = new Share(ringWidth, ended);
  }

  get inFlight(): number {
    return this.#pool.inFlight + this.#ring.inFlight;
  }

  get waiting(): number {
    return this.#pool.waiting + this.#ring.waiting;
  }

  run(call: AnyCall, args: readonly Argument[]): Promise<number> {
    const share = call.diverted === true ? this.#ring : this.#pool;
    return new Promise((resolve) => share.run({ call, args, resolve }));
  }

  /** Resolves when nothing is in flight, or after `timeoutMs`: false. */
  async idle(timeoutMs: number): Promise<boolean> {
    if (this.inFlight === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}
