/**
 * The one place where it is decided what is brought ahead of readers, and when.
 *
 *   orders by rank (order.ts)  -> is it believed? (trust.ts)  -> is there room, may the store be asked? -> host.fill -> ledger
 *
 * Demand does not come this way: it goes to the store at once, joins what is under way for the same bytes, and has a share of the
 * requests that may be under way for itself. How many are under way here goes by how the store takes them (window.ts); a store
 * that fails is left alone for a while, and one that does not answer is asked nothing more until it does.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Errno, type Failure, failed } from '../sys/errno.ts';
import type { HeldFile, PrefetchHost } from './host.ts';
import { type Account, Ledger, type Totals } from './ledger.ts';
import { Limiter, type StoreLimit } from './limit.ts';
import {
  ORDER_NAMES,
  type Order,
  type OrderName,
  type Orders,
  placeOf,
  type ReadFile,
  type Wanted,
  WHOLE_FILE_BYTES,
} from './order.ts';
import type { Spent } from './spent.ts';
import { Trust } from './trust.ts';
import { type AheadLimits, AheadWindow } from './window.ts';

export interface SchedulerOptions {
  /** Items that may be under way, each of which makes some requests, one after the other; and their bytes. */
  underWayMost: number;
  bytesMost: number;
  limit?: StoreLimit | undefined;
}

/** Of items under way: each makes some requests, one after the other. */
const WINDOW = { first: 16, least: 2, grow: 4, shrink: 12 } as const;
/** Of them so many may be under way, and wait for each other, where readers shall not notice. */
const UNNOTICED = { first: 16, least: 16, grow: 4, shrink: 4, careful: true } as const;
/**
 * Of processor time, in ms, an item takes half as much or less: brought no faster than this, it does not hold up readers. Where
 * answers are so quick that this comes to less than one, and before anything is known of them, one.
 */
const UNNOTICED_EACH_MS = 2;
/** Nothing answered for so long, in ms, while something is under way: the store hangs. */
const HUNG_MS = 3000;
/** So many have no answer then: one alone may be a file that hangs, and not its store. */
const HUNG_LEAST = 4;
/** Failures of the store in a row after which it is left alone, and for how long, in ms: at first, and at most. */
const FAILURES_MOST = 4;
const REST_MS = 500;
const REST_MOST_MS = 30_000;
const TEND_MS = 1000;
/** What is unknown of a file before it is found: counts as so many bytes under way. */
const GUESS_BYTES = 128 * 1024;
/** Of a larger file so much at a time: it has room made for it, and may not be wanted any more after each. */
const PART_BYTES = 8 * 1024 * 1024;

/** What jobs read in passes over their data, announced or guessed: where a plan is among them, jobs have the source in turns. */
const OF_A_PASS: ReadonlySet<OrderName> = new Set(['plan', 'repeat', 'bulk', 'unseen']);

interface Lane {
  readonly order: Order;
  readonly rank: number;
  readonly account: Account;
  readonly trust: Trust;
  /** It had nothing the last time; until it wakes. */
  empty: boolean;
}

/** What is under way. */
interface Item {
  readonly lane: Lane;
  readonly wanted: Wanted;
  /** The store has not answered it: it has a place in the window. */
  asks: boolean;
}

export interface OrderSnapshot {
  name: OrderName;
  about: string;
  bytes: number;
  usedBytes: number;
  wastedBytes: number;
  believed: boolean;
}

export interface PrefetchSnapshot {
  underWay: number;
  /** Requests that may be under way: what the store takes. */
  window: number;
  /** 'ok', or why nothing is asked of the store. */
  state: 'ok' | 'hung' | 'failing' | 'limited';
  failures: number;
  totals: ReadonlyMap<OrderName, Readonly<Totals>>;
  orders: OrderSnapshot[];
}

