/** A large file that is read in records, pass after pass, of which the cache holds a half; in virtual time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BulkMode } from '../../src/prefetch/job-share.ts';
import type { Order } from '../../src/prefetch/order.ts';
import { RepeatedRanges, type RepeatedRangesParts } from '../../src/prefetch/repeated-ranges.ts';
import { Repetition } from '../../src/prefetch/repetition.ts';
import { FakeFile } from '../access/trace-support.ts';
import { type Random, randomFrom } from '../cache/damages.ts';
import { type Link, VirtualMount, VirtualStore } from './virtual-store.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LINK: Link = { latencyMs: 5, bytesPerSecond: 200e6 };
const RECORD = 64 * KIB;
const RECORDS = 1280;
const SIZE = RECORDS * RECORD;
const AHEAD_BYTES = 8 * MIB;
/** As range-pass.ts has it. */
const WINDOW_MOST_BYTES = 12 * MIB;
/** As unseen-ranges.ts has it. */
const UNSEEN_MOST_BYTES = 24 * MIB;

function shuffled(random: Random): number[] {
  const keyed = Array.from({ length: RECORDS }, (_, value) => ({ value, at: random(2 ** 30) }));
  return keyed.sort((a, b) => a.at - b.at).map(({ value }) => value);
}

const FIXED = shuffled(randomFrom(3));

interface Epochs {
  /** Of each pass. */
  seconds: number[];
  bytes: number;
  requests: number;
  mount: VirtualMount;
}

type ShareOf = (order: readonly number[], reader: number, pass: number) => number[];
const inTurns =
  (readers: number): ShareOf =>
  (order, reader) =>
    order.filter((_, at) => at % readers === reader);

/** Passes, each by readers of their own that have a share of its order. */
async function epochs(
  orders: readonly number[][],
  readers = 1,
  shareOf?: ShareOf,
  bulk: BulkMode = 'off',
): Promise<Epochs> {
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, { table: SIZE }, AHEAD_BYTES, bulk, SIZE / 2);
  const seconds: number[] = [];
  for (const [pass, order] of orders.entries()) {
    const begunMs = store.nowMs;
    const all = Array.from({ length: readers }, (_, reader) => {
      const own = (shareOf ?? inTurns(readers))(order, reader, pass);
      const reads = own.map((record) => [record * RECORD, RECORD] as const);
      return mount.reads('table', reads, 100 * pass + reader + 1);
    });
    await store.during(Promise.all(all).then(() => {}));
    seconds.push((store.nowMs - begunMs) / 1000);
  }
  await store.during(mount.prefetch.stop());
  return { seconds, bytes: store.bytes, requests: store.requests, mount };
}

/** What the same costs the store where nothing is brought: all of the file once, and then in each pass what is not kept. */
function without(passes: number): { bytes: number; requests: number } {
  const records = RECORDS * (1 + (passes - 1) / 2);
  return { bytes: records * RECORD, requests: records + 1 };
}

function repeated({ mount }: Epochs): { broughtBytes: number; usedBytes: number } {
  return mount.prefetch.snapshot().totals.get('repeat') ?? { broughtBytes: 0, usedBytes: 0 };
}

describe('in the same order in every pass', () => {
  const orders = [FIXED, FIXED, FIXED];
  /** Whoever goes on further than the other changes from pass to pass. */
  const unevenly: ShareOf = (order, reader, pass) => {
    const mine = (reader + pass) % 2;
    return order.filter((_, at) => (at % 7 < 3 ? 0 : 1) === mine);
  };
  /** One has a quarter of them, and is soon far ahead of the other. */
  const ahead: ShareOf = (order, reader) => order.filter((_, at) => (at % 4 === 0 ? 0 : 1) === reader);
  for (const [what, readers, shareOf] of [
    ['by one process', 1, undefined],
    ['by two whose shares differ from pass to pass', 2, unevenly],
    ['by two of which one is far ahead', 2, ahead],
    ['by eight', 8, undefined],
  ] as const) {
    test(`${what}: what comes next is there`, async (context) => {
      const brought = await epochs(orders, readers, shareOf);
      context.diagnostic(`${brought.seconds.join(', ')} s`);
      const link = SIZE / 2 / LINK.bytesPerSecond;
      for (const pass of [1, 2]) {
        assert.ok(brought.seconds[pass]! < 1.25 * link, `${brought.seconds[pass]} s, ${link} s over the link`);
      }
      const { bytes, requests } = without(orders.length);
      assert.ok(brought.bytes <= 1.02 * bytes, `${brought.bytes} bytes, ${bytes} without`);
      assert.ok(brought.requests <= 1.02 * requests);
      const { broughtBytes, usedBytes } = repeated(brought);
      assert.equal(brought.mount.prefetch.snapshot().totals.get('unseen'), undefined, 'the order is known to the end');
      assert.ok(broughtBytes > 0.8 * SIZE, 'most of what is missing in two passes');
      assert.ok(usedBytes >= 0.95 * broughtBytes && usedBytes <= broughtBytes, `${usedBytes} of ${broughtBytes}`);
    });
  }
});

