/**
 * What became of what was brought ahead: used is what somebody read, wasted what went out of the cache before anybody did, or
 * was not read for as long as it is worth waiting for. Each order is judged by that for what it speaks of.
 *
 *   brought -> read          used
 *           -> gone, or late wasted (until it is read after all)
 *
 * Of very many files some stand for all: those whose hash ends in enough zeros, counted so many times (spatial sampling, as
 * in SHARDS: Waldspurger et al., FAST 2015).
 */
import { hashOf } from '../packed/hash.ts';
import type { OrderName } from './order.ts';
import { Ranges } from './ranges.ts';

const FILES_MOST = 16_384;
const ACCOUNTS_MOST = 1024;
/** What is brought to be read soon and is not within this time counts as wasted, in ms. The others wait for the whole epoch. */
const LATE_MS = 10_000;
const SOON: ReadonlySet<OrderName> = new Set(['end', 'readahead', 'stride']);
/** Files looked after in one turn. */
const SWEPT = 64;

/** Bytes of an order. */
export interface Totals {
  broughtBytes: number;
  usedBytes: number;
  wastedBytes: number;
}

export class Account implements Totals {
  readonly name: OrderName;
  readonly about: string;
  /** What it counts is read soon, or not at all. */
  readonly soon: boolean;
  broughtBytes = 0;
  usedBytes = 0;
  wastedBytes = 0;

  constructor(name: OrderName, about: string, soon: boolean = SOON.has(name)) {
    this.name = name;
    this.about = about;
    this.soon = soon;
  }
}

interface Entry {
  readonly account: Account;
  readonly unread: Ranges;
  broughtAtMs: number;
  /** It counts as wasted by now. */
  late: boolean;
}

export class Ledger {
  readonly #keeps: (fileKey: string) => boolean;
  /** Of a file one for each order that brought some of it. */
  readonly #entries = new Map<string, Entry[]>();
  readonly #accounts = new Map<string, Account>();
  readonly #byName = new Map<OrderName, Account>();
  /** Of so many files one is noted: a power of two. */
  #oneIn = 1;
  #sweep: IterableIterator<[string, Entry[]]> | undefined;

  constructor(keeps: (fileKey: string) => boolean) {
    this.#keeps = keeps;
  }

  get files(): number {
    return this.#entries.size;
  }

  /** Where an order's bytes are counted, by what it speaks of. */
  account(name: OrderName, about: string, soon?: boolean): Account {
    const key = `${name}\0${about}`;
    let account = this.#accounts.get(key);
    if (account !== undefined)
      this.#accounts.delete(key); // it goes to the end: used last
    else account = new Account(name, about, soon);
    this.#accounts.set(key, account);
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= ACCOUNTS_MOST) break;
      this.#accounts.delete(oldest);
    }
    return account;
  }

  /** Of all that orders of a name have brought. */
  totals(): ReadonlyMap<OrderName, Readonly<Totals>> {
    return this.#byName;
  }

  /**
   * `bytes` of a file, up to `end`, are being brought: who reads them meanwhile has used them. Says how many count: not those
   * that are on their way for another order.
   */
  bringing(account: Account, fileKey: string, end: number, bytes: number, nowMs: number): number {
    const of = this.#entries.get(fileKey) ?? [];
    let gaps: [number, number][] = [[end - bytes, end]];
    for (const other of of) {
      if (other.account !== account) gaps = gaps.flatMap(([from, to]) => other.unread.gaps(from, to));
    }
    const counted = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
    this.#add(account, 'broughtBytes', counted);
    if (!this.#noted(fileKey) || counted === 0) return counted;
    let entry = of.find((one) => one.account === account);
    if (entry === undefined) {
      entry = { account, unread: new Ranges(), broughtAtMs: nowMs, late: false };
      of.push(entry);
      this.#entries.set(fileKey, of);
    } else this.#awaitAnew(entry);
    for (const [from, to] of gaps) entry.unread.add(from, to);
    entry.broughtAtMs = nowMs;
    if (this.#entries.size > FILES_MOST) this.#thin();
    return counted;
  }

  /** So many of these, up to `end`, have not come, or came for a reader of their own: what was read of them was not used either. */
  withdraw(account: Account, fileKey: string, end: number, bytes: number): void {
    this.#add(account, 'broughtBytes', -bytes);
    if (!this.#noted(fileKey)) return;
    const entry = this.#entries.get(fileKey)?.find((one) => one.account === account);
    const unread = entry?.unread.take(end - bytes, end) ?? 0;
    if (entry?.late === true) this.#add(account, 'wastedBytes', -unread * this.#oneIn);
    const read = Math.min(account.usedBytes, Math.max(0, bytes - unread) * this.#oneIn);
    this.#add(account, 'usedBytes', -read);
    if (entry !== undefined) this.#tidy(fileKey);
  }

  /** Bytes of a file are read by somebody. */
  read(fileKey: string, offset: number, count: number): void {
    for (const entry of this.#entries.get(fileKey) ?? []) {
      const bytes = entry.unread.take(offset, offset + count) * this.#oneIn;
      if (bytes === 0) continue;
      this.#add(entry.account, 'usedBytes', bytes);
      if (entry.late) this.#add(entry.account, 'wastedBytes', -bytes);
      if (entry.unread.bytes === 0) this.#tidy(fileKey);
    }
  }

  /** A file is opened whose reads are not seen. */
  readWhole(fileKey: string): void {
    this.read(fileKey, 0, Number.POSITIVE_INFINITY);
  }

  /** Looks after some of the files: what has gone, and what is late. To be called now and then. */
  sweep(nowMs: number): void {
    this.#sweep ??= this.#entries.entries();
    for (let looked = 0; looked < SWEPT; looked++) {
      const { value, done } = this.#sweep.next();
      if (done) {
        this.#sweep = undefined;
        return;
      }
      const [fileKey, of] = value;
      const gone = !this.#keeps(fileKey);
      for (const entry of of) if (gone || isLate(entry, nowMs)) this.#waste(entry);
      if (gone) this.#entries.delete(fileKey);
    }
  }

  #waste(entry: Entry): void {
    if (!entry.late) this.#add(entry.account, 'wastedBytes', entry.unread.bytes * this.#oneIn);
    entry.late = true;
  }

  /** More of the same file comes: what there is of it unread is waited for as long as that. */
  #awaitAnew(entry: Entry): void {
    if (entry.late) this.#add(entry.account, 'wastedBytes', -entry.unread.bytes * this.#oneIn);
    entry.late = false;
  }

  /** Forgets those of a file of which all was read. */
  #tidy(fileKey: string): void {
    const left = (this.#entries.get(fileKey) ?? []).filter(({ unread }) => unread.bytes > 0);
    if (left.length === 0) this.#entries.delete(fileKey);
    else this.#entries.set(fileKey, left);
  }

  #add(account: Account, what: keyof Totals, bytes: number): void {
    account[what] += bytes;
    let sum = this.#byName.get(account.name);
    if (sum === undefined) {
      sum = new Account(account.name, '');
      this.#byName.set(account.name, sum);
    }
    sum[what] += bytes;
  }

  #noted(fileKey: string): boolean {
    return this.#oneIn === 1 || (hashOf(fileKey) & (this.#oneIn - 1)) === 0;
  }

  #thin(): void {
    this.#oneIn *= 2;
    for (const fileKey of this.#entries.keys()) if (!this.#noted(fileKey)) this.#entries.delete(fileKey);
    this.#sweep = undefined;
  }
}

function isLate({ account, broughtAtMs }: Entry, nowMs: number): boolean {
  return account.soon && nowMs - broughtAtMs >= LATE_MS;
}
