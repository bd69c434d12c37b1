/** What the order of a thread's requests tells of its waiting. Times are made up: no clock, no process, no mount. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadingProcess } from '../../src/access/processes.ts';
import { Doing } from '../../src/access/stall-sampler.ts';
import { WaitTotals } from '../../src/access/stall-totals.ts';
import { Kind, ThreadState } from '../../src/access/threads.ts';

const MIB = 1 << 20;

class Script {
  readonly process = new ReadingProcess(1, 'reader', 0, '1');
  readonly epoch = new WaitTotals();
  readonly thread = new ThreadState(1, this.process);
  readonly size: number;

  constructor(size = 100 * MIB) {
    this.size = size;
  }

  asks(kind: Kind, atMs: number): this {
    this.thread.seen(atMs, this.epoch);
    this.thread.settle(atMs, this.epoch);
    if (kind !== Kind.READ) this.thread.asks(kind, atMs, this.epoch);
    return this;
  }

  reads(offset: number, size: number, atMs: number, first = true): this {
    this.asks(Kind.READ, atMs);
    this.thread.readsNow(7, offset, size, this.size, first, false, atMs, this.epoch);
    return this;
  }

  answers(begunMs: number, atMs: number, read = false, fromCache = false): this {
    this.thread.seen(atMs, this.epoch);
    if (read) this.thread.readFrom(fromCache);
    this.thread.answered(read, begunMs, atMs, this.epoch);
    return this;
  }

  get totals(): WaitTotals {
    assert.deepEqual(this.process.totals, this.epoch, 'a process and the epoch it is all of come to the same');
    return this.epoch;
  }
}

const near = (value: number, wanted: number, what = ''): void => {
  assert.ok(Math.abs(value - wanted) < 0.001, `${what} ${value}, not ${wanted}`);
};

test('a LOOKUP, an OPEN and a first READ hold their thread up, and what lies between them does too', () => {
  const script = new Script(50_000);
  script.asks(Kind.LOOKUP, 0).answers(0, 10);
  script.asks(Kind.OPENING, 10.5);
  script.thread.opening(true, script.epoch);
  script.answers(10.5, 20);
  script.reads(0, 50_000, 20.5).answers(20.5, 30, true);
  script.asks(Kind.LOOKUP, 60).answers(60, 65);
  near(script.totals.certainMs, 10 + 0.5 + 9.5 + 0.5 + 5);
  near(script.totals.readMs, 9.5);
  near(script.totals.activeMs, 65);
  near(script.totals.firstMs, 30, 'the first file was read for the first time');
});

test('what a program does for long after an opening is not waiting', () => {
  const script = new Script();
  script.asks(Kind.OPENING, 0).answers(0, 1);
  script.reads(0, 4096, 50).answers(50, 51, true);
  near(script.totals.waitMs, 2);
});

test('read-ahead that is answered before the reader comes to it holds nobody up', () => {
  const script = new Script();
  script.reads(0, MIB, 0).answers(0, 10, true);
  let begun = 20;
  script.reads(MIB, MIB, begun); // the reader is half-way through the first window
  for (let window = 2; window < 10; window++) {
    script.answers(begun, begun + 10, true);
    begun += 20;
    script.reads(window * MIB, MIB, begun);
  }
  near(script.totals.readMs, 10, 'only the first');
});

test('read-ahead that is late holds the reader up from when it sends the next', () => {
  const script = new Script();
  script.reads(0, MIB, 0).answers(0, 10, true);
  script.reads(MIB, MIB, 12);
  script.reads(2 * MIB, MIB, 15); // at the second window, which is still to come
  script.answers(12, 22, true);
  near(script.totals.readMs, 10 + 7);
});

test('the last window of a file, after which nothing is sent, is waited for as the pace before tells', () => {
  const script = new Script(3 * MIB);
  script.reads(0, MIB, 0).answers(0, 10, true);
  script.reads(MIB, MIB, 12); // 2 ms for half a window
  script.answers(12, 13, true);
  script.reads(2 * MIB, MIB, 14); // at the second window; 4 ms more and it is at the last
  script.answers(14, 38, true);
  near(script.totals.readMs, 10 + (38 - 18));
});

test('a READ during which the thread asks for something else has not held it up', () => {
  const script = new Script();
  script.reads(0, MIB, 0); // posix_fadvise(WILLNEED)
  script.asks(Kind.LOOKUP, 0.05).answers(0.05, 5);
  script.answers(0, 40, true);
  near(script.totals.readMs, 0);
  near(script.totals.certainMs, 4.95);
});

test('random reads hold their thread up one by one', () => {
  const script = new Script();
  for (let i = 0; i < 10; i++) script.reads(((i * 7) % 10) * 5 * MIB, 8192, i * 10).answers(i * 10, i * 10 + 4, true);
  near(script.totals.readMs, 40);
});

test('what the cache answered is told apart, and is no first read', () => {
  const script = new Script();
  script.reads(0, 8192, 0).answers(0, 1, true, true);
  script.reads(5 * MIB, 8192, 10, false).answers(10, 14, true);
  near(script.totals.cachedMs, 1);
  near(script.totals.firstMs, 0);
});

test('writing is active time, and no waiting for data', () => {
  const script = new Script();
  script.asks(Kind.OTHER, 0).answers(0, 50);
  near(script.totals.waitMs, 0);
  near(script.totals.activeMs, 50);
});

test('a pause of minutes is no part of the active time', () => {
  const script = new Script();
  script.asks(Kind.DATA, 0).answers(0, 10);
  script.asks(Kind.DATA, 600_000).answers(600_000, 600_010);
  near(script.totals.activeMs, 20);
  near(script.totals.share ?? 0, 1);
});

test('what is not answered yet counts as far as it goes', () => {
  const script = new Script();
  script.asks(Kind.DATA, 0).answers(0, 10);
  script.asks(Kind.DATA, 100);
  const open = script.totals.copy();
  script.thread.unfinished(400, open);
  near(open.certainMs, 310);
  near(open.activeMs, 400);
});

test('samples find waiting that no request tells, and it is active time', () => {
  const script = new Script();
  script.asks(Kind.OPENING, 0).answers(0, 1);
  for (let i = 0; i < 1000; i++) {
    script.thread.looked(i % 5 < 2 ? Doing.HELD : Doing.RUNNING, 20 + i * 20, script.epoch);
  }
  script.asks(Kind.OTHER, 20_030).answers(20_030, 20_031);
  const { share, activeMs } = script.totals;
  assert.ok(activeMs > 20_000);
  assert.ok(Math.abs((share ?? 0) - 0.4) < 0.01, `${share}`);
  assert.equal(script.totals.estimated, true);
});

test('a few samples of hidden waiting prove nothing: unknown', () => {
  const script = new Script();
  script.asks(Kind.OPENING, 0).answers(0, 1);
  for (let i = 0; i < 40; i++) {
    script.thread.looked(i % 2 === 0 ? Doing.HELD : Doing.RUNNING, 20 + i * 20, script.epoch);
  }
  script.asks(Kind.OTHER, 900).answers(900, 901);
  assert.equal(script.totals.share, null);
});

test('a request that is still in the queue when its thread is looked at is not counted twice', () => {
  const script = new Script();
  script.asks(Kind.DATA, 0).answers(0, 1);
  for (let i = 1; i < 100; i++) {
    script.thread.looked(Doing.RUNNING, i * 10 - 5, script.epoch);
    script.thread.looked(Doing.HELD, i * 10 - 0.1, script.epoch);
    script.asks(Kind.DATA, i * 10).answers(i * 10, i * 10 + 1);
  }
  near(script.totals.waitMs, 100);
});

test('samples take back READs that held nobody up', () => {
  const script = new Script();
  for (let i = 0; i < 100; i++) {
    script.reads((i % 10) * 7 * MIB, 8192, i * 100);
    script.thread.looked(i % 10 === 0 ? Doing.HELD : Doing.RUNNING, i * 100 + 25, script.epoch);
    script.answers(i * 100, i * 100 + 50, true);
  }
  near(script.totals.waitMs, 500);
});

test('a page fault that goes on where the last one ended waits for what it asks for, as is seen now and then', () => {
  const script = new Script();
  const window = 32_768;
  script.reads(0, window, 0).answers(0, 1, true);
  for (let at = 1; at <= 8; at++) {
    const askedMs = at * 2;
    script.reads(at * window, window, askedMs);
    assert.equal(script.thread.isToBeSeen(askedMs), at % 3 === 1, `${at}`);
    if (at % 3 === 1) script.thread.seenGoingOn(Doing.HELD);
    script.answers(askedMs, askedMs + 0.5, true);
  }
  near(script.totals.readMs, 1 + 8 * 0.5);
  script.reads(9 * window, window, 19);
  assert.ok(script.thread.isToBeSeen(19));
  script.thread.seenGoingOn(Doing.SLEEPING);
  script.answers(19, 30, true);
  script.reads(10 * window, window, 31).answers(31, 40, true);
  near(script.totals.readMs, 1 + 8 * 0.5, 'read ahead of who reads: it waits for nothing');
});
