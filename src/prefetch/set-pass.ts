/**
 * One data set, and what a pass over it has still to read. The order in which a job reads a set that it shuffles cannot be
 * known, but in a pass each file is read once: whatever was not read yet will be, and is brought at the speed of the link.
 *
 *   bulk    the cache has room for all that is missing
 *   unseen  it has not: what was read in this pass goes (spent.ts) for what was not
 *
 * Both are the same walk over the catalogue; the room decides how far it gets. Where the pass repeats the one before, what
 * comes next is known, and that goes first (`repeat`). Guards: it stays ahead of the job by no more than a multiple of what the
 * job has read, so that a job that stops after a few files has not cost the whole set; it ends with the job; and a set some of
 * whose files are read over and over is no set that is read in passes.
 */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import { Catalogue, Noted } from './catalogue.ts';
import type { PrefetchHost } from './host.ts';
import { Lister } from './lister.ts';
import type { Order, Orders, ReadFile, Wanted } from './order.ts';
import { Repetition } from './repetition.ts';
import { Retries } from './retries.ts';
import type { Spent, SpentOwner } from './spent.ts';

/** Ahead of the job, in bytes: so much, and so many times what it has read in this pass. */
const LEAD_BYTES = 256 * 1024 * 1024;
const LEAD_TIMES = 32;
/** And in files: what is kept of one that was brought and not read takes some 110 bytes of memory, 28 MiB for so many. */
const LEAD_FILES = 262_144;
/**
 * Ahead in an order that is known, of the cache: enough never to be waited for, and no more, since what goes for it is read
 * later in the same pass and must be brought again.
 */
const REPEAT_SHARE = 1 / 16;
/** Who reads a larger file (a tar shard) is read ahead of in it; to bring others meanwhile would take the link from them. */
const LARGE_BYTES = 8 * 1024 * 1024;
/**
 * For so many rounds no more of its files are under way than readers hardly notice; and then one more for each so much of a
 * round, and so many files at least. At first nearly all that the job asks for it has to wait for, in the queue that is made
 * here: so that is kept short. A round is as many files as that, and takes a few trips to the store: a worker opens and reads
 * its first batch in some 64.
 */
const UNNOTICED_ROUNDS = 16;
const MORE_EACH = 1 / 2;
const MORE_EACH_FILES = 4;
/** Without an open for so long, in ms, nothing more is brought. */
const PAUSE_MS = 10_000;
/** Of all opens, those of files that this pass had seen already, above which it is no pass. */
const REREADS_MOST = 0.2;
const REREADS_LEAST = 32;
/** Opens after which it is looked at anew whether all of it finds room. */
const OPENS_BETWEEN = 16;
/** In a row. */
const REFUSALS_MOST = 32;
/** Items looked at for one to be given in one turn: less than 5 ms. */
const LOOKED_AT_MOST = 65_536;
/** Files that are open at a time, at most, as far as it matters. */
const RECENT = 64;
/** Opens at the beginning of a pass that are counted to the one before. */
const LATE_MOST = 128;

export interface SetParts {
  host: PrefetchHost;
  orders: Orders;
  spent: Spent;
  /** Whether a job has said what it will read below a directory, and does: nothing is guessed there. */
  announced?: (path: string) => boolean;
}

interface Read {
  fileKey: string;
  item: number;
  size: number;
}

export class SetPass implements Order, SpentOwner {
  /** What is known of the order. */
  readonly repeat: Order;
  readonly #repetition = new Repetition();
  #repeatCursor = 0;
  name: 'bulk' | 'unseen' = 'bulk';
  readonly about: string;
  readonly #parts: SetParts;
  readonly #catalogue = new Catalogue();
  #pass: number;
  #cursor = 0;
  readonly #lister: Lister;
  readonly #retries = new Retries();
  /** Files of the set that were opened: for the mean size. */
  #sized = 0;
  #sizedBytes = 0;
  /** In this pass. */
  #opens = 0;
  #rereads = 0;
  #readBytes = 0;
  #underWay = 0;
  #brought = 0;
  /** Brought and not read. */
  #unread = 0;
  #cached = 0;
  /** It was found out whether this pass repeats the one before. */
  #orderKnown = false;
  /** Read a moment ago, and perhaps still open. */
  readonly #recent: Read[] = [];
  /** Read again in this pass, lately: they may be the first of the next. */
  #late: number[] = [];
  #openedMs: number;
  /** The cache took no more when so much room was left. */
  #refusedAtRoom = -1;
  #refusals = 0;
  #waits = false;
  #stopped = false;

  constructor(path: string, pass: number, parts: SetParts) {
    this.about = path;
    this.#parts = parts;
    this.#pass = pass;
    this.#openedMs = parts.host.nowMs();
    this.repeat = {
      name: 'repeat',
      about: path,
      next: () => this.#nextRepeated(),
      goesOn: () => this.#mayGoOn(),
      settled: (wanted, outcome) => this.settled(wanted, outcome),
    };
    this.#lister = new Lister(parts.host, this.#catalogue, path, () => this.#listedMore());
  }