test('a reader who is far behind the others in the order goes in that order all the same', () => {
  const items = 2000;
  const pass = new Repetition();
  for (let item = 0; item < items; item++) pass.read(item);
  pass.begin();
  const last = [-1, -1];
  const read = (item: number): void => {
    pass.read(item, last[item % 2]);
    last[item % 2] = item;
  };
  const lead = 700;
  for (let item = 0; item < lead; item += 2) read(item);
  for (let item = lead; item < items; item += 2) {
    read(item);
    read(item - lead + 1);
    assert.ok(pass.repeats, `${item}`);
  }
  for (let item = items - lead + 1; item < items; item += 2) {
    read(item);
    assert.ok(pass.repeats, `${item}`);
  }
});

test('what the kernel has pages of, and does not ask for, is not waited for', async () => {
  const asked = FIXED.filter((_, at) => at % 20 !== 0);
  const { seconds, bytes } = await epochs([FIXED, asked]);
  const link = SIZE / 2 / LINK.bytesPerSecond;
  assert.ok(seconds[1]! < 1.25 * link, `${seconds[1]} s, ${link} s over the link`);
  assert.ok(bytes <= without(2).bytes);
});

describe('in another order in every pass', () => {
  const random = randomFrom(9);
  const anew = (): number[] => shuffled(random);

  for (const readers of [1, 4]) {
    test(`by ${readers}: what the pass has not read waits for it, and hardly a byte is asked for twice`, async (context) => {
      const { seconds, bytes, requests, mount } = await epochs([anew(), anew(), anew()], readers, undefined, 'all');
      context.diagnostic(`${seconds.join(', ')} s`);
      const alone = ((RECORDS / 2) * (LINK.latencyMs + (RECORD / LINK.bytesPerSecond) * 1000)) / 1000 / readers;
      for (const pass of [1, 2]) assert.ok(seconds[pass]! < 0.6 * alone, `${seconds[pass]} s, ${alone} s without`);
      assert.ok(bytes <= 1.01 * without(3).bytes, `${bytes} bytes, ${without(3).bytes} without`);
      assert.ok(requests <= 1.01 * without(3).requests);
      const { totals } = mount.prefetch.snapshot();
      assert.equal(totals.get('repeat'), undefined);
      const { broughtBytes, usedBytes } = totals.get('unseen')!;
      assert.ok(broughtBytes > SIZE / 4 && usedBytes >= 0.98 * broughtBytes, `${usedBytes} of ${broughtBytes}`);
    });
  }

  test('with bulk=off nothing is brought whose order is not known', async () => {
    const { mount, bytes } = await epochs([anew(), anew(), anew()], 2);
    assert.deepEqual([mount.prefetch.snapshot().totals.size, bytes], [0, without(3).bytes]);
  });

  test('passes over a part of the file, another one each time, have nothing brought', async () => {
    const parts = Array.from({ length: 4 }, () => anew().slice(0, RECORDS * 0.8));
    const { mount } = await epochs(parts, 2, undefined, 'all');
    assert.equal(mount.prefetch.snapshot().totals.get('unseen'), undefined);
  });

  test('records with replacement have nothing brought', async () => {
    const drawn = Array.from({ length: 8 * RECORDS }, () => random(RECORDS));
    const { mount } = await epochs([drawn], 2, undefined, 'all');
    assert.equal(mount.prefetch.snapshot().totals.get('unseen'), undefined);
  });

  test('a pass that ends early costs the window at most', async () => {
    const { mount } = await epochs([anew(), anew().slice(0, RECORDS / 4)], 2, undefined, 'all');
    const { broughtBytes, usedBytes } = mount.prefetch.snapshot().totals.get('unseen')!;
    assert.ok(usedBytes > 0 && broughtBytes - usedBytes <= UNSEEN_MOST_BYTES, `${usedBytes} of ${broughtBytes}`);
  });

  test('the same part of a file is brought as all of it is', async () => {
    const part = new Set(anew().slice(0, RECORDS * 0.9));
    const passes = Array.from({ length: 2 }, () => anew().filter((record) => part.has(record)));
    const { mount } = await epochs(passes, 2, undefined, 'all');
    assert.ok(mount.prefetch.snapshot().totals.get('unseen')!.broughtBytes > 0);
  });

  test('where readers wait for what was brought, nothing more is in that pass', () => {
    let order: Order | undefined;
    const orders: RepeatedRangesParts['orders'] = {
      unnoticed: 16,
      roomBytes: 0,
      freeBytes: 0,
      add: (one) => {
        order = one;
      },
      remove: () => {},
      wake: () => {},
    };
    const host = { capacityBytes: () => MIB, freeBytes: () => 0 };
    const ranges = new RepeatedRanges({ host, orders, announced: () => false, unseen: true });
    const [file, reader] = [new FakeFile('table', SIZE), {}];
    const read = (record: number): void => {
      ranges.read(file, reader, record * RECORD, RECORD);
      ranges.answered(file, record * RECORD, true);
    };
    for (const record of anew()) read(record);
    const given = new Set<number>();
    const take = (): number => {
      let taken = 0;
      for (let wanted = order?.next(); wanted !== undefined; wanted = order?.next()) {
        given.add(wanted.offset / RECORD);
        order?.settled(wanted, RECORD);
        taken++;
      }
      return taken;
    };
    let [waited, last] = [0, 0];
    for (const record of anew()) {
      if (given.has(record)) waited++;
      read(record);
      if (take() > 0) last = waited;
    }
    assert.equal(order?.name, 'unseen');
    assert.ok(waited > 64 && last > 0 && last <= 40, `${last} of ${waited}`);
  });
});

