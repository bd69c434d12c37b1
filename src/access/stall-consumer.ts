/**
 * Who consumes what the readers read, and how long it waits for them. A training loop seldom reads itself:
 *
 *   worker processes, forked by a parent      the parent's main thread consumes (PyTorch's DataLoader)
 *   several threads beside the main thread    the main thread consumes (tf.data, thread pools)
 *   the main thread alone                     it consumes what it reads: its waiting is all there is to know
 *
 * Of a consumer samples tell whether it computes or waits; and since it may wait for its accelerator just as for a batch,
 * waiting is for data only while its readers are at work. Readers that are idle have filled their queue.
 */
import { isAlive, isFork, lookAtProcess, type ReadingProcess } from './processes.ts';
import { Doing, look, unwatch, watch } from './stall-sampler.ts';

/** A consumer that is seen to compute less than this only waits for its children: it consumes nothing. */
const COMPUTES_LEAST = 0.03;
const SAMPLES_LEAST = 40;
/** Nor does one that waits once for all: consuming is computing and waiting by turns. */
const TURNS_LEAST = 6;
/** A share whose standard error is more than this is none that could be told. */
const ERROR_MOST = 0.03;
/** Readers quiet for this long: whatever the consumer does now is no part of its reading any more. */
const TAIL_MS = 5000;

export class ConsumerSamples {
  computing = 0;
  waiting = 0;
  /** How often one followed the other. */
  turns = 0;

  add(other: ConsumerSamples): void {
    this.computing += other.computing;
    this.waiting += other.waiting;
    this.turns += other.turns;
  }

  clear(): void {
    this.computing = 0;
    this.waiting = 0;
    this.turns = 0;
  }

  /** Whether this is one that consumes; undefined: too little was seen of it. */
  get consumes(): boolean | undefined {
    const total = this.computing + this.waiting;
    if (total === 0) return false;
    if (total < SAMPLES_LEAST) return undefined;
    if (this.computing < total * COMPUTES_LEAST) return false;
    // One that hardly ever waits takes no turns either.
    return this.turns >= TURNS_LEAST || this.waiting <= total * COMPUTES_LEAST;
  }

  /** Share of the consumer's time that it waited for data; null: it consumes nothing, or cannot be told. */
  get share(): number | null {
    if (this.consumes !== true) return null;
    const total = this.computing + this.waiting;
    const share = this.waiting / total;
    // Where samples follow each other more often than turns, all there is to err about is when each turn was.
    const fine = this.turns * 4 < total;
    const error = fine ? Math.sqrt(1 + this.turns / 12) / total : Math.sqrt((share * (1 - share)) / total);
    return error > ERROR_MOST ? null : share;
  }
}

export class Consumer {
  readonly pid: number;
  readonly epoch: ConsumerSamples = new ConsumerSamples();
  readonly before: ConsumerSamples = new ConsumerSamples();
  /** Since its readers last asked for something: of no account should they never ask again. */
  readonly #since: ConsumerSamples = new ConsumerSamples();
  readonly readers = new Set<ReadingProcess>();
  #fd: number;
  #askedMs = -1;
  /** Its readers as they were sampled in this tick. */
  #atWork = 0;
  #idle = 0;
  #waited = false;

  constructor(pid: number) {
    this.pid = pid;
    this.#fd = watch(pid);
  }

  get gone(): boolean {
    return this.#fd < 0;
  }

  /** One of its readers was sampled. */
  reader(idle: boolean, lastMs: number): void {
    if (idle) this.#idle++;
    else this.#atWork++;
    if (lastMs > this.#askedMs) {
      this.#askedMs = lastMs;
      this.epoch.add(this.#since);
      this.#since.clear();
    }
  }

  /** After its readers. False: there is nothing to see any more. */
  sample(nowMs: number): boolean {
    const { readers } = this;
    const atWork = this.#atWork;
    const idle = this.#idle;
    this.#atWork = 0;
    this.#idle = 0;
    if (this.#fd < 0 || readers.size === 0 || nowMs - this.#askedMs > TAIL_MS) return false;
    const doing = look(this.#fd);
    if (doing === Doing.GONE) {
      this.close();
      return false;
    }
    if (doing === Doing.OTHER) return true;
    const waits = doing === Doing.HELD || (doing === Doing.IDLE && atWork >= idle && atWork > 0);
    if (waits !== this.#waited) this.#since.turns++;
    this.#waited = waits;
    if (waits) this.#since.waiting++;
    else this.#since.computing++;
    return true;
  }

  /** Readers that end have been told to: all they read is consumed, and the time until then was part of the epoch. */
  readersEnded(): void {
    this.epoch.add(this.#since);
    this.#since.clear();
  }

  newEpoch(): ConsumerSamples {
    const ended = new ConsumerSamples();
    ended.add(this.epoch);
    this.before.add(this.epoch);
    this.epoch.clear();
    return ended;
  }

  /** Of all its epochs. */
  total(nowMs: number): ConsumerSamples {
    const total = new ConsumerSamples();
    total.add(this.before);
    total.add(this.epoch);
    if (nowMs - this.#askedMs < TAIL_MS) total.add(this.#since);
    return total;
  }

  close(): void {
    unwatch(this.#fd);
    this.#fd = -1;
  }
}

/** Who consumes what a process reads: a pid, or undefined when that is the reader itself, or nobody that can be told. */
export function consumerOf(process: ReadingProcess): number | undefined {
  if (process.pid === null) return undefined;
  const parent = process.parent > 1 ? lookAtProcess(process.parent) : undefined;
  if (parent !== undefined && isFork(process, parent)) return process.parent;
  const requests = process.opens + process.reads;
  const others = requests - process.mainRequests;
  return requests > 0 && others > 4 * process.mainRequests && isAlive(process.pid) ? process.pid : undefined;
}
