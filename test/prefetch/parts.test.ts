import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { widthFrom } from '../../src/access/job-width.ts';
import { Catalogue, Noted } from '../../src/prefetch/catalogue.ts';
import { Ledger } from '../../src/prefetch/ledger.ts';
import { Limiter } from '../../src/prefetch/limit.ts';
import type { ReadFile } from '../../src/prefetch/order.ts';
import { Ranges } from '../../src/prefetch/ranges.ts';
import { Repetition } from '../../src/prefetch/repetition.ts';
import { Retries } from '../../src/prefetch/retries.ts';
import { Spent } from '../../src/prefetch/spent.ts';
import { Trust } from '../../src/prefetch/trust.ts';
import { shuffled } from './pass-model.ts';

const MIB = 2 ** 20;

function fileOf(name: string): ReadFile {
  return { nodeId: 1, fileKey: name, attributes: { size: MIB }, path: () => name };
}

test('ranges are what a set of bytes would be', () => {
  const range = fc.record({ take: fc.boolean(), offset: fc.nat(60), length: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), (steps) => {
      const ranges = new Ranges();
      const bytes = new Set<number>();
      for (const { take, offset, length } of steps) {
        const before = bytes.size;
        for (let at = offset; at < offset + length; at++) take ? bytes.delete(at) : bytes.add(at);
        const changed = take ? ranges.take(offset, offset + length) : ranges.add(offset, offset + length);
        assert.equal(changed, Math.abs(bytes.size - before));
        assert.equal(ranges.bytes, bytes.size);
      }
    }),
  );
});

test('what goes unread out of the cache is wasted, and an order that is mostly wrong is off until its shadow is right', () => {
  const kept = new Set<string>();
  const ledger = new Ledger((fileKey) => kept.has(fileKey));
  const account = ledger.account('stride', 'dir');
  const trust = new Trust(account);
  for (let i = 0; i < 8; i++) ledger.bringing(account, `f${i}`, MIB, MIB, 0);
  assert.equal(trust.believed, true, 'nothing is decided yet');
  ledger.readWhole('f0');
  ledger.sweep(1000);
  assert.deepEqual([account.usedBytes, account.wastedBytes], [MIB, 7 * MIB]);
  assert.equal(trust.believed, false);
  assert.equal(account.usedBytes / (account.usedBytes + account.wastedBytes), 1 / 8);
  for (let i = 0; i < 80; i++) {
    trust.noted(`g${i}`, 0, MIB);
    if (i % 5 > 0) trust.came(fileOf(`g${i}`), 0, 1);
  }
  assert.equal(trust.believed, true, 'four fifths of what it said was read');
});

test('what is late is wasted, and used when it is read after all', () => {
  const ledger = new Ledger(() => true);
  const soon = ledger.account('readahead', 'a');
  const whole = ledger.account('bulk', 'b');
  ledger.bringing(soon, 'a', MIB, MIB, 0);
  ledger.bringing(whole, 'b', MIB, MIB, 0);
  ledger.sweep(60_000);
  assert.deepEqual([soon.wastedBytes, whole.wastedBytes], [MIB, 0]);
  ledger.read('a', 0, MIB);
  assert.deepEqual([soon.usedBytes, soon.wastedBytes], [MIB, 0]);
});

test('of very many files a sample is followed that stands for all', () => {
  const ledger = new Ledger(() => true);
  const account = ledger.account('bulk', '');
  const files = 200_000;
  for (let i = 0; i < files; i++) ledger.bringing(account, `file ${i}`, 1000, 1000, 0);
  assert.ok(ledger.files <= 32_768);
  for (let i = 0; i < files; i++) ledger.readWhole(`file ${i}`);
  const share = account.usedBytes / account.broughtBytes;
  assert.ok(Math.abs(share - 1) < 0.05, `${share}`);
});

test('what was spent last goes first, and what is in use stays', async () => {
  const spent = new Spent();
  const gone: number[] = [];
  const owner = { dropped: (item: number) => gone.push(item) };
  for (let i = 0; i < 5; i++) spent.add(`f${i}`, owner, i, 100);
  spent.remove('f3');
  assert.equal(spent.bytes, 400);
  const drop = async (fileKey: string): Promise<number> => (fileKey === 'f4' ? 0 : 100);
  assert.equal(await spent.free(drop), 100);
  assert.deepEqual(gone, [2]);
  assert.equal(spent.bytes, 300, 'the one in use counts on');
  assert.equal(await spent.free(async (fileKey) => (fileKey === 'f1' ? -2 : 100)), 100);
  assert.deepEqual(gone, [2, 1, 0], 'one that was not there is noted, and another goes');
  assert.equal(await spent.free(drop), 0, 'the one in use is asked again');
  spent.removeAll(owner);
  assert.equal(await spent.free(drop), 0);
});

test('what could not be brought is tried again a few times, whatever became of the one before it', () => {
  const retries = new Retries();
  retries.put(1, 0);
  retries.put(2, 0);
  retries.put(3, 0);
  assert.equal(retries.take(100), undefined, 'not at once');
  assert.equal(retries.take(300), 1, 'and then it is under way');
  assert.equal(retries.take(300), 2);
  retries.remove(3);
  assert.equal(retries.take(300), undefined);
  for (let tries = 2; tries <= 3; tries++) {
    retries.put(1, 1000 * tries);
    assert.equal(retries.take(1000 * tries + 300), 1);
  }
  retries.put(1, 9000);
  assert.equal(retries.take(10_000), undefined, 'given up');
});

