/**
 * Requests that are answered later: those whose promise has not settled, and what an INTERRUPT does to them.
 *
 *   add -> settled            answered with what the promise brought
 *      \-> interrupted        answered EINTR; what the promise brings is given back
 *      \-> stopped            not answered; what the promise brings is given back
 */

import type { FileSystem, LateBytes } from '../overlay/filesystem.ts';
import { performance } from '../sys/clock.ts';
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { RequestObserver } from '../telemetry/requests.ts';
import type { Answerer, Ticket } from './answer.ts';
import type { Counters } from './counters.ts';
import type { FramePool } from './frame-pool.ts';
import type { Frame } from './requests.ts';

interface Pending extends Ticket {
  readonly key: number;
  /** Id of the thread that waits. */
  readonly thread: number;
  /** Kept while the file system uses the data in it. */
  readonly frame: Frame | undefined;
  readonly interruptible: boolean;
  answered: boolean;
}

/** How often a request that was interrupted, but not to end its process, is looked at again. */
const RECHECK_MS = 250;

/** A request's number as a key: the topmost bits only say that it was sent again after a restart. */
function keyOf(low: number, high: number): number {
  return (high & 0x1f_ffff) * 0x1_0000_0000 + low;
}

export class LateReplies {
  readonly #fileSystem: FileSystem;
  readonly #answerer: Answerer;
  readonly #counters: Counters;
  readonly #frames: FramePool;
  readonly #wantsToEnd: (thread: number) => boolean;
  readonly #observer: RequestObserver | undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #interrupted = new Set<Pending>();
  #recheck: NodeJS.Timeout | undefined;

  constructor(
    fileSystem: FileSystem,
    answerer: Answerer,
    counters: Counters,
    frames: FramePool,
    wantsToEnd: (thread: number) => boolean,
    observer?: RequestObserver,
  ) {
    this.#fileSystem = fileSystem;
    this.#answerer = answerer;
    this.#counters = counters;
    this.#frames = frames;
    this.#wantsToEnd = wantsToEnd;
    this.#observer = observer;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Answers when the promise settles. `frame`, when given, is then free again. */
  add(
    ticket: Ticket,
    thread: number,
    interruptible: boolean,
    frame: Frame | undefined,
    promise: Promise<Outcome<unknown>>,
  ): void {
    const key = keyOf(ticket.uniqueLow, ticket.uniqueHigh);
    const pending: Pending = { ...ticket, key, thread, frame, interruptible, answered: false };
    this.#pending.set(key, pending);
    this.#counters.late++;
    promise.then(
      (outcome) => this.#settled(pending, outcome),
      (error) => {
        this.#answerer.defect(pending.opcode, 'an operation rejected', error);
        this.#settled(pending, -Errno.EIO);
      },
    );
  }

  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const pending = this.#pending.get(keyOf(uniqueLow, uniqueHigh));
    // Of a request that was answered meanwhile it means nothing; and what changes something is left to finish.
    if (!pending?.interruptible) return;
    if (this.#wantsToEnd(pending.thread)) {
      this.#giveUp(pending);
      return;
    }
    this.#interrupted.add(pending);
    this.#recheck ??= setInterval(() => this.#lookAgain(), RECHECK_MS).unref();
  }

  /** The connection is gone: nothing is answered any more. Its descriptor is closed soon, and the number another file's. */
  stop(): void {
    for (const pending of this.#pending.values()) pending.answered = true;
    this.#interrupted.clear();
    clearInterval(this.#recheck);
  }

  #settled(pending: Pending, outcome: Outcome<unknown>): void {
    const { operation, opcode } = pending;
    const answerer = this.#answerer;
    if (this.#pending.get(pending.key) === pending) this.#pending.delete(pending.key);
    this.#interrupted.delete(pending);
    if (pending.frame) this.#frames.give(pending.frame);
    const late = operation.bytesLate && typeof outcome === 'object' ? (outcome as LateBytes) : undefined;
    try {
      if (pending.answered) {
        if (!failed(outcome)) operation.undo(this.#fileSystem, pending.node, outcome);
      } else if (late) {
        answerer.answerBytes(pending, late);
      } else if (operation.bytesLate && (outcome as number) > 0) {
        // The reply buffer holds other replies by now: a count without bytes cannot be right.
        answerer.defect(opcode, 'a late count of bytes without the bytes');
        answerer.fail(pending, -Errno.EIO);
      } else {
        answerer.answer(pending, outcome);
      }
    } catch (error) {
      answerer.defect(opcode, 'a late reply could not be encoded', error);
      if (!pending.answered) answerer.fail(pending, -Errno.EIO);
    }
    if (!pending.answered) this.#observed(pending);
    try {
      late?.release?.();
    } catch (error) {
      answerer.defect(opcode, 'the buffer of a late reply could not be given back', error);
    }
  }

  #giveUp(pending: Pending): void {
    pending.answered = true;
    this.#pending.delete(pending.key);
    this.#interrupted.delete(pending);
    this.#counters.interrupted++;
    this.#answerer.fail(pending, -Errno.EINTR);
    this.#observed(pending);
  }

  #observed({ thread, opcode, askedMs }: Pending): void {
    this.#observer?.answered(thread, opcode, askedMs, performance.now());
  }

  #lookAgain(): void {
    for (const pending of this.#interrupted) if (this.#wantsToEnd(pending.thread)) this.#giveUp(pending);
    if (this.#interrupted.size > 0) return;
    clearInterval(this.#recheck);
    this.#recheck = undefined;
  }
}
