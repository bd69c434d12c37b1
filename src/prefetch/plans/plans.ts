/**
 * The plans that jobs have announced, side by side, each an order of its own. Told of what is opened and read; forgets a plan
 * whose job reads nothing of it for long. What all of them take is bounded: whoever announces more is told to wait.
 */
import { Errno, failed, type Outcome } from '../../sys/errno.ts';
import type { Log } from '../../telemetry/log.ts';
import type { PrefetchHost } from '../host.ts';
import type { Orders, ReadFile } from '../order.ts';
import { PlanOrder } from '../orders/plan.ts';
import type { Spent } from '../spent.ts';
import { Announcement, TAKEN_MOST, type Target } from './announcement.ts';
import type { Header } from './header.ts';
import type { Line } from './line.ts';
import { Listing } from './listing.ts';
import { Plan, type PlanCounts } from './plan.ts';

export const PLANS_MOST = 64;
export const LISTINGS_MOST = 16;
/** Of all plans and listings: a million items of as many paths of 40 bytes are some 90 MiB. */
const BYTES_MOST = 192 * 1024 * 1024;
/** A plan is forgotten after so long without an announcement to it or a read of it, a listing without a plan that uses it. */
const IDLE_MS = 15 * 60_000;
const TEND_MS = 15_000;
/** One all of whose items were read is remembered for so long, for whoever looks at the counts. */
const DONE_MS = 60_000;
/** Memory is counted again after so many lines. */
const COUNT_EACH = 1024;
const NEWLINE = 10;
/** Of files that are read in parts, paths remembered. */
const PATHS_REMEMBERED = 256;

export interface PlanSnapshot extends PlanCounts {
  name: string;
  /** Still to be given. */
  pending: number;
  /** Memory taken, and seconds since it was announced to or read from. */
  bytes: number;
  idleSeconds: number;
  /** Why the first line that says nothing does; '': none. */
  trouble: string;
}

export interface PlansSnapshot {
  plans: PlanSnapshot[];
  listings: { name: string; lines: number; bytes: number }[];
  bytes: number;
  bytesMost: number;
}

export interface PlansParts {
  orders: Orders;
  spent: Spent;
  host: Pick<PrefetchHost, 'nowMs' | 'keeps'>;
}

export interface PlansOptions {
  log: Log;
  /** Paths below it may be announced whole. */
  mountpoint: string;
  /** The kernel opens files by itself: their first read stands for it. */
  withoutOpen?: boolean;
  bytesMost?: number;
  idleMs?: number;
}

