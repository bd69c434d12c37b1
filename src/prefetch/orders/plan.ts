/**
 * What a job has announced, as an order: no further ahead of the job than the cache has room for, so that nothing goes out of
 * it again before it is read.
 */
import type { Outcome } from '../../sys/errno.ts';
import type { Order, Orders, Wanted } from '../order.ts';
import type { Plan } from '../plans/plan.ts';

export class PlanOrder implements Order {
  readonly name = 'plan';
  readonly plan: Plan;
  readonly #orders: Orders;

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
    return this.#orders.roomBytes > (underWay + 1) * meanBytes;
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    this.plan.settled(wanted, outcome);
  }
}
