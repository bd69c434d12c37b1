/** Whether readers wait for bytes: work that nobody waits for leaves the source to them. */
import { performance } from '../sys/clock.ts';

/** A job that reads asks again within this: what it leaves free for a moment is not free. */
const HOLD_MS = 100;

export class Demand {
  #underWay = 0;
  #endedAtMs = Number.NEGATIVE_INFINITY;

  began(): void {
    this.#underWay++;
  }

  ended(): void {
    this.#underWay--;
    this.#endedAtMs = performance.now();
  }

  /** Somebody waits now, or did a moment ago. */
  get present(): boolean {
    return this.#underWay > 0 || performance.now() - this.#endedAtMs < HOLD_MS;
  }
}