test('what is added and removed over and over leaves nothing behind', async () => {
  const spent = new Spent();
  const owner = { dropped: () => {} };
  const files = 3000;
  for (let pass = 0; pass < 20; pass++) {
    for (let i = 0; i < files; i++) spent.add(`f${i}`, owner, i, 1);
  }
  assert.ok(spent.entries <= 2 * files + 1, `${spent.entries} entries for ${files} files`);
  assert.equal(spent.bytes, files);
  let gone = 0;
  while ((await spent.free(async () => 1)) > 0) gone++;
  assert.equal(gone, files);
});

test('a pass that repeats is told from one that is shuffled, also when readers drift apart', () => {
  const items = Array.from({ length: 4000 }, (_, i) => i);
  const order = shuffled(items, 3);
  const repetition = new Repetition();
  const read = (all: readonly number[]): boolean => {
    repetition.begin();
    for (const item of all) repetition.read(item);
    return repetition.repeats;
  };
  assert.equal(read(order), false, 'there was none before');
  assert.equal(read(order), true);
  assert.equal(read(shuffled(items, 4)), false);
  const drifted = shuffled(items, 4);
  for (let i = 0; i + 100 < drifted.length; i += 100) drifted.splice(i, 100, ...shuffled(drifted.slice(i, i + 100), i));
  assert.equal(read(drifted), true);
  repetition.begin();
  for (const item of drifted.slice(0, 1000)) repetition.read(item);
  assert.equal(repetition.itemAt(repetition.at), drifted[1000]);
});

test('what a pass long ago read is not taken for what the last one read', () => {
  const repetition = new Repetition(16);
  const read = (first: number, count: number): boolean => {
    repetition.begin();
    for (let item = first; item < first + count; item++) repetition.read(item);
    return repetition.repeats;
  };
  assert.equal(read(0, 4000), false);
  assert.equal(read(0, 4000), true);
  assert.equal(read(4000, 2000), false, 'other files');
  assert.equal(read(0, 2000), false, 'those of the pass before the last');
  assert.equal(read(4000, 2000), false);
  assert.equal(read(4000, 2000), true);
});

test('the limits of a store hold for what nobody waits for, and readers use them up', () => {
  const use = { requests: 0, bytes: 0 };
  const limiter = new Limiter({ bytesPerSecond: MIB, requestsPerSecond: 100 }, use, 0);
  assert.equal(limiter.waitMs(use, 0, 0), 0);
  const busy = { requests: 10, bytes: 2 * MIB };
  const waitMs = limiter.waitMs(busy, 0, 0);
  assert.ok(waitMs > 1500 && waitMs < 2000, `${waitMs}`);
  assert.equal(limiter.waitMs(busy, 0, 2000), 0, 'the bytes of readers are made up for');
  assert.ok(limiter.waitMs({ ...busy, requests: 200 }, 0, 2000) > 1000, 'requests count as well');
  assert.ok(limiter.waitMs({ ...busy, requests: 200 }, MIB, 6000) > 0, 'what is under way is counted before it comes');
  const hour = { requests: 200, bytes: 3600 * 100 * MIB };
  assert.ok(limiter.waitMs(hour, 0, 6000) < 6000, 'an hour of reading is not made up for');
});

test('over how many nodes a job is spread', () => {
  const of = (...entries: string[]): number => widthFrom(`${entries.join('\0')}\0`);
  assert.equal(of('PATH=/bin'), 1);
  assert.equal(of('WORLD_SIZE=8'), 8);
  assert.equal(of('WORLD_SIZE=8', 'LOCAL_WORLD_SIZE=8'), 1);
  assert.equal(of('WORLD_SIZE=16', 'LOCAL_WORLD_SIZE=8'), 2);
  assert.equal(of('SLURM_NNODES=4', 'WORLD_SIZE=4', 'LOCAL_WORLD_SIZE=4'), 4);
  assert.equal(of('OMPI_COMM_WORLD_SIZE=6', 'OMPI_COMM_WORLD_LOCAL_SIZE=2'), 3);
  assert.equal(of('WORLD_SIZE=eight', 'SLURM_NNODES='), 1);
});

test('a catalogue finds its files by path, and keeps what is noted of them', () => {
  const catalogue = new Catalogue();
  const top = catalogue.addDirectory('');
  const below = catalogue.addDirectory('a/b');
  const numbers = Array.from({ length: 5000 }, (_, i) => catalogue.add(i % 2 === 0 ? top : below, `f${i}`));
  assert.equal(catalogue.size, 5000);
  assert.equal(catalogue.add(below, 'f1'), numbers[1], 'known already');
  assert.deepEqual([catalogue.path(numbers[0]!), catalogue.path(numbers[1]!)], ['f0', 'a/b/f1']);
  assert.deepEqual([catalogue.find('a/b/f4999'), catalogue.find('f4999')], [numbers[4999], -1]);
  catalogue.note(7, Noted.UNREAD | Noted.CACHED);
  catalogue.clear(7, Noted.UNREAD);
  assert.deepEqual([catalogue.has(7, Noted.UNREAD), catalogue.has(7, Noted.CACHED)], [false, true]);
  catalogue.give(7, 2);
  assert.deepEqual([catalogue.givenIn(7, 2), catalogue.givenIn(7, 1), catalogue.givenIn(8, 2)], [true, false, false]);
  catalogue.see(7, 3);
  assert.deepEqual([catalogue.seenIn(7, 3), catalogue.seenIn(7, 2), catalogue.seenIn(8, 3)], [true, false, false]);
  for (const pass of [65_534, 65_535, 65_536, 131_072]) {
    assert.ok(!catalogue.seenIn(7, pass) && !catalogue.givenIn(8, pass), `pass ${pass}`);
    catalogue.see(7, pass);
    assert.ok(catalogue.seenIn(7, pass) && !catalogue.seenIn(7, pass + 1), `pass ${pass}`);
  }
});
