/**
 * What a job has announced, as an order: no further ahead of the job than the cache has room for. What it takes no more is given
 * again when there is more room.
 */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, Orders, Wanted } from '../order.ts';
import type { Plan } from '../plans/plan.ts';

/** Refusals in a row, with room as it seemed, after which there is none: a reader's miss may have taken it. */
const REFUSALS_MOST = 8;

export class PlanOrder implements Order {
  readonly name = 'plan';
  readonly plan: Plan;
  readonly #orders: Orders;
  /** How much room there was when the cache took no more all the same; -1: it took the last. */
  #refusedAtBytes = -1;
  #refusals = 0;

  constructor(plan: Plan, orders: Orders) {
    this.plan = plan;
    this.#orders = orders;
  }

  get about(): string {
    return this.plan.name;
  }

  next(): Wanted | undefined {
    const refused = this.#refusedAtBytes >= 0 && this.#orders.roomBytes <= this.#refusedAtBytes + this.plan.meanBytes;
    return refused ? undefined : this.plan.next();
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    if (outcome === -Errno.ENOSPC || outcome === -Errno.EDQUOT) this.#refused();
    else if (outcome > 0) {
      this.#refusedAtBytes = -1;
      this.#refusals = 0;
    }
    this.plan.settled(wanted, outcome);
  }

  #refused(): void {
    const { roomBytes } = this.#orders;
    if (roomBytes < 2 * this.plan.meanBytes || ++this.#refusals >= REFUSALS_MOST) this.#refusedAtBytes = roomBytes;
  }
}