  // --- what the job does ---------------------------------------------------------------------------------------------

  /** A file of the set is opened in a pass (from 1). */
  opened(file: ReadFile, pass: number, nowMs: number): void {
    this.#openedMs = nowMs;
    if (pass !== this.#pass) this.#begin(pass);
    const item = this.#catalogue.find(file.path());
    const { size } = file.attributes;
    this.#sized++;
    this.#sizedBytes += size;
    if (++this.#opens % OPENS_BETWEEN === 0) this.#judge();
    if (item >= 0) this.#see(item, file.fileKey, size);
    this.#goOn();
  }

  /** The store had to be asked for it: it was not in the cache. */
  missed(file: ReadFile): void {
    const item = this.#catalogue.find(file.path());
    if (item >= 0) this.#uncached(item);
    else this.#lister.unknown();
  }

  #see(item: number, fileKey: string, size: number): void {
    const catalogue = this.#catalogue;
    if (this.#seen(item)) {
      this.#rereads++;
      this.#late.push(item);
      if (this.#late.length > LATE_MOST) this.#late.shift();
      return;
    }
    catalogue.see(item, this.#pass);
    this.#parts.spent.remove(fileKey);
    this.#learnOrder(item);
    this.#readBytes += size;
    this.#recent.push({ fileKey, item, size });
    if (this.#recent.length > RECENT) this.#rest(this.#recent.shift()!);
    if (catalogue.has(item, Noted.UNREAD)) {
      catalogue.clear(item, Noted.UNREAD);
      this.#unread--;
    }
  }

  /**
   * What the pass before read last is, where this one repeats it, what is read last again, and may go first. Else it is as
   * likely to be the next as anything.
   */
  #learnOrder(item: number): void {
    this.#repetition.read(item);
    if (this.#orderKnown || !this.#repetition.decided) return;
    this.#orderKnown = true;
    if (!this.#repetition.repeats) this.#parts.spent.removeAll(this);
  }

  /** Its reader has most likely closed it. What the cache has of it will not be read again in this pass. */
  #rest({ fileKey, item, size }: Read): void {
    if (!this.#parts.host.keeps(fileKey)) {
      this.#uncached(item);
      return;
    }
    this.#isCached(item);
    // Where all finds room nothing has to go.
    if (this.name === 'unseen' && this.#inPasses) this.#parts.spent.add(fileKey, this, item, size);
  }

  #isCached(item: number): void {
    if (this.#catalogue.has(item, Noted.CACHED)) return;
    this.#catalogue.note(item, Noted.CACHED);
    this.#cached++;
  }

  #begin(pass: number): void {
    this.#pass = pass;
    this.#cursor = 0;
    this.#repeatCursor = 0;
    this.#repetition.begin();
    this.#opens = 0;
    this.#rereads = 0;
    this.#readBytes = 0;
    this.#refusedAtRoom = -1;
    this.#retries.clear();
    this.#orderKnown = false;
    this.#recent.length = 0;
    for (const item of this.#late) {
      this.#catalogue.see(item, pass);
      this.#learnOrder(item);
    }
    this.#late = [];
    this.#judge();
  }

  get #inPasses(): boolean {
    return this.#rereads < REREADS_LEAST || this.#rereads <= REREADS_MOST * this.#opens;
  }

  // --- what is brought -----------------------------------------------------------------------------------------------

  next(): Wanted | undefined {
    this.#waits = true;
    // What comes later must not take the room of what comes next.
    const inOrder = this.#repetition.repeats || !this.#repetition.decided;
    if (!this.#mayBegin() || (this.name === 'unseen' && inOrder)) return undefined;
    const again = this.#retried();
    if (again !== undefined) return again;
    const until = Math.min(this.#catalogue.size, this.#cursor + LOOKED_AT_MOST);
    while (this.#cursor < until) {
      const wanted = this.#give(this.#cursor++);
      if (wanted !== undefined) return wanted;
    }
    if (until < this.#catalogue.size) setImmediate(() => this.#goOn());
    return undefined;
  }

  #retried(): Wanted | undefined {
    const nowMs = this.#parts.host.nowMs();
    for (let item = this.#retries.take(nowMs); item !== undefined; item = this.#retries.take(nowMs)) {
      if (!this.#seen(item)) return this.#wanted(item);
      this.#retries.remove(item);
    }
    return undefined;
  }

  #nextRepeated(): Wanted | undefined {
    this.#waits = true;
    if (!this.#repetition.repeats || !this.#mayBegin()) return undefined;
    if (this.#unread * this.#meanBytes > REPEAT_SHARE * this.#parts.host.capacityBytes()) return undefined;
    this.#repeatCursor = Math.max(this.#repeatCursor, this.#repetition.at);
    const again = this.#retried();
    if (again !== undefined) return again;
    for (let looked = 0; looked < LOOKED_AT_MOST; looked++) {
      const item = this.#repetition.itemAt(this.#repeatCursor);
      if (item === undefined) return undefined;
      this.#repeatCursor++;
      const wanted = this.#give(item);
      if (wanted !== undefined) return wanted;
    }
    setImmediate(() => this.#goOn());
    return undefined;
  }

  #seen(item: number): boolean {
    return this.#catalogue.seenIn(item, this.#pass);
  }

  /** The item, unless it was read in this pass, is there, or was given before. */
  #give(item: number): Wanted | undefined {
    const catalogue = this.#catalogue;
    if (this.#seen(item) || catalogue.has(item, Noted.CACHED)) return undefined;
    return catalogue.givenIn(item, this.#pass) ? undefined : this.#wanted(item);
  }

  #wanted(item: number): Wanted {
    this.#waits = false;
    this.#underWay++;
    this.#catalogue.give(item, this.#pass);
    return { file: this.#catalogue.path(item), offset: 0, length: Number.POSITIVE_INFINITY, sizeMost: LARGE_BYTES };
  }

  goesOn(): boolean {
    return this.#mayGoOn();
  }

  settled({ file }: Wanted, outcome: Outcome<number>): void {
    this.#underWay--;
    this.#goOn();
    const item = this.#catalogue.find(file as string);
    if (item < 0) return;
    if (!failed(outcome)) {
      this.#refusedAtRoom = -1;
      this.#refusals = 0;
      this.#retries.remove(item);
      this.#isCached(item);
      if (outcome === 0) return;
      this.#brought++;
      if (this.#seen(item)) return;
      if (this.#catalogue.has(item, Noted.UNREAD)) return;
      this.#catalogue.note(item, Noted.UNREAD);
      this.#unread++;
      return;
    }
    const noRoom = outcome === -Errno.ENOSPC || outcome === -Errno.EDQUOT;
    if (noRoom) this.#refused();
    if (noRoom || outcome === -Errno.ECANCELED || outcome === -Errno.EAGAIN) {
      this.#retries.put(item, this.#parts.host.nowMs());
    } else this.#retries.remove(item);
  }

  /** A reader's miss may have taken the room. Where there is more, it is tried again; but not for ever. */
  #refused(): void {
    const { roomBytes } = this.#parts.orders;
    if (roomBytes < 2 * this.#meanBytes || ++this.#refusals >= REFUSALS_MOST) this.#refusedAtRoom = roomBytes;
  }

  #mayBegin(): boolean {
    const round = this.#parts.orders.unnoticed;
    const eachMore = Math.max(MORE_EACH_FILES, MORE_EACH * round);
    const most = round + Math.max(0, this.#brought - UNNOTICED_ROUNDS * round) / eachMore;
    return this.#underWay < most && this.#mayGoOn();
  }

  #mayGoOn(): boolean {
    if (this.#stopped || !this.#inPasses || this.#parts.host.nowMs() - this.#openedMs > PAUSE_MS) return false;
    if (this.#parts.announced?.(this.about)) return false;
    const mean = this.#meanBytes;
    if (this.#unread >= LEAD_FILES || this.#unread * mean > LEAD_BYTES + LEAD_TIMES * this.#readBytes) return false;
    const { roomBytes } = this.#parts.orders;
    if (this.name === 'unseen' && roomBytes < mean) return false;
    return this.#refusedAtRoom < 0 || roomBytes > this.#refusedAtRoom + mean;
  }

  get #meanBytes(): number {
    return this.#sized === 0 ? 0 : this.#sizedBytes / this.#sized;
  }

  /** Goes by the name of what it is. */
  #judge(): void {
    if (!this.listed) return;
    const missing = Math.max(0, this.#catalogue.size - this.#cached) * this.#meanBytes;
    const name = missing <= this.#parts.host.freeBytes() ? 'bulk' : 'unseen';
    if (name === this.name || this.#stopped) return;
    this.#parts.orders.remove(this);
    this.name = name;
    this.#parts.orders.add(this);
  }

  #goOn(): void {
    if (this.#waits) this.#parts.orders.wake();
  }

  // --- spent ---------------------------------------------------------------------------------------------------------

  dropped(item: number): void {
    this.#uncached(item);
  }

  #uncached(item: number): void {
    if (!this.#catalogue.has(item, Noted.CACHED)) return;
    this.#catalogue.clear(item, Noted.CACHED);
    this.#cached--;
    if (!this.#catalogue.has(item, Noted.UNREAD)) return;
    this.#catalogue.clear(item, Noted.UNREAD);
    this.#unread--;
  }

  // --- the catalogue -------------------------------------------------------------------------------------------------

  get listed(): boolean {
    return this.#lister.done;
  }

  #listedMore(): void {
    this.#goOn();
    if (this.listed) this.#judge();
  }

  get repeats(): boolean {
    return this.#repetition.repeats;
  }

  get files(): number {
    return this.#catalogue.size;
  }

  stop(): void {
    this.#stopped = true;
    this.#lister.stop();
    this.#parts.spent.removeAll(this);
  }
}
