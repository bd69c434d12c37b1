/**
 * Wakes the event loop at fractions of a millisecond. Node's own timers count whole milliseconds and fire up to one late:
 * with a latency of 5 ms that is 20 % of the figure under test. Here a thread sleeps in `Atomics.wait` (about 0.1 ms exact)
 * until the earliest deadline and then posts a message, which wakes libuv. It sleeps for good when nothing is due.
 */
import { Worker } from 'node:worker_threads';

const sleeper = `
const { parentPort, workerData } = require('node:worker_threads');
const signal = new Int32Array(workerData, 0, 1);
const deadline = new Float64Array(workerData, 8, 1);
for (let seen = 0; ; ) {
  const due = deadline[0];
  const left = due - (performance.timeOrigin + performance.now());
  if (left > 0.02) {
    Atomics.wait(signal, 0, seen, left);
  } else {
    deadline[0] = Infinity;
    parentPort.postMessage(0);
    Atomics.wait(signal, 0, seen);
  }
  seen = Atomics.load(signal, 0);
}
`;

interface Waiting {
  due: number;
  run: () => void;
}

/** Milliseconds with fractions, the same on every thread. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

export class Clock {
  readonly #shared = new SharedArrayBuffer(16);
  readonly #signal = new Int32Array(this.#shared, 0, 1);
  readonly #deadline = new Float64Array(this.#shared, 8, 1);
  readonly #worker: Worker;
  /** A binary heap by `due`. */
  readonly #heap: Waiting[] = [];
  #armed = Number.POSITIVE_INFINITY;

  constructor() {
    this.#deadline[0] = Number.POSITIVE_INFINITY;
    this.#worker = new Worker(sleeper, { eval: true, workerData: this.#shared });
    this.#worker.on('message', () => this.#wake());
    this.#worker.unref();
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

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #arm(due: number): void {
    this.#armed = due;
    this.#deadline[0] = due;
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  #wake(): void {
    this.#armed = Number.POSITIVE_INFINITY;
    const until = now() + 0.03; // what is due within the sleeper's own error goes along
    while (this.#heap.length > 0 && this.#heap[0]!.due <= until) this.#take().run();
    const next = this.#heap[0];
    if (next !== undefined && next.due < this.#armed) this.#arm(next.due);
  }

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