export class Plans {
  readonly #orders: Orders;
  readonly #spent: Spent;
  readonly #host: PlansParts['host'];
  readonly #log: Log;
  readonly #mountpoint: string;
  readonly #withoutOpen: boolean;
  readonly #bytesMost: number;
  readonly #idleMs: number;
  readonly #plans = new Map<string, PlanOrder>();
  readonly #listings = new Map<string, Listing>();
  readonly #pathsByNode = new Map<number, string>();
  #unnamed = 0;
  /** Memory taken as counted last, and lines since. */
  #bytes = 0;
  #lines = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ orders, spent, host }: PlansParts, options: PlansOptions) {
    this.#orders = orders;
    this.#spent = spent;
    this.#host = host;
    this.#log = options.log;
    this.#mountpoint = Buffer.from(options.mountpoint).toString('latin1');
    this.#withoutOpen = options.withoutOpen ?? false;
    this.#bytesMost = options.bytesMost ?? BYTES_MOST;
    this.#idleMs = options.idleMs ?? IDLE_MS;
  }

  /** For text that comes in pieces. */
  announcement(): Announcement {
    return new Announcement((header) => this.#begin(header), this.#mountpoint);
  }

  /** Whole lines, the header first: how many bytes of them were taken; or an errno as of `Announcement.write`. */
  announce(text: Uint8Array): { taken: Outcome<number>; trouble: string | undefined } {
    const announcement = this.announcement();
    const end = text.length <= TAKEN_MOST ? text.length : text.lastIndexOf(NEWLINE, TAKEN_MOST - 1) + 1;
    const taken = announcement.write(text.subarray(0, end || TAKEN_MOST));
    announcement.end();
    const none = !failed(taken) && taken < text.length && announcement.lines === 0;
    return { taken: none ? -Errno.ENOSPC : taken, trouble: announcement.trouble };
  }

  /** Forgets a plan, or a listing; false: there is none of that name. */
  withdraw(name: string): boolean {
    const order = this.#plans.get(name);
    if (order !== undefined) this.#remove(order);
    const known = order !== undefined || this.#listings.has(name);
    this.#listings.delete(name);
    this.#count();
    return known;
  }

  snapshot(): PlansSnapshot {
    this.#count();
    const nowMs = this.#host.nowMs();
    return {
      plans: [...this.#plans.values()].map(({ plan }) => ({
        name: plan.name,
        ...plan.counts,
        pending: plan.pending,
        bytes: plan.bytes,
        idleSeconds: (nowMs - plan.usedAtMs) / 1000,
        trouble: plan.trouble,
      })),
      listings: [...this.#listings.values()].map(({ name, length: lines, bytes }) => ({ name, lines, bytes })),
      bytes: this.#bytes,
      bytesMost: this.#bytesMost,
    };
  }

  /** A file was opened for reading. `hidden`: what is read of it will not be seen. */
  opened(file: ReadFile, hidden: boolean): void {
    if (this.#plans.size === 0) return;
    const path = file.path();
    const nowMs = this.#host.nowMs();
    let reads: Plan | undefined;
    for (const { plan } of this.#plans.values()) if (plan.opened(path, hidden, nowMs)) reads = plan;
    if (reads === undefined) return;
    // What was read, and is not read again soon by any job, goes for what will be.
    if (!this.#isWanted(path) && this.#host.keeps(file.fileKey)) {
      this.#spent.add(file.fileKey, reads, 0, file.attributes.size);
    }
    this.#orders.wake();
  }

  #isWanted(path: string): boolean {
    for (const { plan } of this.#plans.values()) if (plan.wants(path)) return true;
    return false;
  }

  /** Whether a job goes by its plan below that directory, and the plan has more to come there. */
  isFollowedIn(path: string): boolean {
    const nowMs = this.#host.nowMs();
    for (const { plan } of this.#plans.values()) if (plan.isFollowedIn(path, nowMs)) return true;
    return false;
  }

  /** A range of a file is read. */
  read(file: ReadFile, offset: number, count: number): void {
    if (this.#plans.size === 0) return;
    if (this.#withoutOpen && offset === 0) this.opened(file, false);
    let found = false;
    for (const { plan } of this.#plans.values()) {
      if (plan.ranges) found = plan.read(this.#pathOf(file), offset, count, this.#host.nowMs()) || found;
    }
    if (found) this.#orders.wake();
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const order of this.#plans.values()) this.#remove(order);
    this.#listings.clear();
  }

  /** Where an announcement goes; text: why it cannot. */
  #begin(header: Header): Target | string {
    this.#timer ??= setInterval(() => this.#tend(), TEND_MS).unref();
    switch (header.verb) {
      case 'withdraw':
        this.withdraw(header.name!);
        return nothing;
      case 'listing':
        return this.#beginListing(header);
      default:
        return this.#beginPlan(header);
    }
  }

  #beginListing({ name, mode }: Header): Target | string {
    const nowMs = this.#host.nowMs();
    let listing = mode === 'append' ? this.#listings.get(name!) : undefined;
    if (listing === undefined) {
      if (!this.#listings.has(name!) && this.#listings.size >= LISTINGS_MOST)
        return `there are ${LISTINGS_MOST} listings`;
      listing = new Listing(name!, nowMs);
      this.#listings.set(name!, listing);
    }
    const into = listing;
    into.usedAtMs = nowMs;
    return this.#target(
      () => false,
      ({ path }) => {
        into.add(path);
        return 0;
      },
    );
  }

  #beginPlan({ name = `plan-${++this.#unnamed}`, mode, listing }: Header): Target | string {
    const nowMs = this.#host.nowMs();
    const known = this.#plans.get(name);
    const from = listing === undefined ? undefined : this.#listings.get(listing);
    if (listing !== undefined && from === undefined) return `there is no listing ${listing}`;
    if (from !== undefined) from.usedAtMs = nowMs;
    if (known !== undefined && mode === 'append') {
      if (known.plan.listing !== from) return `plan ${name} was announced with another listing`;
      known.plan.usedAtMs = nowMs;
      return this.#targetOf(known.plan);
    }
    if (known !== undefined) this.#remove(known);
    else if (this.#plans.size >= PLANS_MOST && !this.#forgetDone()) return `there are ${PLANS_MOST} plans`;
    const order = new PlanOrder(new Plan(name, from, nowMs), this.#orders);
    this.#plans.set(name, order);
    this.#orders.add(order);
    this.#log.info({ plan: name }, 'a plan is announced');
    return this.#targetOf(order.plan);
  }

  #targetOf(plan: Plan): Target {
    const { listing } = plan;
    const take =
      listing === undefined
        ? ({ path, offset, length }: Line): 0 => {
            plan.add(path, offset, length);
            return 0;
          }
        : ({ path, offset, length }: Line): 0 | string =>
            /^\d{1,10}$/.test(path) && plan.addLine(Number(path), offset, length)
              ? 0
              : `listing ${listing.name} has no line ${path.slice(0, 20)}`;
    return this.#target(() => plan.full, take, plan);
  }

  #target(full: () => boolean, take: Target['take'], plan?: Plan): Target {
    const isFull = (): boolean => {
      if (this.#isFullFor(plan)) this.#count(); // the job may have read on meanwhile
      return this.#isFullFor(plan) || full();
    };
    return {
      get full() {
        return isFull();
      },
      take: (line) => {
        if (++this.#lines >= COUNT_EACH) this.#count();
        return take(line);
      },
      malformed: (why) => {
        if (plan === undefined) return;
        plan.counts.malformed++;
        plan.trouble ||= why;
      },
      wake: () => this.#orders.wake(),
    };
  }

  /** Makes room for another plan; false: all of them still have something to say. */
  #forgetDone(): boolean {
    for (const order of this.#plans.values()) {
      if (!order.plan.done) continue;
      this.#remove(order);
      return true;
    }
    return false;
  }

  /** One plan leaves half of the memory to others. */
  #isFullFor(plan: Plan | undefined): boolean {
    return this.#bytes >= this.#bytesMost || (plan !== undefined && plan.countedBytes >= this.#bytesMost / 2);
  }

  #remove(order: PlanOrder): void {
    this.#orders.remove(order);
    this.#spent.removeAll(order.plan); // the next epoch reads it again
    this.#plans.delete(order.plan.name);
  }

  #count(): void {
    this.#lines = 0;
    this.#bytes = 0;
    const counted = new Set<Listing>(this.#listings.values());
    for (const { plan } of this.#plans.values()) {
      plan.countedBytes = plan.bytes;
      this.#bytes += plan.countedBytes;
      if (plan.listing !== undefined) counted.add(plan.listing); // a replaced one lives on in its plans
    }
    for (const { bytes } of counted) this.#bytes += bytes;
  }

  #tend(): void {
    const nowMs = this.#host.nowMs();
    const before = nowMs - this.#idleMs;
    const doneBefore = nowMs - DONE_MS;
    for (const order of this.#plans.values()) {
      const { listing, usedAtMs, name, counts, done } = order.plan;
      if (listing !== undefined) listing.usedAtMs = nowMs;
      if (usedAtMs >= (done ? doneBefore : before)) continue;
      this.#log.info(
        { plan: name, ...counts },
        done ? 'a plan has come to its end' : 'nobody reads a plan: it is forgotten',
      );
      this.#remove(order);
    }
    for (const { name, usedAtMs } of this.#listings.values()) if (usedAtMs < before) this.#listings.delete(name);
    this.#count();
    if (this.#plans.size + this.#listings.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#pathsByNode.clear();
  }

  #pathOf(file: ReadFile): string {
    let path = this.#pathsByNode.get(file.nodeId);
    if (path !== undefined) return path;
    path = file.path();
    if (this.#pathsByNode.size >= PATHS_REMEMBERED) this.#pathsByNode.clear();
    this.#pathsByNode.set(file.nodeId, path);
    return path;
  }
}

/** Of an announcement that says all in its first line. */
const nothing: Target = { full: false, take: () => 'nothing follows this line', malformed: () => {}, wake: () => {} };
