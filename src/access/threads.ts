/**
 * How long one thread was held up by requests, told from their order alone. docs/STALL.md has the reasoning.
 *
 *   a request that is not a READ        holds its thread up until it is answered
 *   a READ where the last one ended     is the kernel's read-ahead: it is sent when the reader comes to the window before
 *                                       it, and so tells that the reader waits for that one, if it is still to come; of a
 *                                       mapping it may as well be what a page fault waits for: the thread is looked at
 *   any other READ                      is what the reader wants now: it holds it up
 *   a request while a READ holds it up  tells that it did not (posix_fadvise, madvise)
 *
 * Nothing here allocates after construction.
 */
import type { ReadingProcess } from './processes.ts';
import { Doing } from './stall-sampler.ts';
import type { WaitTotals } from './stall-totals.ts';

/** READs of one thread this close together are parts of one window: a blocked thread sends nothing in between. */
const BURST_MS = 0.4;
/** A pause of a thread as long as this is no part of its active time. */
export const QUIET_MS = 30_000;
const STREAMS = 4;
/** Between the answer to LOOKUP and OPEN, or OPEN and READ: more is something else that the program did. */
const JOINED_MS = 2;

/** Between two looks at who goes on where the last READ ended. */
const LOOKED_MS = 5;

/** A request that was sent is taken from the device within this time. */
const QUEUED_MS = 1;

