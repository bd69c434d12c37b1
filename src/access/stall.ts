/**
 * The stall meter: how long readers were held up by our requests, thread by thread; what that comes to for processes and
 * for the job; and how long whoever consumes what they read waits for it. docs/STALL.md says what can be known and how.
 *
 *   asked, reading, read, answered -> ThreadState   what the order of a thread's requests tells (threads.ts)
 *   tick, only while somebody reads -> stall-sampler.ts   what /proc tells of the same threads, and of the consumer
 *   opened -> FilesSeen   first reads, epochs
 *   snapshot   both together: WaitTotals.waitMs, stall-report.ts
 */
import { O_ACCMODE, O_DIRECT, O_RDONLY } from '../sys/open-flags.ts';
import { observed } from './observed.ts';
import { type AccessedHandle, From } from './observer.ts';
import { isAlive, lookAtProcess, ProcessTable, processIdOf, type ReadingProcess } from './processes.ts';
import type { ProcessSnapshot, StallSnapshot } from './snapshot.ts';
import { Consumer, ConsumerSamples, consumerOf } from './stall-consumer.ts';
import { FilesSeen, isFirstRead, wasRead, wasReleased } from './stall-files.ts';
import { type EndedEpoch, processSnapshots, stallSnapshot } from './stall-report.ts';
import { Doing, look, unwatch, watch } from './stall-sampler.ts';
import { WaitTotals } from './stall-totals.ts';
import { Kind, ThreadState } from './threads.ts';

/** By the kernel's opcodes, most of which are about something else than reading. */
const OPCODES = 64;
const kinds: Kind[] = new Array(OPCODES).fill(Kind.OTHER);
for (const [kind, opcodes] of [
  [Kind.LOOKUP, [1]],
  [Kind.OPENING, [3, 14, 39]], // GETATTR, OPEN, IOCTL
  [Kind.READ, [15]],
  [Kind.DATA, [5, 22, 23, 27, 28, 34, 44, 46, 52]], // READLINK, GETXATTR, LISTXATTR, OPENDIR, READDIR, ACCESS, READDIRPLUS, LSEEK, STATX
  [Kind.NONE, [2, 18, 29, 36, 38, 42]], // FORGET, RELEASE, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET
] as const) {
  for (const opcode of opcodes) kinds[opcode] = kind;
}

/**
 * Between two looks at threads: often at first, until there are samples enough. Waking up for one costs some 0.1 ms of
 * processor time, whatever it then looks at. Never the same twice: no beat with the job.
 */
const FIRST_MS = 35;
const LATER_MS = 70;
const FIRST_TICKS = 600;
/** Threads looked at in one tick; of more, others the next time. */
const LOOKS_MOST = 8;
/** A thread that asked for nothing and was not held up for so long is not looked at any more. */
const SLEEPY_MS = 3000;
/** When nobody asked for anything for so long, what comes then is another job. */
const RUN_ENDS_MS = 300_000;
/** A thread this long silent may have ended, and its number may be another's. */
const RENAMED_MS = 5000;
/** Threads known; of more, those that came first are forgotten: what they waited is in their process's sums. */
const THREADS_MAX = 4096;
/** Known threads that are asked in one tick whether they still live, and when the last tick has come. */
const SWEEP = 1;
const SWEEP_TICKS = 10;
const SWEEP_LAST = 200;
const CONSUMERS_MAX = 64;
/** Ticks between two attempts to find a process's consumer, at first and at most; and attempts in one tick. */
const SEEK_TICKS = 8;
const SEEK_TICKS_MOST = 500;
const SEEKS_MOST = 2;

export class StallMeter {
  readonly #threads = new Map<number, ThreadState>();
  readonly #processes = new ProcessTable();
  readonly #files = new FilesSeen();
  /** Those that are looked at. */
  readonly #active: ThreadState[] = [];
  readonly #consumers = new Map<number, Consumer>();
  /** What those were seen doing that made way for others. */
  readonly #consumed = new ConsumerSamples();
  #current: ThreadState | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #next = 0;
  #ticks = 0;
  #firstTicks = FIRST_TICKS;
  #askedMs = Number.NEGATIVE_INFINITY;

