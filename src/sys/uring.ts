/**
 * An io_uring (io_uring(7)): system calls that may wait, made by threads of the kernel's own. A call costs this thread 64
 * bytes written and 16 read; many are handed over by one io_uring_enter(2), and many taken back by none.
 *
 *   call: an entry of the submission queue       when this turn's microtasks are done: submitted, all together
 *   ...   a worker of the kernel makes it
 *   the ring's descriptor wakes libuv's loop     an immediate takes what has come, and resolves its promises
 *
 * Every call is given to a worker at once (IOSQE_ASYNC). The kernel would else try it on this thread first, and what it
 * believes not to wait (to open a file whose name is cached, of a FUSE file system) waits for the store all the same.
 *
 * INVARIANT: no more calls are in flight than the completion queue has room for, so it never overflows. The memory a call
 * works on is held until it has ended. The ring lasts as long as the process: what hangs cannot be taken back.
 */
import { isMainThread } from 'node:worker_threads';
import { Errno } from './errno.ts';
import * as sys from './libc.ts';
import { type Watch, watchReadable } from './libuv.ts';

/** Entries of the submission queue; of completions there can be twice as many. */
const ENTRIES = 256;
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const IOSQE_ASYNC = 1 << 4;
const FEATURE_SINGLE_MMAP = 1;
/** Linux >= 6.10, by what came with it (IORING_FEAT_RECVSEND_BUNDLE). */
const FEATURE_WRITES_APART = 1 << 14;
/** Linux >= 5.19: what completes is noted when this thread is in the kernel next, and does not interrupt it. */
const SETUP_COOP_TASKRUN = 1 << 8;
const OFFSET_SQES = 0x1000_0000;
const REGISTER_PROBE = 8;
const REGISTER_IOWQ_MAX_WORKERS = 19;
const OPCODES_MOST = 256;
const PROBE_HEAD_BYTES = 16;
const PROBE_OP_SUPPORTED = 1;
/** When the kernel was short of memory. */
const SUBMIT_AGAIN_MS = 5;

/** struct io_uring_params, in words. */
const Params = {
  words: 30,
  sqEntries: 0,
  cqEntries: 1,
  flags: 2,
  features: 5,
  sqTail: 11,
  sqArray: 16,
  cqHead: 20,
  cqTail: 21,
  cqes: 25,
} as const;

type Resolve = (result: number) => void;

/** What the kernel shares with us. */
interface Shared {
  parameters: Uint32Array;
  queues: ArrayBuffer;
  entries: ArrayBuffer;
  /** struct io_uring_probe_op, of 8 bytes each. */
  operations: Uint8Array;
}

export class Ring {
  /**
   * Workers change different files at the same time. Before Linux 6.10 they share 64 places, given by the file, of which each
   * lets in one at a time: a write that hangs held up a 64th of all other files.
   */
  readonly writesApart: boolean;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #operations: Uint8Array;
  /** Both queues' heads and tails, and the completions. */
  readonly #words: Int32Array;
  readonly #entries: Uint32Array;
  readonly #mask: number;
  readonly #completionMask: number;
  readonly #tailAt: number;
  readonly #completionHeadAt: number;
  readonly #completionTailAt: number;
  readonly #completionsAt: number;
  /** By the number that an entry carries: who waits for it, and what must not be collected before. */
  readonly #resolves: Resolve[];
  readonly #held: unknown[];
  /** Numbers without a call. */
  readonly #free: number[] = [];
  /** What is begun when there is room. */
  readonly #waiting: { begin: () => void; resolve: Resolve }[] = [];
  #tail = 0;
  /** Entries before `#tail` that the kernel has not taken yet. */
  #queued = 0;
  #submitPlanned = false;
  #reapPlanned = false;
  #broken = false;

