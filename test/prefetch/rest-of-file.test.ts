/** A large table whose records are read in an order that cannot be known, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BulkMode } from '../../src/prefetch/job-share.ts';
import { type Link, VirtualMount, VirtualStore } from './virtual-store.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LINK: Link = { latencyMs: 5, bytesPerSecond: 200e6 };
const SIZE = 64 * MIB;
const ROW = 8 * KIB;
const READERS = 2;

/** Every row once. */
function shuffledRows(rowBytes = ROW): number[] {
  let state = 11;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const order = Array.from({ length: SIZE / rowBytes }, (_, at) => at);
  for (let at = order.length - 1; at > 0; at--) {
    const other = next(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

/** Readers that share the rows, each row once or so many of them; seconds, and the bytes asked for to the table's size. */
async function read(
  rows: number,
  bulk: BulkMode,
  { rowBytes = ROW, roomBytes }: { rowBytes?: number; roomBytes?: number } = {},
): Promise<{ seconds: number; asked: number }> {
  const order = shuffledRows(rowBytes);
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, { table: SIZE }, undefined, bulk, roomBytes);
  let seconds = 0;
  const readers = Array.from({ length: READERS }, (_, reader) => {
    const own = order.slice(0, rows).filter((_, at) => at % READERS === reader);
    return mount.reads(
      'table',
      own.map((row) => [row * rowBytes, rowBytes] as const),
      reader + 1,
    );
  });
  await store.during(
    Promise.all(readers).then((took) => {
      seconds = Math.max(...took.map((one) => one.seconds));
    }),
  );
  await store.during(mount.prefetch.stop());
  return { seconds, asked: store.bytes / SIZE };
}

test('an epoch over shuffled records has the rest of the table brought, each byte once', async (context) => {
  const [without, brought] = [await read(SIZE / ROW, 'off'), await read(SIZE / ROW, 'all')];
  context.diagnostic(`${brought.seconds.toFixed(2)} s, ${without.seconds.toFixed(2)} s without`);
  assert.equal(brought.asked, 1);
  assert.ok(brought.seconds < without.seconds / 2, `${brought.seconds} s, ${without.seconds} s without`);
});

test('where there is room for a half of the table, so much is brought', async (context) => {
  const records = { rowBytes: 64 * KIB, roomBytes: SIZE / 2 };
  const count = SIZE / records.rowBytes;
  const [without, brought] = [await read(count, 'off', records), await read(count, 'all', records)];
  context.diagnostic(`${brought.seconds.toFixed(2)} s, ${without.seconds.toFixed(2)} s without`);
  context.diagnostic(`${brought.asked.toFixed(3)} of the table asked for, ${without.asked.toFixed(3)} without`);
  assert.ok(brought.seconds < 0.8 * without.seconds, `${brought.seconds} s, ${without.seconds} s without`);
  assert.equal(brought.asked, 1);
});

test('a few rows of a table have nothing else brought', async () => {
  const rows = SIZE / ROW / 64;
  assert.equal((await read(rows, 'all')).asked, (await read(rows, 'off')).asked);
});

test('after a pause of the reader the rest is gone on with', async () => {
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, { table: SIZE }, undefined, 'all');
  const pauses = Promise.withResolvers<void>();
  const goesOn = Promise.withResolvers<void>();
  const begun = (): boolean => mount.prefetch.snapshot().orders.some(({ name }) => name === 'bulk');
  async function* rows(): AsyncGenerator<readonly [number, number]> {
    let before = Number.POSITIVE_INFINITY;
    for (const row of shuffledRows()) {
      if (store.bytes > before) return; // it has missed one more
      if (before === Number.POSITIVE_INFINITY && begun()) {
        pauses.resolve();
        await goesOn.promise;
        before = store.bytes;
      }
      yield [row * ROW, ROW];
    }
  }
  const job = mount.reads('table', rows());
  await store.during(pauses.promise);
  store.nowMs += 11_000;
  await store.untilIdle();
  assert.ok(store.bytes < 0.9 * SIZE, `${store.bytes} of ${SIZE} bytes: it pauses with its reader`);
  goesOn.resolve();
  await store.during(job.then(() => {}));
  await store.untilIdle();
  assert.equal(store.bytes, SIZE);
  await store.during(mount.prefetch.stop());
});
