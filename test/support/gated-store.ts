/** A store whose answers a test can hold back: the call is made at once, what it brought is delivered when let go. */
import type { Store } from '../../src/store/store.ts';

export class Gates {
  readonly #held = new Map<string, (() => void)[]>();

  /** From now on answers of this method wait. */
  hold(method: keyof Store): void {
    this.#held.set(method, []);
  }

  /** How many answers wait. */
  waiting(method: keyof Store): number {
    return this.#held.get(method)?.length ?? 0;
  }

  /** Delivers what waits, and holds nothing back any more. */
  letGo(method: keyof Store): void {
    const waiting = this.#held.get(method) ?? [];
    this.#held.delete(method);
    for (const resume of waiting) resume();
  }

  wrap(store: Store): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          const outcome = member.apply(target, args) as unknown;
          const queue = this.#held.get(String(name));
          if (queue === undefined) return outcome;
          return Promise.resolve(outcome).then((value) => new Promise((resolve) => queue.push(() => resolve(value))));
        };
      },
    });
  }
}
