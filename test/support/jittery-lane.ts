/**
 * A lane that makes the calls of a pooled store in any order, and delivers what they bring in any other, as the threads
 * of a pool may. All on one thread and by a seed: what was found once is found again.
 */
import { type AnyCall, Lane } from '../../src/store/posix/lane.ts';
import type * as sys from '../../src/sys/libc.ts';

/** Random numbers that are the same every time (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }
}

interface Pending {
  call: AnyCall;
  args: readonly sys.Argument[];
  result: number | undefined;
  resolve: (result: number) => void;
}

export class JitteryLane extends Lane {
  readonly #dice: Dice;
  readonly #pending: Pending[] = [];
  #running = false;

  constructor(seed: number) {
    super();
    this.#dice = new Dice(seed);
  }

  override get inFlight(): number {
    return this.#pending.length;
  }

  override run(call: AnyCall, args: readonly sys.Argument[]): Promise<number> {
    return new Promise((resolve) => {
      this.#pending.push({ call, args, result: undefined, resolve });
      if (!this.#running) {
        this.#running = true;
        setImmediate(() => this.#turn());
      }
    });
  }

  override async idle(): Promise<boolean> {
    while (this.#pending.length > 0) await new Promise(setImmediate);
    return true;
  }

  /** One call is made, or one answer delivered; whoever waited for that runs before the next turn. */
  #turn(): void {
    const index = this.#dice.below(this.#pending.length);
    const chosen = this.#pending[index]!;
    if (chosen.result === undefined) chosen.result = chosen.call.now(...chosen.args);
    else {
      this.#pending.splice(index, 1);
      chosen.resolve(chosen.result);
    }
    setImmediate(() => {
      if (this.#pending.length > 0) this.#turn();
      else this.#running = false;
    });
  }
}
