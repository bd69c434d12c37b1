/**
 * What a job has announced, as an order: no further ahead of the job than the cache has room for. What it takes no more is given
 * again when there is more room.
 */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, Orders, Wanted } from '../order.ts';
import type { Given, Plan } from '../plans/plan.ts';

/** An item that the cache does not take although there is room is given so often, and no more: some rule keeps it out. */
const REFUSALS_MOST = 3;
const REFUSED_MOST = 1024;
/** Of an item, before any was brought. */
const UNKNOWN_BYTES = 128 * 1024;

export class PlanOrder implements Order {
  readonly name = 'plan';
  readonly plan: Plan;
  readonly #orders: Orders;
  /** How much room there was when the cache took no more; -1: it took the last. */
  #refusedAtBytes = -1;
  /** How often items were refused. */
  readonly #refusals = new Map<number, number>();

  constructor(plan: Plan, orders: Orders) {
    this.plan = plan;
    this.#orders = orders;
  }

  get about(): string {
    return this.plan.name;
  }

  next(): Given | undefined {
    const refused = this.#refusedAtBytes >= 0 && this.#orders.roomBytes <= this.#refusedAtBytes + this.plan.meanBytes;
    return refused ? undefined : this.plan.next();
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    const given = wanted as Given;
    if (outcome === -Errno.ENOSPC || outcome === -Errno.EDQUOT) {
      this.plan.settled(given, this.#mayTryAgain(given.item) ? -Errno.ECANCELED : outcome);
      return;
    }
    if (outcome > 0) this.#refusedAtBytes = -1;
    this.#refusals.delete(given.item);
    this.plan.settled(given, outcome);
  }

  /** Of one that was refused: a reader's miss may have taken its room, or what could go for it is in use. */
  #mayTryAgain(item: number): boolean {
    const { freeBytes, roomBytes } = this.#orders;
    if (freeBytes < 2 * (this.plan.meanBytes || UNKNOWN_BYTES)) {
      this.#refusedAtBytes = roomBytes;
      return true;
    }
    const times = (this.#refusals.get(item) ?? 0) + 1;
    if (this.#refusals.size >= REFUSED_MOST) this.#refusals.clear();
    if (times < REFUSALS_MOST) this.#refusals.set(item, times);
    else this.#refusals.delete(item);
    return times < REFUSALS_MOST;
  }
}