export class Scheduler implements Orders {
  readonly #host: PrefetchHost;
  readonly #bytesMost: number;
  readonly #window: AheadWindow;
  readonly #unnoticed: AheadWindow;
  readonly #limiter: Limiter | undefined;
  readonly #spent: Spent;
  readonly ledger: Ledger;
  /** By rank. */
  readonly #lanes: Lane[] = [];
  /** Those of a pass, by what they speak of; none while there is no plan: then rank is all. */
  #jobs: Lane[][] = [];
  /** Whose turn it is of the jobs, and of the lanes of each rank: the one behind who gave last. */
  #jobsTurn = 0;
  readonly #turns: number[] = ORDER_NAMES.map(() => 0);
  #underWay = 0;
  /** Of those under way, that the store has not answered: what has come, and is not kept yet, asks nothing more of it. */
  #asking = 0;
  #underWayBytes = 0;
  #answeredMs = 0;
  #failuresInRow = 0;
  #failures = 0;
  #restUntilMs = 0;
  #state: PrefetchSnapshot['state'] = 'ok';
  #pump: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;
  #tend: NodeJS.Timeout | undefined;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(host: PrefetchHost, spent: Spent, { underWayMost, bytesMost, limit }: SchedulerOptions) {
    this.#host = host;
    this.#spent = spent;
    this.#bytesMost = bytesMost;
    this.#window = windowOf(WINDOW, underWayMost);
    this.#unnoticed = windowOf(UNNOTICED, underWayMost);
    this.ledger = new Ledger((fileKey) => host.keeps(fileKey));
    if (limit?.bytesPerSecond !== undefined || limit?.requestsPerSecond !== undefined) {
      this.#limiter = new Limiter(limit, host.use(), host.nowMs());
    }
  }

  get roomBytes(): number {
    return Math.max(0, this.#host.freeBytes() + this.#spent.bytes - this.#underWayBytes);
  }

  get freeBytes(): number {
    return Math.max(0, this.#host.freeBytes() - this.#underWayBytes);
  }

  get unnoticed(): number {
    const { size, presentMs } = this.#unnoticed;
    return Math.min(size, Math.max(1, Math.floor(presentMs / UNNOTICED_EACH_MS)));
  }

  add(order: Order): void {
    const rank = ORDER_NAMES.indexOf(order.name);
    const account = this.ledger.account(order.name, order.about, order.soon);
    const lane: Lane = { order, rank, account, trust: new Trust(account), empty: false };
    const at = this.#lanes.findIndex((other) => other.rank > rank);
    this.#lanes.splice(at < 0 ? this.#lanes.length : at, 0, lane);
    this.#findJobs();
    this.wake();
  }

  remove(order: Order): void {
    const at = this.#lanes.findIndex((lane) => lane.order === order);
    if (at >= 0) this.#lanes.splice(at, 1);
    this.#findJobs();
  }

  wake(): void {
    for (const lane of this.#lanes) lane.empty = false;
    this.#soon();
  }

  /** A file was opened; `hidden`: its reads will not be seen. */
  opened(file: ReadFile, hidden: boolean): void {
    if (this.ledger.files > 0 && hidden) this.ledger.readWhole(file.fileKey);
    for (const { trust } of this.#lanes) trust.came(file, 0, 1);
  }

  read(file: ReadFile, offset: number, count: number): void {
    if (this.ledger.files > 0) this.ledger.read(file.fileKey, offset, count);
    for (const { trust } of this.#lanes) trust.came(file, offset, offset + count);
  }

  snapshot(): PrefetchSnapshot {
    return {
      underWay: this.#underWay,
      window: this.#window.size,
      state: this.#state,
      failures: this.#failures,
      totals: this.ledger.totals(),
      orders: this.#lanes.map(({ order: { name, about }, account, trust }) => ({
        name,
        about,
        bytes: account.broughtBytes,
        usedBytes: account.usedBytes,
        wastedBytes: account.wastedBytes,
        believed: trust.believed,
      })),
    };
  }

  /** Begins nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#lanes.length = 0;
    this.#jobs = [];
    clearImmediate(this.#pump);
    clearTimeout(this.#later);
    clearInterval(this.#tend);
    if (this.#underWay === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #soon(): void {
    if (this.#stopped) return;
    this.#pump ??= setImmediate(() => {
      this.#pump = undefined;
      this.#begin();
    });
  }

  #afterMs(ms: number): void {
    if (this.#later !== undefined || this.#stopped) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      this.#begin();
    }, ms).unref();
  }

  /** Begins as much as may be under way. */
  #begin(): void {
    while (!this.#stopped && this.#mayBegin()) {
      const taken = this.#take();
      if (taken === undefined) return;
      this.#underWay++;
      this.#takes(GUESS_BYTES);
      this.#tend ??= setInterval(() => this.#lookAfter(), TEND_MS).unref();
      const item = { ...taken, asks: false };
      this.#asks(item);
      void this.#bring(item);
    }
  }

  #mayBegin(): boolean {
    const nowMs = this.#host.nowMs();
    if (this.#underWay === 0) this.#answeredMs = nowMs;
    const hangs = this.#underWay >= HUNG_LEAST && nowMs - this.#answeredMs > HUNG_MS;
    this.#state = hangs ? 'hung' : 'ok';
    if (hangs || this.#asking >= this.#window.size || this.#underWayBytes >= this.#bytesMost) return false;
    if (nowMs < this.#restUntilMs) {
      this.#state = 'failing';
      this.#afterMs(this.#restUntilMs - nowMs);
    } else {
      const waitMs = this.#limiter?.waitMs(this.#host.use(), this.#underWayBytes, nowMs) ?? 0;
      if (waitMs > 0) {
        this.#state = 'limited';
        this.#afterMs(waitMs);
      }
    }
    return this.#state === 'ok';
  }

  #findJobs(): void {
    const lanes = this.#lanes.filter(({ order }) => OF_A_PASS.has(order.name));
    const planned = lanes[0]?.order.name === 'plan';
    this.#jobs = planned ? [...Map.groupBy(lanes, ({ order }) => order.about).values()] : [];
  }

  /** The next of the first order that has one; orders of one rank take turns. */
  #take(): { lane: Lane; wanted: Wanted } | undefined {
    const lanes = this.#lanes;
    const { length: jobs } = this.#jobs;
    for (let i = 0; i < jobs; i++) {
      const job = (this.#jobsTurn + i) % jobs;
      for (const lane of this.#jobs[job]!) {
        const wanted = this.#ask(lane);
        if (wanted === undefined) continue;
        this.#jobsTurn = job + 1;
        return { lane, wanted };
      }
    }
    for (let from = 0; from < lanes.length; ) {
      const { rank } = lanes[from]!;
      let to = from;
      while (to < lanes.length && lanes[to]!.rank === rank) to++;
      const count = to - from;
      for (let i = 0; i < count; i++) {
        const at = (this.#turns[rank]! + i) % count;
        const lane = lanes[from + at]!;
        const wanted = this.#ask(lane);
        if (wanted === undefined) continue;
        this.#turns[rank] = at + 1;
        return { lane, wanted };
      }
      from = to;
    }
    return undefined;
  }

  #ask(lane: Lane): Wanted | undefined {
    const { order, trust } = lane;
    if (lane.empty) return undefined;
    const wanted = order.next();
    if (wanted === undefined) {
      lane.empty = true;
      return undefined;
    }
    if (trust.believed) return wanted;
    trust.noted(wanted.file, wanted.offset, wanted.length);
    // Nothing was missing, as far as its reader goes; of a whole file nothing is known.
    order.settled(wanted, typeof wanted.file === 'string' ? -Errno.EBUSY : 0);
    return undefined; // one at a time: it is asked again when it wakes
  }

  async #bring(item: Item): Promise<void> {
    const { lane, wanted } = item;
    let outcome: number = -Errno.EIO;
    try {
      outcome = await this.#brought(item);
    } catch (error) {
      this.#host.defect(error);
    } finally {
      this.#underWay--;
      this.#hasAnswer(item);
      this.#takes(-GUESS_BYTES);
      this.#answered(outcome);
      lane.order.settled(wanted, outcome);
      if (this.#underWay === 0) this.#idle?.();
      this.#soon();
    }
  }

  #asks(item: Item): void {
    if (item.asks) return;
    item.asks = true;
    this.#asking++;
  }

  #hasAnswer(item: Item): void {
    if (!item.asks) return;
    item.asks = false;
    this.#asking--;
  }

  async #brought(item: Item): Promise<number> {
    const { lane, wanted } = item;
    const found = await this.#host.hold(wanted.file);
    if (failed(found)) return found;
    const held = found as HeldFile;
    try {
      if (wanted.sizeMost !== undefined && held.size > wanted.sizeMost) return -Errno.EFBIG;
      const offset = placeOf(wanted.offset, held.size);
      const end = Math.min(offset + wanted.length, held.size);
      const missing = held.missingBytes(offset, end - offset);
      this.#spent.remove(held.fileKey); // somebody will read it
      // Who has opened a small file reads all of it at once: it comes too late.
      if (missing > 0 && held.opens > 0 && held.size <= WHOLE_FILE_BYTES && wanted.length >= held.size)
        return -Errno.EBUSY;
      let brought = 0;
      for (let at = offset; at < end; at += PART_BYTES) {
        if (this.#stopped || (at > offset && !this.#goesOn(lane))) return -Errno.ECANCELED;
        if (at > offset) await turn(); // who has a higher rank goes first
        const came = await this.#part(item, held, at, Math.min(PART_BYTES, end - at));
        if (came < 0) return came;
        brought += came;
        this.#answeredMs = this.#host.nowMs();
        this.#soon();
      }
      return brought;
    } finally {
      held.release();
    }
  }

  /** Whether the next part of a large file is still wanted. */
  #goesOn(lane: Lane): boolean {
    return this.#lanes.includes(lane) && lane.order.goesOn?.() !== false;
  }

  async #part(item: Item, held: HeldFile, offset: number, length: number): Promise<number> {
    const { account } = item.lane;
    const missing = held.missingBytes(offset, length);
    if (missing <= 0) return 0;
    const more = Math.max(0, missing - GUESS_BYTES);
    this.#takes(more);
    let came = 0;
    let counted = 0;
    let tookMs = 0;
    let asking = 0;
    try {
      await this.#makeRoom(missing);
      this.#asks(item);
      const begunMs = this.#host.nowMs();
      counted = this.ledger.bringing(account, held.fileKey, offset + length, missing, begunMs);
      const arrived = (): void => {
        tookMs = this.#host.nowMs() - begunMs;
        asking = this.#asking;
        this.#hasAnswer(item);
        this.#soon();
      };
      came = (await held.fill(offset, length, { arrived, mayWait: item.wanted.mayWait })) as number;
    } finally {
      this.#takes(-more);
    }
    if (came > 0 && missing <= WHOLE_FILE_BYTES && tookMs > 0) {
      this.#window.answered(tookMs, asking);
      this.#unnoticed.answered(tookMs, asking);
    }
    const lost = counted - Math.max(0, came);
    if (lost > 0) this.ledger.withdraw(account, held.fileKey, offset + length, lost);
    return came;
  }

  /** So many bytes more are under way: readers' misses leave them room. */
  #takes(bytes: number): void {
    this.#underWayBytes += bytes;
    this.#host.claim(this.#underWayBytes);
  }

  /** Frees space for `bytes` more, beside the rest under way. What more it takes is for the cache's policy to say. */
  async #makeRoom(bytes: number): Promise<void> {
    let freed = 0;
    while (this.#host.freeBytes() < this.#underWayBytes && freed < 2 * bytes) {
      const more = await this.#spent.free((fileKey) => this.#host.drop(fileKey));
      if (more === 0 || this.#host.freeBytes() === 0) return; // none can go, or the tier takes nothing more
      freed += more;
    }
  }

  #answered(outcome: number): void {
    const nowMs = this.#host.nowMs();
    this.#answeredMs = nowMs;
    if (!isTrouble(outcome)) {
      if (outcome > 0) this.#failuresInRow = 0;
      return;
    }
    this.#failures++;
    this.#failuresInRow++;
    if (this.#failuresInRow < FAILURES_MOST) return;
    const tries = this.#failuresInRow - FAILURES_MOST;
    this.#restUntilMs = nowMs + Math.min(REST_MOST_MS, REST_MS * 2 ** Math.min(tries, 10));
  }

  #lookAfter(): void {
    this.ledger.sweep(this.#host.nowMs());
    if (this.#underWay === 0 && this.ledger.files === 0) {
      clearInterval(this.#tend);
      this.#tend = undefined;
    }
    this.#soon();
  }
}

function windowOf(limits: Omit<AheadLimits, 'most'>, underWayMost: number): AheadWindow {
  const most = Math.max(1, underWayMost);
  return new AheadWindow({ ...limits, most, first: Math.min(limits.first, most), least: Math.min(limits.least, most) });
}

/** Not an answer about the file, nor about room. */
function isTrouble(outcome: number): outcome is Failure {
  return TROUBLE.has(outcome);
}

const TROUBLE: ReadonlySet<number> = new Set(
  [Errno.EIO, Errno.ETIMEDOUT, Errno.ENOTCONN, Errno.ECONNABORTED].map((errno) => -errno),
);
