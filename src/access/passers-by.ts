/**
 * Processes that read everything once and for no job: backup, virus and index scanners. Nothing is kept, or brought ahead, on
 * their account. They are told by name, as /proc/PID/comm has it.
 */
import { matchesGlob } from 'node:path';
import { lookAtProcess, processIdOf } from './processes.ts';

/** What the kernel keeps of a name (TASK_COMM_LEN, less the end). */
const NAME_BYTES = 15;
/** How long what a thread was found to be is believed: its number may go to another, or it may run another program. */
const BELIEVED_MS = 1000;
const THREADS_MOST = 4096;

interface Seen {
  passesBy: boolean;
  atMs: number;
}

export class PassersBy {
  readonly #names: readonly string[];
  readonly #seen = new Map<number, Seen>();

  /** Names, or globs of names. */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => (/[*?[{]/.test(name) ? name : name.slice(0, NAME_BYTES)));
  }

  /** Whether a thread is of such a process; those that cannot be seen are not. Reads /proc once a second and thread. */
  has(thread: number, nowMs: number): boolean {
    const before = this.#seen.get(thread);
    if (before !== undefined && nowMs - before.atMs < BELIEVED_MS) return before.passesBy;
    if (this.#seen.size >= THREADS_MOST) this.#seen.clear();
    const passesBy = this.#look(thread);
    this.#seen.set(thread, { passesBy, atMs: nowMs });
    return passesBy;
  }

  #look(thread: number): boolean {
    const pid = processIdOf(thread);
    const command = pid === undefined ? undefined : lookAtProcess(pid)?.command;
    return command !== undefined && this.#names.some((name) => matchesGlob(command, name));
  }
}