test('a pass that departs from the order costs a window at most', async () => {
  const other = shuffled(randomFrom(5));
  const half = RECORDS * 0.75; // what the cache has comes first
  const begun = FIXED.slice(0, half);
  const rest = new Set(FIXED.slice(half));
  const departs = [...begun, ...other.filter((record) => rest.has(record))];
  const watched = await epochs([FIXED, departs]);
  const more = watched.bytes - without(2).bytes;
  assert.ok(repeated(watched).broughtBytes > WINDOW_MOST_BYTES);
  assert.ok(more >= 0 && more <= WINDOW_MOST_BYTES, `${more} bytes more`);
});

test('of a file that the cache can hold nothing is noted', async () => {
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, { table: SIZE }, AHEAD_BYTES, 'off', 2 * SIZE);
  const reads = FIXED.map((record) => [record * RECORD, RECORD] as const);
  await store.during(mount.reads('table', reads).then(() => {}));
  assert.deepEqual(mount.prefetch.snapshot().ranges, []);
  await store.during(mount.prefetch.stop());
});

describe('what is remembered is bounded', () => {
  const reader = {};
  const ranges = (rangesMost: number): RepeatedRanges => {
    const orders: RepeatedRangesParts['orders'] = {
      unnoticed: 16,
      roomBytes: 0,
      freeBytes: 0,
      add: () => assert.fail('nothing repeats'),
      remove: () => {},
      wake: () => {},
    };
    const host = { capacityBytes: () => MIB, freeBytes: () => 0 };
    return new RepeatedRanges({ host, orders, announced: () => false, unseen: false, rangesMost });
  };
  const read = (all: RepeatedRanges, file: FakeFile, to: number, from = 0): void => {
    for (let at = from; at < to; at++) all.read(file, reader, 2 * at * RECORD, RECORD);
  };
  const shown = (all: RepeatedRanges): [string, number][] => all.snapshot().map((one) => [one.path, one.ranges]);

  test('a file with more ranges than that is given up', () => {
    const all = ranges(2048);
    const file = new FakeFile('large', SIZE);
    read(all, file, 2048);
    assert.deepEqual(shown(all), [['large', 2048]]);
    read(all, file, 4096, 2048);
    assert.deepEqual(shown(all), []);
  });

  test('of several the one that was read longest ago is', () => {
    const all = ranges(4096);
    for (const path of ['one', 'two', 'three']) read(all, new FakeFile(path, SIZE), 1536);
    read(all, new FakeFile('four', SIZE), 1024);
    assert.deepEqual(shown(all), [
      ['four', 1024],
      ['three', 1536],
      ['two', 1536],
    ]);
  });

  test('a record that the kernel asks for in pieces is one range', () => {
    const all = ranges(4096);
    const file = new FakeFile('table', SIZE);
    const others = {};
    for (let at = 0; at < 64; at++) {
      const offset = ((at * 37) % 64) * 2 * MIB;
      for (let piece = 0; piece < 4; piece++) {
        all.read(file, reader, offset + piece * RECORD, RECORD);
        all.read(file, others, offset + MIB + piece * RECORD, RECORD);
      }
    }
    assert.deepEqual(shown(all), [['table', 128]]);
  });

  test('a file that has got another size is begun anew, one that was looked up anew is not', () => {
    const all = ranges(4096);
    const file = new FakeFile('table', SIZE);
    read(all, file, 100);
    const again = new FakeFile('table', SIZE);
    Object.assign(again, { fileKey: file.fileKey });
    read(all, again, 200);
    assert.deepEqual(shown(all), [['table', 200]]);
    const larger = new FakeFile('table', 2 * SIZE);
    Object.assign(larger, { fileKey: file.fileKey });
    read(all, larger, 50);
    assert.deepEqual(shown(all), [['table', 50]]);
  });
});
