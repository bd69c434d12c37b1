/** Whose turn it is: by rank, and between jobs that read in passes where one has announced a plan. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HeldFile, PrefetchHost } from '../../src/prefetch/host.ts';
import type { Order, OrderName, Wanted } from '../../src/prefetch/order.ts';
import { PlanOrder } from '../../src/prefetch/orders/plan.ts';
import { Plan } from '../../src/prefetch/plans/plan.ts';
import { Scheduler } from '../../src/prefetch/scheduler.ts';
import { Spent } from '../../src/prefetch/spent.ts';
import { Errno } from '../../src/sys/errno.ts';

/** An order that has something until it is told not to. */
function orderOf(name: OrderName, about: string): Order & { given: number; ended: boolean } {
  return {
    name,
    about,
    given: 0,
    ended: false,
    next(): Wanted | undefined {
      if (this.ended) return undefined;
      return { file: `${about}/${this.given++}`, offset: 0, length: Number.POSITIVE_INFINITY };
    },
    settled(): void {},
  };
}

/** Everything is brought in the next turn of the loop. */
const host = {
  nowMs: () => performance.now(),
  hold: async (file: unknown): Promise<HeldFile> => ({
    fileKey: String(file),
    size: 1000,
    missingBytes: () => 1000,
    opens: 0,
    fill: () => new Promise((resolve) => setImmediate(() => resolve(1000))),
    release: () => {},
  }),
  list: async () => ({ files: [], directories: [] }),
  capacityBytes: () => 1e12,
  freeBytes: () => 1e12,
  claim: () => {},
  keeps: () => true,
  drop: async () => 0,
  use: () => ({ requests: 0, bytes: 0 }),
  defect: () => {},
} satisfies PrefetchHost;

// A scheduler that gives nothing must fail the test, not hang it.
const SECONDS_MOST = 20;

async function share(orders: readonly ReturnType<typeof orderOf>[]): Promise<number[]> {
  const scheduler = new Scheduler(host, new Spent(), { underWayMost: 8, bytesMost: 1e9 });
  for (const order of orders) scheduler.add(order);
  const lateMs = performance.now() + SECONDS_MOST * 1000;
  while (orders.reduce((sum, { given }) => sum + given, 0) < 1000 && performance.now() < lateMs)
    await new Promise((resolve) => setImmediate(resolve));
  for (const order of orders) order.ended = true;
  await scheduler.stop();
  return orders.map(({ given }) => Math.round(given / 100) / 10);
}

test('what stands higher goes first', async () => {
  assert.deepEqual(await share([orderOf('bulk', 'a'), orderOf('repeat', 'b')]), [0, 1]);
  assert.deepEqual(await share([orderOf('stride', 'a'), orderOf('bulk', 'b')]), [1, 0]);
});

test('a job that has announced what it reads does not take the source from one that has not', async () => {
  assert.deepEqual(await share([orderOf('plan', 'job'), orderOf('bulk', 'set')]), [0.5, 0.5]);
  assert.deepEqual(
    await share([orderOf('plan', 'one'), orderOf('plan', 'two'), orderOf('unseen', 'set')]),
    [0.3, 0.3, 0.3],
  );
});

test('who has nothing leaves his turn to all others alike', async () => {
  for (const names of [['plan', 'bulk', 'bulk'] as const, ['bulk', 'bulk', 'bulk'] as const]) {
    const orders = names.map((name, at) => orderOf(name, `${at}`));
    orders[2]!.ended = true;
    assert.deepEqual(await share(orders), [0.5, 0.5, 0], names.join());
  }
});

test('of one set, and beside what runs in no passes, rank is all', async () => {
  assert.deepEqual(
    await share([orderOf('unseen', 'set'), orderOf('repeat', 'set'), orderOf('plan', 'job')]),
    [0, 0.5, 0.5],
  );
  assert.deepEqual(await share([orderOf('readahead', 'file'), orderOf('plan', 'job')]), [0, 1]);
});

test('no more is asked of the store at once than may be, not even at the beginning', async () => {
  for (const underWayMost of [1, 3]) {
    let [asked, most] = [0, 0];
    const counting: PrefetchHost = {
      ...host,
      hold: async (file) => {
        most = Math.max(most, ++asked);
        const held = await host.hold(file);
        return { ...held, fill: (...args) => held.fill(...args).finally(() => asked--) };
      },
    };
    const scheduler = new Scheduler(counting, new Spent(), { underWayMost, bytesMost: 1e9 });
    const order = orderOf('bulk', 'set');
    scheduler.add(order);
    const lateMs = performance.now() + SECONDS_MOST * 1000;
    while (order.given < 200 && performance.now() < lateMs) await new Promise((resolve) => setImmediate(resolve));
    order.ended = true;
    await scheduler.stop();
    assert.equal(most, underWayMost);
  }
});

test('what has come, and is being kept, leaves its place to what is next', async () => {
  const kept = Promise.withResolvers<number>();
  const slow: PrefetchHost = {
    ...host,
    hold: async (file) => ({
      ...(await host.hold(file)),
      fill: (_offset, _length, options) => {
        setImmediate(() => options?.arrived?.());
        return kept.promise;
      },
    }),
  };
  const bytesMost = 100 * 128 * 1024;
  const scheduler = new Scheduler(slow, new Spent(), { underWayMost: 8, bytesMost });
  const order = orderOf('stride', 'file');
  scheduler.add(order);
  for (let turns = 0; turns < 1000; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(order.given, 100, 'as many as their bytes may be held');
  assert.equal(scheduler.snapshot().underWay, 100);
  order.ended = true;
  kept.resolve(1000);
  await scheduler.stop();
});

test('a full cache is not asked over and over while something is on its way', async () => {
  let asked = 0;
  let first = true;
  const full: PrefetchHost = {
    ...host,
    freeBytes: () => 0,
    hold: async (file) => {
      asked++;
      const held = await host.hold(file);
      const hangs = first;
      first = false;
      return { ...held, fill: () => (hangs ? new Promise(() => {}) : Promise.resolve(-Errno.EDQUOT)) };
    },
  };
  const scheduler = new Scheduler(full, new Spent(), { underWayMost: 16, bytesMost: 1e9 });
  const plan = new Plan('job', undefined, 0);
  for (let at = 0; at < 1000; at++) plan.add(`train/${at}.jpg`, 0, Number.POSITIVE_INFINITY);
  scheduler.add(new PlanOrder(plan, scheduler));
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(asked <= 32, `${asked} times`);
  assert.equal(plan.counts.failed, 0);
});

test('one file that hangs does not end what is brought beside it', async () => {
  let nowMs = 0;
  const hanging: PrefetchHost = {
    ...host,
    nowMs: () => nowMs,
    hold: async (file) => {
      const held = await host.hold(file);
      return { ...held, fill: (...words) => (file === 'a/0' ? new Promise(() => {}) : held.fill(...words)) };
    },
  };
  const scheduler = new Scheduler(hanging, new Spent(), { underWayMost: 8, bytesMost: 1e9 });
  const [one, other] = [orderOf('bulk', 'a'), orderOf('bulk', 'b')];
  const given = one.next.bind(one);
  one.next = () => (one.given === 0 ? given() : undefined);
  scheduler.add(one);
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  nowMs = 10_000; // nothing else was to be brought for a while
  scheduler.add(other);
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  other.ended = true;
  assert.equal(one.given, 1);
  assert.ok(other.given > 1, `${other.given}`);
  assert.equal(scheduler.snapshot().state, 'ok');
});
