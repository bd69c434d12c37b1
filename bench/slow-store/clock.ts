/**
 * Wakes the event loop at fractions of a millisecond. Node's own timers count whole milliseconds and fire up to one late:
 * with a latency of 5 ms that is 20 % of the figure under test. A timer of the kernel's (timerfd_create(2)) is a descriptor
 * that libuv's loop watches, and is about 0.1 ms exact. It needs no thread: what the store itself takes of the processors is
 * taken from the readers it is there to slow down.
 */
import koffi from 'koffi';
import { errnoName } from '../../src/sys/errno.ts';
import { type Watch, watchReadable } from '../../src/sys/libuv.ts';

const libc = koffi.load('libc.so.6');
const timerfdCreate = libc.func('int timerfd_create(int, int)');
const timerfdSettime = libc.func('int timerfd_settime(int, int, const void *, void *)');
const CLOCK_MONOTONIC = 1;
const TFD_CLOEXEC = 0o2000000;
const TFD_NONBLOCK = 0o4000;
/** What is due so soon goes along. */
const EARLY_MS = 0.03;
/** An expiry of zero would switch the timer off. */
const SOONEST_MS = 0.001;

interface Waiting {
  due: number;
  run: () => void;
}

/** Milliseconds with fractions, of the monotonic clock. */
export function now(): number {
  return performance.now();
}

export class Clock {
  readonly #descriptor: number;
  readonly #watch: Watch;
  /** struct itimerspec in halves of its four i64: seconds and nanoseconds of an interval (none), and of the expiry. */
  readonly #setting = new Uint32Array(8);
  /** A binary heap by `due`. */
  readonly #heap: Waiting[] = [];
  /** When the timer wakes the loop; Infinity: it does not. */
  #armed = Number.POSITIVE_INFINITY;
  #planned = false;

  constructor() {
    this.#descriptor = timerfdCreate(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) as number;
    if (this.#descriptor < 0) throw new Error(`timerfd_create: ${errnoName(koffi.errno())}`);
    const watch = watchReadable(this.#descriptor);
    if (watch === undefined) throw new Error('libuv cannot watch a timer');
    this.#watch = watch;
  }

  /** Calls `run` at `due` (as `now()` counts), about 0.1 ms late. */
  at(due: number, run: () => void): void {
    const heap = this.#heap;
    let at = heap.length;
    const entry = { due, run };
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.due <= due) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = entry;
    if (due < this.#armed) this.#arm(due);
  }

  /** Runs everything that waits, at once. */
  flush(): void {
    for (const waiting of this.#heap.splice(0)) waiting.run();
  }

  #arm(due: number): void {
    this.#armed = due;
    this.#set(Math.max(SOONEST_MS, due - now()));
    this.#watch.hold();
    this.#plan();
  }

  #set(ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.#setting[4] = seconds;
    this.#setting[6] = (ms - seconds * 1000) * 1e6;
    timerfdSettime(this.#descriptor, 0, this.#setting, null);
  }

  /** An immediate that does not keep the loop from waiting: it runs whenever something has woken it. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(this.#wake).unref();
  }

  readonly #wake = (): void => {
    this.#planned = false;
    const until = now() + EARLY_MS;
    if (this.#armed > until) {
      this.#plan();
      return;
    }
    this.#armed = Number.POSITIVE_INFINITY;
    while (this.#heap.length > 0 && this.#heap[0]!.due <= until) this.#take().run();
    const next = this.#heap[0];
    if (next !== undefined && next.due < this.#armed) this.#arm(next.due);
    if (this.#armed < Number.POSITIVE_INFINITY) return;
    this.#set(0); // it is readable until it is set anew
    this.#watch.letGo();
  };

  #take(): Waiting {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.due < heap[below]!.due) below++;
      if (heap[below]!.due >= last.due) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return top;
  }
}
