/** The stall meter's processes, epochs, consumer and sentences; the waiting itself is in stall-threads.test.ts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ObservedFile } from '../../src/access/observed.ts';
import type { AccessedFile, AccessedHandle } from '../../src/access/observer.ts';
import { From } from '../../src/access/observer.ts';
import { isFork, lookAtProcess, processIdOf } from '../../src/access/processes.ts';
import { StallMeter } from '../../src/access/stall.ts';
import { ConsumerSamples } from '../../src/access/stall-consumer.ts';
import { FilesSeen, isFirstRead, wasRead, wasReleased } from '../../src/access/stall-files.ts';
import { cachedSeconds, stallSnapshot } from '../../src/access/stall-report.ts';
import { Doing, doingOf, look, unwatch, watch } from '../../src/access/stall-sampler.ts';
import { WaitTotals } from '../../src/access/stall-totals.ts';

const OPEN = 14;
const READ = 15;
const RELEASE = 18;

/** The kernel's: one for each file, whoever opens it. */
const inodes = new Map<StallMeter, Map<number, AccessedFile>>();

function inodeOf(meter: StallMeter, file: number): AccessedFile {
  const known = inodes.get(meter) ?? new Map<number, AccessedFile>();
  inodes.set(meter, known);
  const inode = known.get(file) ?? {
    nodeId: file,
    fileKey: `${file}`,
    attributes: { size: 1000 },
    observed: undefined,
    path: () => `${file}`,
  };
  known.set(file, inode);
  return inode;
}

function handle(meter: StallMeter, file: number): AccessedHandle {
  return { id: file, flags: 0, way: 'tier', observed: undefined, inode: inodeOf(meter, file) };
}

/** Opens and reads a file, for 2 ms each, at `atMs`. */
function readFile(meter: StallMeter, thread: number, file: number, atMs: number): void {
  const opened = handle(meter, file);
  meter.asked(thread, OPEN, atMs);
  meter.opened(opened, thread, atMs);
  meter.answered(thread, OPEN, atMs, atMs + 2);
  meter.asked(thread, READ, atMs + 5);
  meter.reading(opened, thread, 0, 4096, atMs + 5);
  meter.read(opened, thread, 1000, From.STORE, atMs + 5);
  meter.answered(thread, READ, atMs + 5, atMs + 7);
  meter.released(opened);
}

test('threads belong to their process, and this one is it', () => {
  assert.equal(processIdOf(process.pid), process.pid);
  assert.equal(processIdOf(0), undefined);
  const seen = lookAtProcess(process.pid);
  assert.equal(seen?.parent, process.ppid);
  assert.equal(isFork(seen!, lookAtProcess(process.ppid)!), false, 'it runs a program of its own');
});

test('a process has the opens, reads, bytes and waiting of its threads', () => {
  const meter = new StallMeter();
  for (let i = 0; i < 10; i++) readFile(meter, process.pid, 10 + i, 1000 + i * 10);
  const [reader, ...others] = meter.snapshot().processes;
  assert.equal(others.length, 0);
  assert.equal(reader?.pid, process.pid);
  assert.equal(reader.threads, 1);
  assert.equal(reader.opens, 10);
  assert.equal(reader.reads, 10);
  assert.equal(reader.readBytes, 10_000);
  assert.ok(Math.abs(reader.activeSeconds - 0.097) < 1e-9);
  assert.ok(Math.abs(reader.waitSeconds - 0.04) < 1e-9);
  assert.ok(Math.abs((reader.stallShare ?? 0) - 40 / 97) < 0.001);
  meter.stop();
});

test('threads that cannot be seen are one unknown process without a share', () => {
  const meter = new StallMeter();
  for (let i = 0; i < 10; i++) readFile(meter, 0, 10 + i, 1000 + i * 10);
  const { processes, stall } = meter.snapshot();
  assert.equal(processes.length, 1);
  assert.equal(processes[0]?.pid, null);
  assert.equal(processes[0]?.opens, 10);
  assert.equal(processes[0]?.stallShare, null);
  assert.equal(stall.share, null);
  assert.equal(stall.au, null);
  meter.stop();
});

