/** A store whose answers a test can hold back: the call is made at once, what it brought is delivered when let go. */
import type { Store } from '../../src/store/store.ts';

interface Gate {
  readonly waiting: (() => void)[];
  /** How many more answers are to wait. */
  left: number;
  /** Let go: what was asked before, and comes only now, waits no more. */
  open: boolean;
}

export class Gates {
  readonly #held = new Map<string, Gate>();

  /** From now on answers of this method wait: all of them, or the next `count`. */
  hold(method: keyof Store, count = Number.POSITIVE_INFINITY): void {
    this.#held.set(method, { waiting: [], left: count, open: false });
  }

  /** How many answers wait. */
  waiting(method: keyof Store): number {
    return this.#held.get(method)?.waiting.length ?? 0;
  }

  /** Delivers what waits, and holds nothing back any more. */
  letGo(method: keyof Store): void {
    const gate = this.#held.get(method);
    if (gate === undefined) return;
    gate.open = true;
    this.#held.delete(method);
    for (const resume of gate.waiting) resume();
  }

  wrap(store: Store): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          const outcome = member.apply(target, args) as unknown;
          const gate = this.#held.get(String(name));
          if (gate === undefined || gate.left === 0) return outcome;
          gate.left--;
          return Promise.resolve(outcome).then((value) =>
            gate.open ? value : new Promise((resolve) => gate.waiting.push(() => resolve(value))),
          );
        };
      },
    });
  }
}
