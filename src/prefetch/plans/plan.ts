/**
 * One plan: what a job says it will read, in order, and how far it has come.
 *
 *   announced -> pending -> given to the scheduler -> dealt with -> done: the job has come to it
 *                   \------------- the job was quicker -----------/     or has gone past it
 *
 * The job is followed by what it opens, and within files that are named with ranges by what it reads. Items it has gone past
 * are forgotten, so that a plan that goes on and on takes no more memory than what is ahead.
 */
import { Errno, failed, type Outcome } from '../../sys/errno.ts';
import type { Wanted } from '../order.ts';
import type { SpentOwner } from '../spent.ts';
import { Items, KERNEL_PAGE_BYTES, State } from './items.ts';
import type { Listing } from './listing.ts';
import { Pace } from './pace.ts';
import { Paths } from './paths.ts';
import { Position } from './position.ts';

/** Items looked at to find the next: more in the next turn. */
const LOOK_MOST = 4096;
/** Followed is a plan of which something was read within this. */
const FOLLOWED_MS = 10_000;
/** Items forgotten in one turn. */
const FORGET_MOST = 4096;
/** Items looked at for the first that is a part of a file, when it is not seen which parts are read. */
const PARTS_LOOK_MOST = 16_384;
/** So far behind the job an item may still be found: what readers may be apart can grow to a part of that. */
const KEPT_BEHIND = 65_536;

/** Ahead of a job that has come to none of its items: so many, and so many bytes. As much again for each so many it has gone on. */
const CREDIT_ITEMS = 1024;
const CREDIT_BYTES = 256 * 1024 * 1024;
const CREDIT_FOR = 64;
const MISSING: ReadonlySet<number> = new Set(
  [Errno.ENOENT, Errno.ENOTDIR, Errno.EISDIR, Errno.EINVAL, Errno.ELOOP, Errno.ENAMETOOLONG].map((errno) => -errno),
);

/** Its keys are those of `plan --list --json` and of `plans[]` in `stats`. */
export interface PlanCounts {
  /** Announced. */
  items: number;
  /** Lines that say nothing. */
  malformed: number;
  given: number;
  /** Come to by the job after they were brought, or found in the cache; and before. */
  used: number;
  late: number;
  /** Not come to by the job, which went on behind them. */
  passed: number;
  /** Name no file. */
  missing: number;
  /** Could not be brought. */
  failed: number;
  broughtBytes: number;
  usedBytes: number;
}

/** An item in the hands of the scheduler. */
export interface Given extends Wanted {
  readonly item: number;
}

export class Plan implements SpentOwner {
  readonly name: string;
  readonly counts: PlanCounts = {
    items: 0,
    malformed: 0,
    given: 0,
    used: 0,
    late: 0,
    passed: 0,
    missing: 0,
    failed: 0,
    broughtBytes: 0,
    usedBytes: 0,
  };
  /** Announced to or read from last, monotonic ms. */
  usedAtMs: number;
  #cameAtMs = Number.NEGATIVE_INFINITY;
  /** Why the first line that says nothing does. */
  trouble = '';
  /** `bytes`, when it was looked at last: it is not cheap. */
  countedBytes = 0;
  readonly listing: Listing | undefined;
  readonly #paths: Paths;
  readonly #items = new Items();
  readonly #position = new Position();
  readonly pace = new Pace();
  /** The next to be looked at; those before were given, or will not be. */
  #front = 0;
  /** No item from here on was ever given. */
  #givenEnd = 0;
  /** Items that brought something. */
  #brought = 0;
  /** Brought for items that the job has not reached. */
  #aheadBytes = 0;

  constructor(name: string, listing: Listing | undefined, nowMs: number) {
    this.name = name;
    this.listing = listing;
    this.#paths = listing?.paths ?? new Paths();
    this.usedAtMs = nowMs;
  }

  /** Memory taken, in bytes, beside a listing's. */
  get bytes(): number {
    return this.#items.bytes + (this.listing === undefined ? this.#paths.bytes : 0);
  }

  get full(): boolean {
    return this.#items.full;
  }

  /** Whether one of the items may be a part of a file. */
  get ranges(): boolean {
    return this.#items.ranges;
  }

  /** Items that are still to be given. */
  get pending(): number {
    return this.#items.end - Math.max(this.#front, this.#position.passed, this.#items.first);
  }

  /** The job has come to all that was announced. */
  get done(): boolean {
    return this.#items.first === this.#items.end && this.counts.items > 0;
  }

  /** Of an item, in bytes, as far as they were brought. */
  get meanBytes(): number {
    return this.#brought === 0 ? 0 : this.counts.broughtBytes / this.#brought;
  }

  add(path: string, offset: number, length: number): void {
    this.#add(this.#paths.hold(path), offset, length);
  }

  /** By the number of a line in the listing; false: there is no such line. */
  addLine(line: number, offset: number, length: number): boolean {
    const file = this.listing?.at(line) ?? -1;
    if (file < 0) return false;
    this.#paths.holdAgain(file);
    this.#add(file, offset, length);
    return true;
  }