  /** A negated errno where there can be none. `workers`: threads of the kernel at once. */
  static open(workers: number): Ring | number {
    if (!isMainThread) return -Errno.EOPNOTSUPP; // libuv's default loop is the main thread's
    const parameters = new Uint32Array(Params.words);
    let fd = setUp(parameters, SETUP_COOP_TASKRUN);
    if (fd === -Errno.EINVAL) fd = setUp(parameters, 0);
    if (fd < 0) return fd;
    const shared = share(fd, parameters, workers);
    const watch = typeof shared === 'number' ? undefined : watchReadable(fd);
    if (typeof shared !== 'number' && watch !== undefined) return new Ring(fd, shared, watch);
    sys.closeNow(fd);
    return typeof shared === 'number' ? shared : -Errno.EOPNOTSUPP;
  }

  private constructor(fd: number, { parameters, queues, entries, operations }: Shared, watch: Watch) {
    this.writesApart = (parameters[Params.features]! & FEATURE_WRITES_APART) !== 0;
    this.#fd = fd;
    this.#watch = watch;
    this.#operations = operations;
    this.#words = new Int32Array(queues);
    this.#entries = new Uint32Array(entries);
    const count = parameters[Params.sqEntries]!;
    const completions = parameters[Params.cqEntries]!;
    this.#mask = count - 1;
    this.#completionMask = completions - 1;
    this.#tailAt = parameters[Params.sqTail]! / 4;
    this.#completionHeadAt = parameters[Params.cqHead]! / 4;
    this.#completionTailAt = parameters[Params.cqTail]! / 4;
    this.#completionsAt = parameters[Params.cqes]! / 4;
    const array = parameters[Params.sqArray]! / 4;
    for (let index = 0; index < count; index++) this.#words[array + index] = index;
    this.#resolves = new Array<Resolve>(completions).fill(ignore);
    this.#held = new Array<unknown>(completions).fill(undefined);
    for (let index = completions; index-- > 0; ) this.#free.push(index);
  }

