/**
 * What a job has announced, as an order: no further ahead of the job than the cache has room for. What it takes no more is given
 * again when there is more room. A job that has enough for a while shares the processors and the store with what is brought: it
 * goes on then at a rate that readers, this job's and others', hardly notice.
 */
import { Errno, type Outcome } from '../../sys/errno.ts';
import type { Order, Orders, Wanted } from '../order.ts';
import type { Given, Plan } from '../plans/plan.ts';

/** An item that the cache does not take although there is room is given so often, and no more: some rule keeps it out. */
const REFUSALS_MOST = 3;
const REFUSED_MOST = 1024;
/** Of an item, before any was brought. */
const UNKNOWN_BYTES = 128 * 1024;
/**
 * A job that can go on for so long, in ms, with what was brought has enough; at first. A store is slow for some seconds now and
 * then: to last for these too, it is more the longer the job has gone on, by a share of that.
 */
const ENOUGH_FIRST_MS = 1000;
const ENOUGH_MOST_MS = 8000;
const ENOUGH_SHARE = 1 / 8;

export class PlanOrder implements Order {
  readonly name = 'plan';
  readonly plan: Plan;
  readonly #orders: Orders;
  /** How much room there was when the cache took no more; -1: it took the last. */
  #refusedAtBytes = -1;
  /** How often items were refused. */
  readonly #refusals = new Map<number, number>();
  /** Items given and not settled. */
  #underWay = 0;
  /** As many of them as may be. */
  #waits = false;

  constructor(plan: Plan, orders: Orders) {
    this.plan = plan;
    this.#orders = orders;
  }

  get about(): string {
    return this.plan.name;
  }

  next(): Given | undefined {
    const refused = this.#refusedAtBytes >= 0 && this.#orders.roomBytes <= this.#refusedAtBytes + this.plan.meanBytes;
    if (refused) return undefined;
    this.#waits = this.#underWay >= this.#most;
    const given = this.#waits ? undefined : this.plan.next();
    if (given !== undefined) this.#underWay++;
    return given;
  }

  /** Items that may be under way: the longer the job can go on without, the fewer. */
  get #most(): number {
    const lastsMs = this.plan.lastsMs(this.#underWay);
    if (!(lastsMs > 0)) return Number.POSITIVE_INFINITY;
    const enoughMs = Math.min(ENOUGH_MOST_MS, ENOUGH_FIRST_MS + this.plan.pace.goneOnMs * ENOUGH_SHARE);
    return this.#orders.unnoticed * Math.max(1, enoughMs / lastsMs) ** 2;
  }

  settled(wanted: Wanted, outcome: Outcome<number>): void {
    const given = wanted as Given;
    this.#underWay--;
    if (this.#waits) this.#orders.wake();
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
