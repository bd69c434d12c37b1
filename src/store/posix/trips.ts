/**
 * One text for two speeds. An operation is written once, as a generator that yields the system calls it wants made
 * ("trips", since on a network store each may be one) and gets their results; the runner makes them on the calling
 * thread, on the pool, or in a thread that has the right credentials. On an inline store the whole operation so runs
 * in one turn and returns its outcome at once.
 */
import { Errno, type Outcome, type Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Identity } from '../store.ts';
import { Counts } from './counts.ts';
import type { CredentialWorkers } from './credential-workers.ts';
import { needsSwitch, withCredentials } from './credentials.ts';
import type { AnyCall, Lane } from './lane.ts';

export interface Trip {
  readonly call: AnyCall;
  readonly args: readonly sys.Argument[];
  /** Create as this user. */
  readonly who: Identity | undefined;
  /** May wait for a disk even on an inline store, and works on an open file: always on the pool. */
  readonly pool: boolean;
}

/** A promise can be yielded too: a wait for something another operation has begun. */
export type Steps<T> = Generator<Trip | Promise<number>, Outcome<T>, number>;

/** A call that finds, names or describes files. */
export function trip<A extends readonly sys.Argument[]>(call: sys.SystemCall<A>, ...args: A): Trip {
  return { call: call as unknown as AnyCall, args, who: undefined, pool: false };
}

/** A creation: what is made belongs to `who`. */
export function tripAs<A extends readonly sys.Argument[]>(who: Identity, call: sys.SystemCall<A>, ...args: A): Trip {
  return { call: call as unknown as AnyCall, args, who, pool: false };
}

/** A call on an open file that may take long anywhere (fsync, reading from disk). */
export function longTrip<A extends readonly sys.Argument[]>(call: sys.SystemCall<A>, ...args: A): Trip {
  return { call: call as unknown as AnyCall, args, who: undefined, pool: true };
}

export class Runner {
  readonly lane: Lane;
  /** Calls are made on the calling thread. */
  readonly inline: boolean;
  readonly counts: Counts = new Counts();
  /** Creations of a pooled store. */
  readonly #creator: CredentialWorkers | undefined;
  /** Threads that are another user for good, for sources that do not let this process in. */
  readonly #others: CredentialWorkers | undefined;
  /** Operations that have not ended, and who waits for that. */
  #underWay = 0;
  #idle: (() => void)[] = [];

  constructor(
    lane: Lane,
    inline: boolean,
    creator: CredentialWorkers | undefined,
    others: CredentialWorkers | undefined,
  ) {
    this.lane = lane;
    this.inline = inline;
    this.#creator = creator;
    this.#others = others;
  }

  run<T>(steps: Steps<T>): Reply<T> {
    const reply = this.#drive(steps, steps.next());
    if (reply instanceof Promise) {
      this.#underWay++;
      const ended = () => this.#ended();
      reply.then(ended, ended);
    }
    return reply;
  }

  #ended(): void {
    this.#underWay--;
    if (this.#underWay === 0) for (const wake of this.#idle.splice(0)) wake();
  }

  /**
   * Resolves when no operation is under way, or after `timeoutMs`: false. Between two calls of one the lane can be empty,
   * and what it holds open is needed all the same.
   */
  async idle(timeoutMs: number): Promise<boolean> {
    if (this.#underWay === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** Closes a descriptor, and waits for nothing. Needs nobody's credentials. */
  close(fd: number): void {
    if (this.inline) sys.closeNow(fd);
    else void this.lane.run(sys.close as unknown as AnyCall, [fd]);
  }

  #drive<T>(steps: Steps<T>, from: IteratorResult<Trip | Promise<number>, Outcome<T>>): Reply<T> {
    let turn = from;
    while (!turn.done) {
      const wanted = turn.value;
      const asked = wanted instanceof Promise ? undefined : wanted;
      const result = wanted instanceof Promise ? wanted : this.#execute(wanted);
      if (typeof result !== 'number') {
        return result.then(
          (value) => {
            if (asked !== undefined) this.counts.ended(asked.call, value);
            return this.#drive(steps, steps.next(value));
          },
          () => this.#drive(steps, steps.next(-Errno.EIO)),
        );
      }
      if (asked !== undefined) this.counts.ended(asked.call, result);
      turn = steps.next(result);
    }
    return turn.value;
  }

  /** One call on an open file, on the pool and beside any steps. */
  async alone({ call, args }: Trip): Promise<number> {
    this.counts.asked(call, args);
    const result = await this.lane.run(call, args);
    this.counts.ended(call, result);
    return result;
  }

  #execute(wanted: Trip): number | Promise<number> {
    this.counts.asked(wanted.call, wanted.args);
    if (wanted.pool) return this.lane.run(wanted.call, wanted.args);
    if (this.#others) return this.#others.run(wanted.call, wanted.args, wanted.who);
    if (this.inline) {
      if (wanted.who) return withCredentials(wanted.who, wanted.call, wanted.args);
      return wanted.call.now(...wanted.args);
    }
    if (wanted.who && this.#creator && needsSwitch(wanted.who))
      return this.#creator.run(wanted.call, wanted.args, wanted.who);
    return this.lane.run(wanted.call, wanted.args);
  }
}