  supports(opcode: number): boolean {
    return (this.#operations[8 * opcode + 2]! & PROBE_OP_SUPPORTED) !== 0;
  }

  /**
   * What the call returns, or a negated errno. The fields of struct io_uring_sqe, in numbers and not in an object: this is on
   * the way of every call. `held`: what must not be collected before the call has ended, whatever the addresses are of.
   */
  call(
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    flags: number,
    held: unknown,
  ): Promise<number> {
    return new Promise((resolve) => {
      const begin = (): void => {
        const index = this.#begin(resolve, held);
        this.#write((this.#tail & this.#mask) * SQE_WORDS, opcode, fd, address, length, offset, flags, index);
        this.#queue();
      };
      if (this.#broken) resolve(-Errno.EIO);
      else if (this.#waiting.length === 0 && this.#hasRoom()) begin();
      else this.#waiting.push({ begin, resolve });
    });
  }

  #hasRoom(): boolean {
    if (this.#queued > this.#mask) this.#submit();
    return this.#free.length > 0 && this.#queued <= this.#mask;
  }

  #begin(resolve: Resolve, held: unknown): number {
    if (this.#free.length === this.#resolves.length) this.#watch.hold();
    const index = this.#free.pop()!;
    this.#resolves[index] = resolve;
    this.#held[index] = held;
    return index;
  }

  /** Words take the lowest 32 bits of a number. */
  #write(
    at: number,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    flags: number,
    index: number,
  ): void {
    const words = this.#entries;
    words[at] = opcode | (IOSQE_ASYNC << 8);
    words[at + 1] = fd;
    words[at + 2] = offset;
    words[at + 3] = offset / 2 ** 32;
    words[at + 4] = address;
    words[at + 5] = address / 2 ** 32;
    words[at + 6] = length;
    words[at + 7] = flags;
    words[at + 8] = index; // the words after it stay zero
  }

  #queue(): void {
    this.#tail = (this.#tail + 1) | 0;
    this.#queued++;
    if (this.#submitPlanned) return;
    this.#submitPlanned = true;
    process.nextTick(this.#submitNow); // when all who waited for the last completions have said what they want next
  }

  readonly #submitNow = (): void => {
    this.#submitPlanned = false;
    this.#submit();
    if (this.#queued === 0) this.#planReap();
    else this.#submitAgain();
  };

  #submit(): void {
    Atomics.store(this.#words, this.#tailAt, this.#tail);
    while (this.#queued > 0) {
      const taken = sys.ioUringSubmitNow(this.#fd, this.#queued);
      if (taken > 0) this.#queued -= taken;
      else if (SHORT.has(-taken)) return;
      else if (taken !== -Errno.EINTR) this.#fail();
    }
  }

  #submitAgain(): void {
    if (this.#submitPlanned) return;
    this.#submitPlanned = true;
    setTimeout(this.#submitNow, SUBMIT_AGAIN_MS);
  }

  /** The kernel takes nothing more, which is a defect. Whoever waits for what it has not taken shall not wait for ever. */
  #fail(): void {
    this.#broken = true;
    for (; this.#queued > 0; this.#queued--) {
      const at = ((this.#tail - this.#queued) & this.#mask) * SQE_WORDS;
      this.#ended(this.#entries[at + 8]!, -Errno.EIO);
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve(-Errno.EIO);
  }

  /** An immediate that does not keep the loop from waiting: it runs when something has woken it. */
  #planReap(): void {
    if (this.#reapPlanned) return;
    this.#reapPlanned = true;
    setImmediate(this.#reap).unref();
  }

  readonly #reap = (): void => {
    this.#reapPlanned = false;
    const words = this.#words;
    let head = words[this.#completionHeadAt]!;
    const tail = Atomics.load(words, this.#completionTailAt);
    for (; head !== tail; head = (head + 1) | 0) {
      const at = this.#completionsAt + (head & this.#completionMask) * CQE_WORDS;
      this.#ended(words[at]!, words[at + 2]!);
    }
    Atomics.store(words, this.#completionHeadAt, head);
    while (this.#waiting.length > 0 && this.#hasRoom()) this.#waiting.shift()!.begin();
    if (this.#free.length < this.#resolves.length) this.#planReap();
    else this.#watch.letGo();
  };

  #ended(index: number, result: number): void {
    const resolve = this.#resolves[index]!;
    this.#resolves[index] = ignore;
    this.#held[index] = undefined;
    this.#free.push(index);
    resolve(result);
  }
}

const ignore = (): void => {};

/** What io_uring_enter(2) says when it could take nothing for now. */
const SHORT: ReadonlySet<number> = new Set([0, Errno.EAGAIN, Errno.EBUSY, Errno.ENOMEM]);

function setUp(parameters: Uint32Array, flags: number): number {
  parameters[Params.flags] = flags;
  return sys.ioUringSetup.now(sys.SYS_io_uring_setup, ENTRIES, new Uint8Array(parameters.buffer));
}

function share(fd: number, parameters: Uint32Array, workers: number): Shared | number {
  const register = (operation: number, argument: Uint8Array, count: number): number =>
    sys.ioUringRegister.now(sys.SYS_io_uring_register, fd, operation, argument, count);
  if ((parameters[Params.features]! & FEATURE_SINGLE_MMAP) === 0) return -Errno.ENOSYS;
  const limits = new Uint8Array(new Uint32Array([workers, workers]).buffer); // for regular files, and for all else
  const limited = register(REGISTER_IOWQ_MAX_WORKERS, limits, 2);
  if (limited < 0) return limited === -Errno.EINVAL ? -Errno.ENOSYS : limited; // without it, too few
  const probe = new Uint8Array(PROBE_HEAD_BYTES + 8 * OPCODES_MOST);
  const probed = register(REGISTER_PROBE, probe, OPCODES_MOST);
  if (probed < 0) return probed;
  const [count, completions] = [parameters[Params.sqEntries]!, parameters[Params.cqEntries]!];
  const arrayEnd = parameters[Params.sqArray]! + 4 * count;
  const completionsEnd = parameters[Params.cqes]! + 4 * CQE_WORDS * completions;
  const queues = sys.shareMemory(fd, 0, Math.max(arrayEnd, completionsEnd));
  if (typeof queues === 'number') return queues;
  const entries = sys.shareMemory(fd, OFFSET_SQES, 4 * SQE_WORDS * count);
  if (typeof entries === 'number') return entries;
  return { parameters, queues, entries, operations: probe.subarray(PROBE_HEAD_BYTES) };
}