test('of a file that the kernel reads by itself the opening alone says nothing', () => {
  const meter = new StallMeter();
  const opened: AccessedHandle = { ...handle(meter, 10), way: 'tier-passthrough' };
  meter.asked(process.pid, OPEN, 1000);
  meter.opened(opened, process.pid, 1000);
  meter.answered(process.pid, OPEN, 1000, 1020);
  const { processes, stall } = meter.snapshot();
  assert.equal(processes[0]?.stallShare, null);
  assert.equal(stall.share, null);
  meter.stop();
});

test('nobody reads: nothing is told, and nothing divides by it', () => {
  const meter = new StallMeter();
  meter.asked(0, RELEASE, 5);
  meter.answered(0, RELEASE, 5, 6);
  const { processes, stall } = meter.snapshot();
  assert.deepEqual(processes, []);
  assert.equal(stall.share, null);
  assert.deepEqual(stall.sentences, []);
  assert.equal(meter.looking, false);
});

test('many thousand threads that come and go are not kept', () => {
  const meter = new StallMeter();
  for (let i = 0; i < 20_000; i++) readFile(meter, 5_000_000 + i, 10 + (i % 100), 1000 + i);
  assert.ok(meter.threads <= 4096, `${meter.threads}`);
  assert.equal(meter.snapshot().processes[0]?.opens, 20_000);
  meter.stop();
});

test('it looks at threads while somebody reads, and for a few seconds more', async () => {
  const meter = new StallMeter();
  const reader = spawn('sleep', ['30']);
  await once(reader, 'spawn');
  readFile(meter, reader.pid!, 10, performance.now());
  assert.equal(meter.looking, true);
  await sleep(300);
  assert.equal(meter.looking, true);
  reader.kill();
  await once(reader, 'exit');
  for (let waited = 0; meter.looking && waited < 10_000; waited += 100) await sleep(100);
  assert.equal(meter.looking, false, 'no timer is left when all readers have gone');
  assert.equal(meter.threads, 0);
  meter.stop();
});

test('after its end nothing is left, and nothing begins', () => {
  const meter = new StallMeter();
  readFile(meter, process.pid, 10, 1000);
  meter.stop();
  assert.equal(meter.looking, false);
  readFile(meter, process.ppid, 11, 2000);
  assert.equal(meter.looking, false);
});

test('what a thread sleeps in says what it does', () => {
  for (const wchan of [
    'request_wait_answer',
    'folio_wait_bit_common',
    'rpc_wait_bit_killable',
    '__folio_lock_killable',
  ]) {
    assert.equal(doingOf(wchan), Doing.HELD, wchan);
  }
  assert.equal(doingOf('futex_do_wait'), Doing.LOCKED);
  for (const wchan of ['poll_schedule_timeout.constprop.0', 'anon_pipe_read', 'ep_poll']) {
    assert.equal(doingOf(wchan), Doing.IDLE, wchan);
  }
  assert.equal(doingOf('0'), Doing.RUNNING);
  assert.equal(doingOf('hrtimer_nanosleep'), Doing.SLEEPING);
  assert.equal(doingOf('do_wait'), Doing.OTHER);
  const self = watch(process.pid);
  assert.equal(look(self), Doing.RUNNING);
  unwatch(self);
  assert.equal(look(watch(5_000_000)), Doing.GONE);
});

test('an epoch begins when files are read again, in whatever order', () => {
  const files = new FilesSeen();
  const known = Array.from({ length: 502 }, () => new ObservedFile());
  const shuffled = (seed: number): number[] => Array.from({ length: 500 }, (_, i) => 2 + ((i * 137 + seed * 59) % 500));
  const began: number[] = [];
  let opens = 0;
  for (let epoch = 0; epoch < 4; epoch++) {
    for (const file of shuffled(epoch)) {
      if (files.opened(known[file]!) === 'epoch') began.push(opens);
      opens++;
    }
  }
  assert.equal(began.length, 3);
  for (const [i, at] of began.entries()) assert.ok(at >= (i + 1) * 500 && at < (i + 1.3) * 500, `${at}`);
});

