/**
 * What a job has announced, as an order: no further ahead of the job than the cache has room for, so that nothing goes out of
 * it again before it is read.
 */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, Orders, Wanted } from '../order.ts';
import type { Plan } from '../plans/plan.ts';

export class PlanOrder implements Order {
  readonly name = 'plan';
  readonly plan: Plan;
  readonly #orders: Orders;
  /** How much room there was when the cache took no more all the same; -1: it took the last. */
  #refusedAtBytes = -1;

  constructor(plan: Plan, orders: Orders) {
    this.plan = plan;
    this.#orders = orders;
  }

  get about(): string {
    return this.plan.name;
  }

  next(): Wanted | undefined {
    return this.#roomForOne ? this.plan.next() : undefined;
  }

  /** Those under way have not taken their room yet. */
  get #roomForOne(): boolean {
    const { underWay, meanBytes } = this.plan;
    const { roomBytes } = this.#orders;
    return roomBytes > (underWay + 1) * meanBytes && roomBytes > this.#refusedAtBytes + meanBytes;
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    if (outcome === -Errno.ENOSPC || outcome === -Errno.EDQUOT) this.#refusedAtBytes = this.#orders.roomBytes;
    else if (outcome > 0) this.#refusedAtBytes = -1;
    this.plan.settled(wanted, outcome);
  }
}