  /** Of the epoch that goes on, and of those before it. */
  #epoch = new WaitTotals();
  readonly #before = new WaitTotals();
  #epochMs = -1;
  #epochs = 0;
  #ended: EndedEpoch | undefined;
  /** As it stood when the first of the files was opened again with which a new epoch may have begun. */
  #mark: { atMs: number; totals: WaitTotals } | undefined;

  // --- on the way of requests ----------------------------------------------------------------------------------------

  asked(id: number, opcode: number, nowMs: number): void {
    const kind = kinds[opcode & (OPCODES - 1)]!;
    if (kind === Kind.NONE || id === 0) return;
    if (nowMs - this.#askedMs > RUN_ENDS_MS) this.#newRun(nowMs);
    const thread = this.#thread(id, nowMs);
    thread.seen(nowMs, this.#epoch);
    thread.settle(nowMs, this.#epoch);
    if (kind !== Kind.READ) thread.asks(kind, nowMs, this.#epoch);
    this.#askedMs = nowMs;
    if (!thread.sampled) this.#activate(thread);
  }

  answered(id: number, opcode: number, begunMs: number, nowMs: number): void {
    const kind = kinds[opcode & (OPCODES - 1)]!;
    if (kind === Kind.NONE) return;
    if (id === 0) {
      if (kind !== Kind.OTHER) this.#processes.unknown.merged(nowMs - begunMs);
      return;
    }
    const thread = this.#current?.id === id ? this.#current : this.#threads.get(id);
    if (thread === undefined) return;
    thread.seen(nowMs, this.#epoch);
    thread.answered(kind === Kind.READ, begunMs, nowMs, this.#epoch);
    thread.process.lastMs = nowMs;
  }

  opened(handle: AccessedHandle, id: number, begunMs: number): void {
    const file = observed(handle.inode);
    const process = this.#processOf(id, begunMs);
    if (process.opens++ === 0 && process.pid !== null)
      process.command = lookAtProcess(process.pid)?.command ?? process.command;
    if (id === process.pid) process.mainRequests++;
    if (handle.way === 'source-passthrough' || handle.way === 'tier-passthrough') {
      process.totals.unseenOpens++;
      this.#epoch.unseenOpens++;
    }
    this.#current?.opening(isFirstRead(file), this.#epoch);
    if ((handle.flags & O_ACCMODE) !== O_RDONLY) return; // a file made anew is none of a data set
    const seen = this.#files.opened(file);
    if (seen === 'new') return;
    if (this.#files.again === 1 || this.#mark === undefined) this.#mark = { atMs: begunMs, totals: this.#epoch.copy() };
    if (seen === 'epoch') this.#newEpoch(this.#mark);
  }

  reading(handle: AccessedHandle, id: number, offset: number, size: number, begunMs: number): void {
    const process = this.#processOf(id, begunMs);
    process.reads++;
    if (id === process.pid) process.mainRequests++;
    if (this.#current === undefined) return;
    const { inode } = handle;
    const first = isFirstRead(observed(inode));
    const direct = (handle.flags & O_DIRECT) !== 0;
    const thread = this.#current;
    thread.readsNow(handle.id, offset, size, inode.attributes.size, first, direct, begunMs, this.#epoch);
    if (thread.wchan >= 0 && process.visible && thread.isToBeSeen(begunMs)) thread.seenGoingOn(look(thread.wchan));
  }

  read(handle: AccessedHandle, id: number, count: number, from: From, begunMs: number): void {
    const process = this.#processOf(id, begunMs);
    if (count <= 0) return;
    process.readBytes += count;
    wasRead(observed(handle.inode));
    this.#current?.readFrom(from === From.TIER);
  }

  released(handle: AccessedHandle): void {
    wasReleased(observed(handle.inode));
  }

  /** The process of a thread whose request is in hand; `#current` is the thread then. */
  #processOf(id: number, nowMs: number): ReadingProcess {
    if (id !== 0) return this.#thread(id, nowMs).process;
    this.#current = undefined;
    const { unknown } = this.#processes;
    if (unknown.firstMs < 0) unknown.firstMs = nowMs;
    unknown.lastMs = nowMs;
    return unknown;
  }

  #thread(id: number, nowMs: number): ThreadState {
    let thread = this.#current;
    if (thread === undefined || thread.id !== id) {
      thread = this.#threads.get(id);
      if (thread === undefined) thread = this.#newThread(id, nowMs);
      this.#current = thread;
    }
    if (nowMs - thread.lastMs > RENAMED_MS && thread.lastMs >= 0 && thread.free) {
      const pid = processIdOf(id);
      if (pid !== undefined && pid !== thread.process.pid) {
        this.#forget(thread);
        thread = this.#newThread(id, nowMs);
        this.#current = thread;
      }
    }
    return thread;
  }

  #newThread(id: number, nowMs: number): ThreadState {
    if (this.#threads.size >= THREADS_MAX) this.#forget(this.#threads.values().next().value!);
    const process = this.#processes.ofThread(id);
    process.threadsEver++;
    process.threadsLive++;
    if (process.firstMs < 0) process.firstMs = nowMs;
    const thread = new ThreadState(id, process);
    this.#threads.set(id, thread);
    return thread;
  }

  #newEpoch(mark: { atMs: number; totals: WaitTotals }): void {
    const consumed = new ConsumerSamples();
    for (const consumer of this.#consumers.values()) consumed.add(consumer.newEpoch());
    this.#ended = { seconds: (mark.atMs - this.#epochMs) / 1000, totals: mark.totals, consumed };
    this.#before.add(mark.totals);
    this.#epoch.subtract(mark.totals);
    this.#epochMs = mark.atMs;
    this.#epochs++;
    this.#mark = undefined;
  }

  #newRun(nowMs: number): void {
    this.#epoch = new WaitTotals();
    this.#before.clear();
    this.#ended = undefined;
    this.#mark = undefined;
    this.#epochMs = nowMs;
    this.#epochs = 0;
    this.#firstTicks = this.#ticks + FIRST_TICKS;
    this.#files.forgetEpoch();
    for (const consumer of this.#consumers.values()) consumer.close();
    this.#consumers.clear();
    this.#consumed.clear();
  }

  // --- looking at threads --------------------------------------------------------------------------------------------

  #activate(thread: ThreadState): void {
    if (this.#active.length >= THREADS_MAX) return;
    thread.sampled = true;
    this.#active.push(thread);
    if (this.#timer === undefined && !this.#stopped) this.#schedule();
  }

  #schedule(): void {
    const pauseMs = this.#ticks > this.#firstTicks ? LATER_MS : FIRST_MS;
    this.#timer = setTimeout(this.#tick, pauseMs * (0.75 + Math.random() / 2));
    this.#timer.unref();
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    this.#ticks++;
    this.#seekConsumers();
    const looks = Math.min(LOOKS_MOST, this.#active.length);
    for (let i = 0; i < looks && this.#active.length > 0; i++) {
      this.#next = (this.#next + 1) % this.#active.length;
      if (!this.#lookAt(this.#active[this.#next]!, nowMs)) this.#deactivate(this.#next);
    }
    let waits = this.#active.length > 0;
    for (const consumer of this.#consumers.values()) waits = consumer.sample(nowMs) || waits;
    if (!waits) this.#sweep(SWEEP_LAST);
    else if (this.#ticks % SWEEP_TICKS === 0) this.#sweep(SWEEP);
    if (waits) this.#schedule();
  };

  /** False: it need not be looked at again. */
  #lookAt(thread: ThreadState, nowMs: number): boolean {
    if (this.#threads.get(thread.id) !== thread) return false;
    if (thread.wchan < 0) thread.wchan = watch(thread.id);
    const doing = look(thread.wchan);
    if (doing === Doing.GONE) {
      this.#forget(thread);
      return false;
    }
    if (!thread.process.visible) return nowMs - thread.lastMs < SLEEPY_MS || !thread.free;
    thread.looked(doing, nowMs, this.#epoch);
    thread.process.consumer?.reader(doing === Doing.IDLE || doing === Doing.LOCKED, thread.lastMs);
    return !thread.free || nowMs - Math.max(thread.lastMs, thread.heldMs) < SLEEPY_MS;
  }

  #deactivate(index: number): void {
    const thread = this.#active[index]!;
    unwatch(thread.wchan);
    thread.wchan = -1;
    thread.sampled = false;
    const last = this.#active.pop()!;
    if (last !== thread) this.#active[index] = last;
  }

  #seekConsumers(): void {
    let sought = 0;
    for (const { process } of this.#active) {
      if (process.consumer !== undefined || !process.visible) continue;
      // A parent is seen at once; which threads read, and which does not, takes a while to show.
      if (this.#ticks < process.consumerSought) continue;
      if (++sought > SEEKS_MOST) return;
      process.consumerSought = this.#ticks + Math.min(SEEK_TICKS_MOST, SEEK_TICKS << Math.min(process.seeks++, 8));
      const pid = consumerOf(process);
      if (pid === undefined) continue;
      let consumer = this.#consumers.get(pid);
      if (consumer === undefined || consumer.gone) {
        if (this.#consumers.size >= CONSUMERS_MAX && !this.#letGo()) continue;
        const before = consumer;
        consumer = new Consumer(pid, pid === process.pid ? Doing.LOCKED : Doing.IDLE);
        if (before !== undefined) consumer.before.add(before.total(0));
        this.#consumers.set(pid, consumer);
      }
      process.consumer = consumer;
      consumer.readers.add(process);
    }
  }

  /** Makes room for a consumer: of one whose readers have ended only the sums stay. False: all have readers. */
  #letGo(): boolean {
    for (const [pid, consumer] of this.#consumers) {
      if (consumer.readers.size > 0) continue;
      consumer.close();
      this.#consumed.add(consumer.total(Number.POSITIVE_INFINITY));
      return this.#consumers.delete(pid);
    }
    return false;
  }

  #forget(thread: ThreadState): void {
    if (!this.#threads.delete(thread.id)) return;
    const { process } = thread;
    if (this.#current === thread) this.#current = undefined;
    if (--process.threadsLive > 0 || process.consumer === undefined) return;
    const { consumer } = process;
    consumer.readers.delete(process);
    process.consumer = undefined; // sought again, should it read on
    if (consumer.readers.size === 0) consumer.readersEnded();
  }

  /** Threads that have ended are forgotten, those that are still known go to the end of the row. */
  #sweep(most: number): void {
    for (let i = Math.min(most, this.#threads.size); i > 0; i--) {
      const thread = this.#threads.values().next().value!;
      if (!thread.sampled && !isAlive(thread.id)) this.#forget(thread);
      else {
        this.#threads.delete(thread.id);
        this.#threads.set(thread.id, thread);
      }
    }
  }

  // --- what is told --------------------------------------------------------------------------------------------------

  snapshot(): { processes: ProcessSnapshot[]; stall: StallSnapshot } {
    const nowMs = performance.now();
    const epoch = this.#epoch.copy();
    const open = new Map<ReadingProcess, WaitTotals>();
    for (const thread of this.#threads.values()) {
      if (thread.free) continue;
      let totals = open.get(thread.process);
      if (totals === undefined) {
        totals = thread.process.totals.copy();
        open.set(thread.process, totals);
      }
      thread.unfinished(nowMs, totals);
      thread.unfinished(nowMs, epoch);
    }
    const run = this.#before.copy();
    run.add(epoch);
    const consumed = new ConsumerSamples();
    consumed.add(this.#consumed);
    for (const consumer of this.#consumers.values()) consumed.add(consumer.total(nowMs));
    const processes = processSnapshots(this.#processes, open);
    const stall = stallSnapshot({
      run,
      consumed,
      consumers: [...this.#consumers.keys()],
      seconds: this.#epochMs < 0 ? 0 : (nowMs - this.#epochMs) / 1000,
      epoch: this.#epochs + 1,
      ended: this.#ended,
      processes,
    });
    return { processes, stall };
  }

  /** Whether it looks at threads from time to time: only while somebody reads. */
  get looking(): boolean {
    return this.#timer !== undefined;
  }

  get threads(): number {
    return this.#threads.size;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#active.length > 0) this.#deactivate(0);
    for (const consumer of this.#consumers.values()) consumer.close();
  }
}
