/**
 * Who consumes what the readers read, and how long it waits for them. A training loop seldom reads itself:
 *
 *   worker processes, forked by a parent      the parent's main thread consumes (PyTorch's DataLoader)
 *   several threads beside the main thread    the main thread consumes (tf.data, thread pools)
 *   the main thread alone                     it consumes what it reads: its waiting is all there is to know
 *
 * Of a consumer samples tell whether it computes or waits. But it may wait for its accelerator just as for a batch, so a wait
 * is for data only while its readers are at work (those that are idle have filled their queue), and only in the way that
 * data comes: from other processes through a pipe, from other threads under a lock. Where it is seen to wait that way while
 * all its readers are idle, or the other way for long, nobody can tell what its waits are for, and nothing is said.
 */
import { schedulingOf } from '../sys/processor-wait.ts';
import { isAlive, isFork, lookAtProcess, type ReadingProcess } from './processes.ts';
import { Doing, look, unwatch, watch } from './stall-sampler.ts';

/** A consumer that is seen to compute less than this may as well wait for its accelerator most of the time: unknown. */
const COMPUTES_LEAST = 0.15;
/** Runnable, but without a processor for more than this share: what it would have done then cannot be told. */
const STARVED_MOST = 0.05;
const SAMPLES_LEAST = 40;
/** One that waits once for all (for its children to end) consumes nothing: consuming is computing and waiting by turns. */
const TURNS_LEAST = 6;
/** A share whose standard error is more than this is none that could be told. */
const ERROR_MOST = 0.03;
/** Of the consumer's time: more of it in doubt, and its share is. */
const UNSURE_MOST = 0.05;
/** Waits as for data with all readers idle, at least, and of all samples then: fewer are batches that are just handed over. */
const CONTRADICTIONS = 3;
const CONTRADICTED = 0.2;
/** Readers quiet for this long: whatever the consumer does now is no part of its reading any more. */
const TAIL_MS = 5000;
/** Seen for so long, who runs less often than this a second takes no batches: it waits for others to end. */
const SLICES_MS = 700;
const SLICES_LEAST = 2;
/** Looks between two at what the scheduler says. */
const DELAY_LOOKS = 10;

export class ConsumerSamples {
  computing = 0;
  waiting = 0;
  /** How often one followed the other. */
  turns = 0;
  /** Waits, while its readers were at work, in a way that data does not come: for its accelerator, or its own threads. */
  unsure = 0;
  /** While all its readers were idle, and the waits among these that looked like those for data. */
  supplied = 0;
  suppliedWaiting = 0;
  /** For how long it was runnable and had no processor, and of how long. */
  delayedMs = 0;
  elapsedMs = 0;
  /** How often it ran meanwhile. */
  slices = 0;

  add(other: ConsumerSamples): void {
    this.computing += other.computing;
    this.waiting += other.waiting;
    this.turns += other.turns;
    this.unsure += other.unsure;
    this.supplied += other.supplied;
    this.suppliedWaiting += other.suppliedWaiting;
    this.delayedMs += other.delayedMs;
    this.elapsedMs += other.elapsedMs;
    this.slices += other.slices;
  }

  clear(): void {
    this.computing = 0;
    this.waiting = 0;
    this.turns = 0;
    this.unsure = 0;
    this.supplied = 0;
    this.suppliedWaiting = 0;
    this.delayedMs = 0;
    this.elapsedMs = 0;
    this.slices = 0;
  }

  /** Whether this is one that consumes; undefined: too little was seen of it. */
  get consumes(): boolean | undefined {
    const total = this.computing + this.waiting;
    if (total === 0) return false;
    if (this.elapsedMs >= SLICES_MS && this.slices < (this.elapsedMs / 1000) * SLICES_LEAST) return false;
    if (total < SAMPLES_LEAST) return undefined;
    // A parent that waits once for all takes no turns; nor does a consumer that hardly ever waits, but that computes.
    return this.turns >= TURNS_LEAST || this.computing >= total * COMPUTES_LEAST;
  }

  /** Its waits for data cannot be told from others. */
  get ambiguous(): boolean {
    if (this.computing < (this.computing + this.waiting) * COMPUTES_LEAST) return true;
    if (this.elapsedMs > 0 && this.delayedMs > this.elapsedMs * STARVED_MOST) return true;
    if (this.unsure > (this.computing + this.waiting) * UNSURE_MOST) return true;
    const otherwise = this.suppliedWaiting >= CONTRADICTIONS && this.suppliedWaiting > this.supplied * CONTRADICTED;
    return otherwise && this.waiting > (this.computing + this.waiting) * UNSURE_MOST;
  }

  /** Share of the consumer's time that it waited for data; null: it consumes nothing, or cannot be told. */
  get share(): number | null {
    if (this.consumes !== true || this.ambiguous) return null;
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
  readonly #awaits: Doing;
  #fd: number;
  #askedMs = -1;
  /** Its readers as they were sampled in this tick. */
  #atWork = 0;
  #idle = 0;
  #waited = false;
  #looks = 0;
  #scheduled: { delayMs: number; slices: number };
  #delayAtMs: number;

  /** `awaits`: what it is seen doing while it waits for data. */
  constructor(pid: number, awaits: Doing) {
    this.pid = pid;
    this.#awaits = awaits;
    this.#fd = watch(pid);
    this.#scheduled = schedulingOf(pid);
    this.#delayAtMs = performance.now();
  }

  #addDelay(nowMs: number): void {
    const scheduled = schedulingOf(this.pid);
    this.#since.delayedMs += Math.max(0, scheduled.delayMs - this.#scheduled.delayMs);
    this.#since.slices += Math.max(0, scheduled.slices - this.#scheduled.slices);
    this.#since.elapsedMs += nowMs - this.#delayAtMs;
    this.#scheduled = scheduled;
    this.#delayAtMs = nowMs;
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
    const pauses = doing === Doing.IDLE || doing === Doing.LOCKED;
    // Workers fill their queues in turn: one that is idle has batches ready, and so has the consumer.
    const starved = atWork > 0 && idle === 0;
    if (idle > atWork) {
      this.#since.supplied++;
      if (doing === this.#awaits) this.#since.suppliedWaiting++;
    }
    if (pauses && starved && doing !== this.#awaits) this.#since.unsure++;
    const waits = doing === Doing.HELD || (doing === this.#awaits && starved);
    if (++this.#looks % DELAY_LOOKS === 0) this.#addDelay(nowMs);
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
