/**
 * Which process a thread belongs to, and what is known of processes that read.
 *
 * A request names the thread that made it. /proc/TID/status has its process; where the thread lives in another pid
 * namespace (0), or cannot be seen, its process is "unknown". Only files of /proc are read that take no lock a reader of
 * ours could hold while it waits for us: never cmdline, environ, maps (mmap_lock, held in a page fault), nor io, syscall,
 * stack (exec_update_lock, held while execve closes files of the mount).
 */
import { readFileSync } from 'node:fs';
import type { Consumer } from './stall-consumer.ts';
import { WaitTotals } from './stall-totals.ts';

/** Of one process, as the stall meter sums it up. Times in milliseconds. */
export class ReadingProcess {
  /** Null: those whose process cannot be seen. */
  readonly pid: number | null;
  command: string;
  readonly parent: number;
  /** Where its first stack begins: the same in a parent and a child that was forked and ran no other program. */
  readonly stack: string;

  /** Threads that asked for something, the living among them, and those that read. */
  threadsEver = 0;
  threadsLive = 0;
  opens = 0;
  reads = 0;
  readBytes = 0;
  firstMs = -1;
  lastMs = -1;

  /** Who consumes what it reads, once that is known. */
  consumer: Consumer | undefined = undefined;
  /** The tick to look for it again, and how often that was done. */
  consumerSought = 0;
  seeks = 0;
  nameless = false;
  readonly totals: WaitTotals = new WaitTotals();

  /** Opens and reads of its main thread: one that hardly reads may be who consumes. */
  mainRequests = 0;

  constructor(pid: number | null, command: string, parent: number, stack: string) {
    this.pid = pid;
    this.command = command;
    this.parent = parent;
    this.stack = stack;
  }

  /** A request of a thread that has no number here waited. Such threads cannot be told apart: no share comes of it. */
  merged(waitedMs: number): void {
    this.totals.certainMs += waitedMs;
    this.nameless = true;
  }

  /** Whether we may see what its threads wait for: the same permission shows its stack. */
  get visible(): boolean {
    return this.stack !== '0';
  }
}

export const UNKNOWN_COMMAND = 'unknown';

/** The id of a thread's process, or undefined: it cannot be seen. */
export function processIdOf(thread: number): number | undefined {
  if (thread <= 0) return undefined;
  const id = /^Tgid:\s+(\d+)/m.exec(readOf(`/proc/${thread}/status`))?.[1];
  return id === undefined ? undefined : Number(id);
}

/** What /proc/PID/stat tells; undefined: there is no such process any more. */
export function lookAtProcess(
  pid: number,
): { command: string; parent: number; group: number; stack: string } | undefined {
  const text = readOf(`/proc/${pid}/stat`);
  const end = text.lastIndexOf(')');
  if (end < 0) return undefined;
  // proc_pid_stat(5) counts from 1; after the name comes field 3.
  const fields = text.slice(end + 2).split(' ');
  return {
    command: text.slice(text.indexOf('(') + 1, end),
    parent: Number(fields[4 - 3]),
    group: Number(fields[5 - 3]),
    // Zero where we may not know: then nothing is the same as anything.
    stack: fields[28 - 3] ?? '0',
  };
}

/** Whether `child` is a fork of `parent` that went on in the same program: a worker, as a rule. */
export function isFork(child: { stack: string }, parent: { stack: string }): boolean {
  return child.stack === parent.stack && child.stack !== '0' && child.stack !== '';
}

export function isAlive(thread: number): boolean {
  const state = /^State:\s+(\w)/m.exec(readOf(`/proc/${thread}/status`))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

function readOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Processes remembered; of more, those that have been quiet for longest are forgotten. */
const PROCESSES_MAX = 512;

export class ProcessTable {
  readonly #byPid = new Map<number, ReadingProcess>();
  readonly unknown: ReadingProcess = new ReadingProcess(null, UNKNOWN_COMMAND, 0, '0');

  /** Reads /proc: for threads that are new. */
  ofThread(thread: number): ReadingProcess {
    const pid = processIdOf(thread);
    if (pid === undefined) return this.unknown;
    const known = this.#byPid.get(pid);
    const seen = known !== undefined && known.threadsLive > 0 ? known : lookAtProcess(pid);
    if (seen === undefined) return this.unknown;
    // A number may have been given again: another program, or another start of it, has another stack.
    if (known !== undefined && known.parent === seen.parent && known.stack === seen.stack) return known;
    if (this.#byPid.size >= PROCESSES_MAX) this.#forgetQuietest();
    const process = new ReadingProcess(pid, seen.command, seen.parent, seen.stack);
    this.#byPid.set(pid, process);
    return process;
  }

  get(pid: number): ReadingProcess | undefined {
    return this.#byPid.get(pid);
  }

  /** All of them, those whose process cannot be seen as one. */
  *[Symbol.iterator](): Generator<ReadingProcess> {
    yield* this.#byPid.values();
    if (this.unknown.lastMs >= 0) yield this.unknown;
  }

  #forgetQuietest(): void {
    let quietest: ReadingProcess | undefined;
    for (const process of this.#byPid.values()) {
      if (process.threadsLive > 0) continue;
      if (quietest === undefined || process.lastMs < quietest.lastMs) quietest = process;
    }
    quietest ??= this.#byPid.values().next().value;
    if (quietest?.pid != null) this.#byPid.delete(quietest.pid);
  }
}