test('files that are read over and over within an epoch begin none', () => {
  const files = new FilesSeen();
  const labels = new ObservedFile();
  for (let i = 0; i < 2000; i++) {
    const file = new ObservedFile();
    assert.notEqual(files.opened(file), 'epoch');
    assert.notEqual(files.opened(file), 'epoch', 'each file twice');
    if (i % 32 === 0) assert.notEqual(files.opened(labels), 'epoch', 'the labels');
  }
});

test('a first read is first until the file was read and released', () => {
  const file = new ObservedFile();
  assert.equal(isFirstRead(file), true);
  wasRead(file);
  assert.equal(isFirstRead(file), true);
  wasReleased(file);
  assert.equal(isFirstRead(file), false);
  const closed = new ObservedFile();
  wasReleased(closed);
  assert.equal(isFirstRead(closed), true, 'opened and closed is not read');
});

function samples(computing: number, waiting: number, turns: number): ConsumerSamples {
  return Object.assign(new ConsumerSamples(), { computing, waiting, turns });
}

function totals(activeMs: number, certainMs: number, firstMs = certainMs): WaitTotals {
  return Object.assign(new WaitTotals(), { activeMs, certainMs, firstMs });
}

test('a consumer computes and waits by turns; a parent that only waits is none', () => {
  assert.equal(samples(300, 100, 50).share, 0.25);
  assert.equal(samples(400, 0, 0).share, 0);
  assert.equal(samples(0, 0, 0).consumes, false);
  assert.equal(samples(2, 400, 2).consumes, false, 'it waits for its children');
  assert.equal(samples(30, 400, 40).share, null, 'or for its accelerator, for all that is seen of it');
  assert.equal(samples(50, 400, 2).consumes, false, 'it waits once for all');
  const joins = Object.assign(samples(20, 60, 12), { elapsedMs: 3000, slices: 2 });
  assert.equal(joins.consumes, false, 'it never runs: it waits for its threads to end');
  assert.equal(samples(10, 10, 8).consumes, undefined, 'too little was seen');
  assert.equal(samples(30, 30, 30).share, null, 'seen, but not often enough');
});

test('waits that may be for an accelerator as well make the share unknown', () => {
  const seen = samples(200, 200, 50);
  assert.equal(seen.share, 0.5);
  assert.equal(Object.assign(samples(200, 200, 50), { unsure: 60 }).share, null, 'under a lock, while workers read');
  assert.equal(
    Object.assign(samples(200, 200, 50), { supplied: 12, suppliedWaiting: 10 }).share,
    null,
    'as for data, with all workers idle',
  );
  assert.equal(Object.assign(samples(200, 200, 50), { supplied: 50, suppliedWaiting: 2 }).share, 0.5, 'by chance');
  assert.equal(
    Object.assign(samples(200, 200, 50), { delayedMs: 1000, elapsedMs: 9000, slices: 500 }).share,
    null,
    'starved',
  );
  const early = Object.assign(samples(392, 8, 10), { supplied: 200, suppliedWaiting: 150 });
  assert.equal(early.share, 0.02, 'even if all of it were for data it would not matter');
});

test('the sentence says how long, what for and what would help', () => {
  const ended = { seconds: 55, totals: totals(100_000, 31_000, 29_140), consumed: samples(0, 0, 0) };
  const reader = { pid: 4121 } as never;
  const told = stallSnapshot({
    run: totals(100_000, 31_000, 29_140),
    consumed: samples(0, 0, 0),
    consumers: [],
    seconds: 1,
    epoch: 2,
    ended,
    processes: [reader],
  });
  assert.equal(
    told.sentences[0],
    'process 4121 waited 31 % of the last epoch for data; 94 % of it in first reads of files; ' +
      'with the data set cached the epoch would take about 38 s instead of 55',
  );
  assert.equal(told.share, 0.31);
  assert.ok(Math.abs((told.au ?? 0) - 0.69) < 1e-9);
});

test('an epoch with its data cached takes no less than its consumer computes', () => {
  assert.equal(cachedSeconds({ seconds: 100, totals: totals(400_000, 380_000), consumed: samples(600, 400, 50) }), 60);
  assert.equal(cachedSeconds({ seconds: 100, totals: totals(100_000, 75_000), consumed: samples(0, 0, 0) }), 25);
});