/** What a request says of its thread. */
export const Kind = {
  /** Nothing: it is sent on nobody's behalf. */
  NONE: 0,
  /** It waits for names, attributes, listings. */
  DATA: 1,
  READ: 2,
  /** It waits, but not for data. */
  OTHER: 3,
  /** As DATA: the first of an opening, and the others. */
  LOOKUP: 4,
  OPENING: 5,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const Blocked = { NOT: 0, CERTAIN: 1, READ: 2, OTHER: 3 } as const;

/** A file that a thread reads on and on. Windows: what one read-ahead asks for. */
class Stream {
  handle = -1;
  /** Where the last window ends: the next begins there. */
  end = 0;
  begunMs = -1;
  answered = true;
  bytes = 0;
  /** The last window reaches the end of the file: no request will follow that could tell when the reader came to it. */
  last = false;
  first = true;
  previousBegunMs = -1;
  previousBytes = 0;
  /** When the reader was last known to go on, how far it was from the last window then, and how fast it is. */
  freeMs = -1;
  freeBytes = 0;
  msPerByte = 0;
  usedMs = 0;
  /** Whether who reads on was held up by the window it had just asked for, when that was looked at last. */
  faults = false;
}

export class ThreadState {
  readonly id: number;
  readonly process: ReadingProcess;
  lastMs = -1;
  reads = 0;
  opens = 0;

  // The sampler's own.
  sampled = false;
  wchan = -1;
  heldMs = -1;
  /** Samples since its last request: of no account when it never asks again. */
  #freeSamples = 0;
  #heldSamples = 0;
  #idleSamples = 0;

  #blocked: number = Blocked.NOT;
  #sinceMs = 0;
  /** When the request began whose answer ends the blocking. */
  #begunMs = -1;
  #askedMs = -1;
  /** The request in hand may be followed by others of the same opening; when the last such was answered. */
  #leads = false;
  #ledMs = Number.NEGATIVE_INFINITY;
  #firstRead = false;
  #fromCache = false;
  /** Waits of LOOKUPs and the like, until it is known what for. */
  #pendingMs = 0;
  #openingFirst = false;
  #opening = false;
  /** Goes on where its last window ended, which has come: whether it waits for this one is to be seen. */
  #goesOn: Stream | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  readonly #streams: Stream[] = Array.from({ length: STREAMS }, () => new Stream());

  constructor(id: number, process: ReadingProcess) {
    this.id = id;
    this.process = process;
  }

  get inRead(): boolean {
    return this.#blocked === Blocked.READ;
  }

  get free(): boolean {
    return this.#blocked === Blocked.NOT;
  }

  /** A request was seen: the time since the last one was active time. */
  seen(nowMs: number, epoch: WaitTotals): void {
    const gapMs = nowMs - this.lastMs;
    if (this.lastMs >= 0 && gapMs > 0 && (gapMs < QUIET_MS || this.#blocked !== Blocked.NOT)) {
      this.process.totals.activeMs += gapMs;
      epoch.activeMs += gapMs;
    }
    this.lastMs = nowMs;
  }

  /** It asks again: what was sampled since its last request was part of its active time. */
  settle(nowMs: number, epoch: WaitTotals): void {
    if (this.#freeSamples === 0) return;
    if (this.#heldSamples > 0 && nowMs - this.heldMs < QUEUED_MS) this.#heldSamples--;
    const { totals } = this.process;
    totals.sampledFree += this.#freeSamples;
    totals.heldFree += this.#heldSamples;
    totals.idleFree += this.#idleSamples;
    epoch.sampledFree += this.#freeSamples;
    epoch.heldFree += this.#heldSamples;
    epoch.idleFree += this.#idleSamples;
    this.#freeSamples = 0;
    this.#heldSamples = 0;
    this.#idleSamples = 0;
  }

  /** It reads on although it asks for nothing (mapped pages, a file the kernel has): that is active time as well. */
  #readsUnseen(nowMs: number, epoch: WaitTotals): void {
    this.process.lastMs = nowMs;
    this.seen(nowMs, epoch);
    this.settle(nowMs, epoch);
  }

  /** It was looked at. */
  looked(doing: Doing, nowMs: number, epoch: WaitTotals): void {
    const held = doing === Doing.HELD;
    if (this.#blocked === Blocked.READ) {
      this.process.totals.sampledInRead++;
      epoch.sampledInRead++;
      if (held) {
        this.process.totals.heldInRead++;
        epoch.heldInRead++;
      }
    } else if (this.#blocked === Blocked.NOT) {
      // The last time it was seen held up no request came of it.
      if (this.#heldSamples > 0) this.#readsUnseen(this.heldMs + QUEUED_MS, epoch);
      this.#freeSamples++;
      if (doing === Doing.IDLE || doing === Doing.LOCKED) this.#idleSamples++;
      if (!held) return;
      // It is held up although it asked for nothing. Whether by a request that is merely still to be taken from the device
      // the next one will tell; those are of no account, for the daemon wakes, and looks, just when they come.
      this.#heldSamples++;
      this.heldMs = nowMs;
    }
  }

  /** Asked something whose answer it needs. */
  asks(kind: Kind, nowMs: number, epoch: WaitTotals): void {
    // An interrupted request may still be unanswered; a READ, on the other hand, has not held it up.
    if (this.#blocked === Blocked.CERTAIN) this.#count(nowMs, epoch);
    if (kind === Kind.OPENING) this.#joins(nowMs, epoch);
    this.#askedMs = nowMs;
    this.#blocked = kind === Kind.OTHER ? Blocked.OTHER : Blocked.CERTAIN;
    this.#leads = kind === Kind.LOOKUP || kind === Kind.OPENING;
    this.#sinceMs = nowMs;
    this.#begunMs = nowMs;
  }

  /** What lies between the requests of one opening is the same system call, or the wait for a processor between two. */
  #joins(nowMs: number, epoch: WaitTotals): void {
    const gapMs = nowMs - this.#ledMs;
    if (gapMs > JOINED_MS) return;
    this.#addCertain(gapMs, epoch);
  }

  /** What was asked is the opening of a file, for the first time or again. */
  opening(first: boolean, epoch: WaitTotals): void {
    this.opens++;
    this.#opening = true;
    this.#openingFirst = first;
    this.#settlePending(first, epoch);
  }

  #settlePending(first: boolean, epoch: WaitTotals): void {
    if (first) this.#addFirst(this.#pendingMs, epoch);
    this.#pendingMs = 0;
  }

  readsNow(
    handle: number,
    offset: number,
    size: number,
    fileSize: number,
    first: boolean,
    direct: boolean,
    nowMs: number,
    epoch: WaitTotals,
  ): void {
    this.reads++;
    this.#joins(nowMs, epoch);
    this.#ledMs = Number.NEGATIVE_INFINITY;
    this.#settlePending(first, epoch);
    let stream = this.#streams[0]!;
    let oldest = stream;
    for (let i = 0; i < STREAMS; i++) {
      stream = this.#streams[i]!;
      if (stream.handle === handle && (stream.end === offset || nowMs - stream.begunMs < BURST_MS)) break;
      if (stream.usedMs < oldest.usedMs) oldest = stream;
      if (i === STREAMS - 1) stream = oldest;
    }
    const end = offset + size;
    const last = end >= fileSize;
    this.#askedMs = nowMs;
    if (this.#isPartOf(stream, handle, nowMs)) {
      this.#goesOn = undefined;
      stream.end = end;
      stream.bytes += size;
      stream.last ||= last;
      return;
    }
    stream.usedMs = nowMs;
    let goesOn = false;
    if (stream.handle === handle && stream.end === offset && !direct) goesOn = this.#readsAhead(stream, nowMs);
    else {
      stream.handle = handle;
      stream.first = true;
      stream.freeMs = -1;
      stream.msPerByte = 0;
      stream.faults = false;
      this.#blocked = Blocked.READ;
      this.#sinceMs = nowMs;
      this.#begunMs = nowMs;
    }
    this.#firstRead = first;
    stream.end = end;
    stream.bytes = size;
    stream.begunMs = nowMs;
    stream.answered = false;
    stream.last = last;
    this.#goesOn = goesOn ? stream : undefined;
    if (goesOn && stream.faults) this.#waitsFor(stream);
  }

  /** Whether it is worth a look what it does, while the READ it just asked for is in hand. */
  isToBeSeen(nowMs: number): boolean {
    if (this.#goesOn === undefined || nowMs - this.#lookedMs < LOOKED_MS) return false;
    this.#lookedMs = nowMs;
    return true;
  }

  /** It was looked at then. */
  seenGoingOn(doing: Doing): void {
    const stream = this.#goesOn!;
    stream.faults = doing === Doing.HELD;
    if (stream.faults) this.#waitsFor(stream);
    else this.#blocked = Blocked.NOT;
  }

  #waitsFor(stream: Stream): void {
    this.#blocked = Blocked.READ;
    this.#sinceMs = stream.begunMs;
    this.#begunMs = stream.begunMs;
  }

  /** One window, asked for in several requests: the reader waits for the first of them already. */
  #isPartOf(stream: Stream, handle: number, nowMs: number): boolean {
    const waitsForIt = this.#blocked === Blocked.READ && this.#begunMs === stream.begunMs;
    return waitsForIt && stream.handle === handle && nowMs - stream.begunMs < BURST_MS;
  }

  /** The reader has come to `stream`'s last window (into the first one: some way) and the next is sent; true: that one has come. */
  #readsAhead(stream: Stream, nowMs: number): boolean {
    if (stream.freeMs >= 0 && stream.freeBytes > 0) stream.msPerByte = (nowMs - stream.freeMs) / stream.freeBytes;
    stream.previousBegunMs = stream.begunMs;
    // The first window's mark lies somewhere inside it: half-way for requests of common sizes.
    stream.previousBytes = stream.first ? stream.bytes / 2 : stream.bytes;
    stream.first = false;
    if (stream.answered) {
      stream.freeMs = nowMs;
      stream.freeBytes = stream.previousBytes;
      this.#blocked = Blocked.NOT;
      return true;
    }
    stream.freeMs = -1;
    this.#blocked = Blocked.READ;
    this.#sinceMs = nowMs;
    this.#begunMs = stream.begunMs;
    return false;
  }

  /** A READ is about to be answered. */
  readFrom(fromCache: boolean): void {
    this.#fromCache = fromCache;
  }

  answered(read: boolean, begunMs: number, nowMs: number, epoch: WaitTotals): void {
    const ends = this.#blocked !== Blocked.NOT && this.#begunMs === begunMs;
    if (read) this.#readAnswered(ends, begunMs, nowMs, epoch);
    if (!ends) return;
    this.#count(nowMs, epoch);
    this.#blocked = Blocked.NOT;
  }

  #readAnswered(ends: boolean, begunMs: number, nowMs: number, epoch: WaitTotals): void {
    for (let i = 0; i < STREAMS; i++) {
      const stream = this.#streams[i]!;
      if (ends && stream.previousBegunMs === begunMs) {
        stream.freeMs = nowMs;
        stream.freeBytes = stream.previousBytes;
      }
      if (stream.begunMs !== begunMs || stream.answered) continue;
      stream.answered = true;
      if (ends) {
        stream.freeMs = nowMs;
        stream.freeBytes = stream.bytes / 2;
      } else if (stream.last && this.#blocked === Blocked.NOT && stream.freeMs >= 0) {
        // Where its pace would have brought the reader to this window before it came.
        const waitedMs = nowMs - (stream.freeMs + stream.msPerByte * stream.freeBytes);
        if (waitedMs > 0 && this.#askedMs <= stream.begunMs) this.#addRead(waitedMs, epoch);
      }
    }
  }

  /** The time a thread has been held up by what is not answered yet counts too. */
  unfinished(nowMs: number, into: WaitTotals): void {
    if (this.#blocked === Blocked.NOT) return;
    if (this.lastMs >= 0) into.activeMs += nowMs - this.lastMs;
    if (this.#blocked === Blocked.CERTAIN) into.certainMs += nowMs - this.#sinceMs;
    if (this.#blocked === Blocked.READ) into.readMs += nowMs - this.#sinceMs;
  }

  #count(nowMs: number, epoch: WaitTotals): void {
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#blocked === Blocked.READ) {
      this.#addRead(waitedMs, epoch);
    } else if (this.#blocked === Blocked.CERTAIN) {
      this.#addCertain(waitedMs, epoch);
      this.#opening = false;
      if (this.#leads) this.#ledMs = nowMs;
    }
  }

  #addCertain(waitedMs: number, epoch: WaitTotals): void {
    this.process.totals.certainMs += waitedMs;
    epoch.certainMs += waitedMs;
    if (!this.#opening) this.#pendingMs += waitedMs;
    else if (this.#openingFirst) this.#addFirst(waitedMs, epoch);
  }

  #addRead(waitedMs: number, epoch: WaitTotals): void {
    const { totals } = this.process;
    totals.readMs += waitedMs;
    epoch.readMs += waitedMs;
    if (this.#fromCache) {
      totals.cachedMs += waitedMs;
      epoch.cachedMs += waitedMs;
    } else if (this.#firstRead) this.#addFirst(waitedMs, epoch);
  }

  #addFirst(waitedMs: number, epoch: WaitTotals): void {
    this.process.totals.firstMs += waitedMs;
    epoch.firstMs += waitedMs;
  }
}