  #add(file: number, offset: number, length: number): void {
    this.#items.add(file, offset, length);
    this.counts.items++;
  }

  /** A plan that nobody reads is worth little; one that is read, as much as there is room for. */
  get #hasCredit(): boolean {
    const { reached, wentOn } = this.#position;
    const credit = 1 + wentOn / CREDIT_FOR;
    return this.#front - reached <= credit * CREDIT_ITEMS && this.#aheadBytes < credit * CREDIT_BYTES;
  }

  /** For how long the job has enough to go on with, in ms, without the `underWay` items that are being brought; NaN: it has not begun. */
  lastsMs(underWay: number): number {
    return (this.#front - this.#position.reached - underWay) / this.pace.itemsPerMs;
  }

  /** The next to be brought; undefined: none for now. */
  next(): Given | undefined {
    const items = this.#items;
    this.#front = Math.max(this.#front, this.#position.passed, items.first);
    if (!this.#hasCredit) return undefined;
    for (let looked = 0; this.#front < items.end && looked < LOOK_MOST; looked++) {
      const item = this.#front++;
      if (items.state(item) !== State.PENDING) continue;
      items.setState(item, State.GIVEN);
      this.#givenEnd = Math.max(this.#givenEnd, this.#front);
      this.counts.given++;
      const given: Given = {
        item,
        file: this.#paths.get(items.file(item)),
        offset: items.offset(item),
        length: items.length(item),
      };
      return given;
    }
    return undefined;
  }

  /** As `Order.settled`: -ECANCELED has it given again. */
  settled({ item }: Given, outcome: Outcome<number>): void {
    const { counts } = this;
    const items = this.#items;
    if (MISSING.has(outcome)) counts.missing++;
    else if (failed(outcome) && outcome !== -Errno.ECANCELED && outcome !== -Errno.EBUSY) counts.failed++;
    else if (outcome > 0) {
      counts.broughtBytes += outcome;
      this.#brought++;
    }
    if (item < items.first || items.state(item) !== State.GIVEN) return; // its reader was quicker
    if (outcome === -Errno.ECANCELED) {
      items.setState(item, State.PENDING);
      counts.given--;
      this.#front = Math.min(this.#front, item);
      return;
    }
    items.setState(item, State.DEALT);
    if (failed(outcome)) return;
    items.setBrought(item, outcome);
    if (item > this.#position.reached) this.#aheadBytes += items.brought(item);
  }

  /** Somebody has opened a file: whether it is of the plan. `hidden`: what is read of it will not be seen. */
  opened(path: string, hidden: boolean, nowMs: number): boolean {
    const file = this.#paths.find(path);
    if (file < 0) return false;
    let item = this.#items.findWhole(file);
    if (item < 0 && hidden && this.ranges) item = this.#firstPartOf(file);
    if (item >= 0) this.#came(item, nowMs);
    return item >= 0;
  }

  #firstPartOf(file: number): number {
    const items = this.#items;
    const from = Math.max(items.first, this.#position.reached);
    const end = Math.min(items.end, from + PARTS_LOOK_MOST);
    for (let item = from; item < end; item++) {
      if (items.file(item) === file && items.isFirst(item)) return item;
    }
    return -1;
  }

  /** Whether it will be read, as a whole, once more. */
  wants(path: string): boolean {
    const file = this.#paths.find(path);
    return file >= 0 && this.#items.findWhole(file) >= 0;
  }

  isFollowedIn(path: string, nowMs: number): boolean {
    if (this.pending <= 0 || nowMs - this.#cameAtMs > FOLLOWED_MS) return false;
    const next = Math.max(this.#front, this.#position.passed, this.#items.first);
    return path === '' || this.#paths.get(this.#items.file(next)).startsWith(`${path}/`);
  }

  /** Went from the cache after the job had read it: as it should be. */
  dropped(): void {}

  /** Somebody reads a range of a file: whether items begin in it. */
  read(path: string, offset: number, count: number, nowMs: number): boolean {
    const items = this.#items;
    const file = this.#paths.find(path);
    if (file < 0) return false;
    let found = false;
    const end = offset + count;
    for (let page = Math.floor(offset / KERNEL_PAGE_BYTES); page * KERNEL_PAGE_BYTES < end; page++) {
      const item = items.findInPage(file, page, end);
      if (item < 0) continue;
      this.#came(item, nowMs);
      found = true;
    }
    return found;
  }

  #came(item: number, nowMs: number): void {
    this.usedAtMs = nowMs;
    this.#cameAtMs = nowMs;
    const items = this.#items;
    const position = this.#position;
    if (items.state(item) === State.DEALT) {
      this.counts.used++;
      this.counts.usedBytes += items.brought(item);
    } else this.counts.late++;
    items.done(item);
    const { apart, reached } = position;
    position.came(item, this.#front);
    this.pace.came(position.reached, nowMs);
    const end = Math.min(position.reached + 1, this.#givenEnd);
    for (let at = Math.max(reached + 1, items.first); at < end; at++) this.#aheadBytes -= items.brought(at);
    if (position.apart > apart) this.#front = Math.min(this.#front, Math.max(items.first, position.passed));
    this.#forget();
  }

  /** Lets go of what is far behind the job, and of what is done at the front. */
  #forget(): void {
    const items = this.#items;
    const behind = this.#position.reached - KEPT_BEHIND;
    for (let forgotten = 0; items.first < items.end && forgotten < FORGET_MOST; forgotten++) {
      const item = items.first;
      if (items.state(item) !== State.DONE) {
        if (item >= behind) return;
        this.counts.passed++;
        items.done(item);
      }
      this.#paths.release(items.file(item));
      items.drop();
    }
  }
}
