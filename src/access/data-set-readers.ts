/** The threads that read, and which process and job each belongs to. */
import type { Directory } from './data-set-tree.ts';
import { lookAtProcess, processIdOf } from './processes.ts';

/** After that long without a request a thread's number may have come to belong to another. */
const SURE_MS = 60_000;
const READERS_MOST = 8192;

export interface ProcessIdentity {
  pid: number | null;
  /** As in /proc/PID/comm. */
  command: string;
  /** The process group: what a shell starts as one job, and forked workers stay in. 0: unknown. */
  job: number;
}

const UNKNOWN: ProcessIdentity = { pid: null, command: '', job: 0 };

export class Reader {
  readonly thread: number;
  seenMs: number;
  identity: ProcessIdentity | undefined = undefined;
  opens = 0;
  /** Bits that stand for its process and its job in the directories' masks; 0: not asked for yet. */
  processBit = 0;
  jobBit = 0;
  /** Where it opened a file last. */
  directory: Directory | undefined = undefined;
  /** When its last read was answered (monotonic ms); 0: none yet. */
  answeredMs = 0;
  /** When anything of a data set was answered to it last; 0: nothing yet. */
  servedMs = 0;
  /** Its number in a recording, and which recording that is. */
  index = 0;
  recording = 0;

  /** What it has done until `begunMs` since it was answered; negative: it was not yet. */
  pauseMs(begunMs: number): number {
    return this.servedMs > 0 ? Math.max(0, begunMs - this.servedMs) : -1;
  }

  constructor(thread: number, nowMs: number) {
    this.thread = thread;
    this.seenMs = nowMs;
  }
}

export class Readers {
  readonly #identify: (thread: number) => ProcessIdentity;
  readonly #readers = new Map<number, Reader>();
  #last: Reader = new Reader(-1, 0);

  constructor(identify: (thread: number) => ProcessIdentity = identifyThread) {
    this.#identify = identify;
  }

  of(thread: number, nowMs: number): Reader {
    let reader = this.#last;
    if (reader.thread !== thread) {
      reader = this.#readers.get(thread) ?? this.#add(thread, nowMs);
      this.#last = reader;
    }
    if (nowMs - reader.seenMs > SURE_MS) {
      this.#readers.delete(thread);
      reader = this.#add(thread, nowMs);
      this.#last = reader;
    }
    reader.seenMs = nowMs;
    return reader;
  }

  /** Reads /proc the first time it is asked of a thread: when the thread waits for an answer, so that it is still there. */
  identity(reader: Reader): ProcessIdentity {
    reader.identity ??= this.#identify(reader.thread);
    return reader.identity;
  }

  /** The number of a thread's process, or the thread's where that was not asked for or cannot be seen. */
  processOf(thread: number): number {
    return this.#readers.get(thread)?.identity?.pid ?? thread;
  }

  #add(thread: number, nowMs: number): Reader {
    const reader = new Reader(thread, nowMs);
    this.#readers.set(thread, reader);
    if (this.#readers.size > READERS_MOST) {
      for (const oldest of this.#readers.keys()) {
        this.#readers.delete(oldest);
        break;
      }
    }
    return reader;
  }
}

export function identifyThread(thread: number): ProcessIdentity {
  const pid = processIdOf(thread);
  const seen = pid === undefined ? undefined : lookAtProcess(pid);
  return pid === undefined || seen === undefined ? UNKNOWN : { pid, command: seen.command, job: seen.group };
}
