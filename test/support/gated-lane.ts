/** A lane whose single system calls a test can hold back: to bring about one interleaving out of many. */
import { type AnyCall, Lane } from '../../src/store/posix/lane.ts';
import type * as sys from '../../src/sys/libc.ts';

export interface Held {
  /** Settles when the call has been made, and its answer waits. */
  readonly made: Promise<void>;
  letGo(): void;
}

export class GatedLane extends Lane {
  readonly #gates: { call: AnyCall; reached: () => void; opened: Promise<void> }[] = [];

  /** The answer of the next call of this kind waits until it is let go. */
  holdNext(call: unknown): Held {
    const reached = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    this.#gates.push({ call: call as AnyCall, reached: reached.resolve, opened: opened.promise });
    return { made: reached.promise, letGo: opened.resolve };
  }

  override async run(call: AnyCall, args: readonly sys.Argument[]): Promise<number> {
    const index = this.#gates.findIndex((gate) => gate.call === call);
    const gate = index < 0 ? undefined : this.#gates.splice(index, 1)[0];
    const result = await super.run(call, args);
    gate?.reached();
    await gate?.opened;
    return result;
  }
}
