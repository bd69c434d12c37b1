/** Files that are begun at their end, in virtual time: the end and the beginning come in one go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Link, VirtualMount, VirtualStore } from './virtual-store.ts';

const KIB = 1024;
const SIZE = 16 * KIB * KIB;
const LINK: Link = { latencyMs: 5, bytesPerSecond: 200e6 };
/** Open, the last bytes, a larger piece of the end, the beginning: the trips of a reader of its own. */
const TRIPS = 4;

type Read = readonly [offset: number, size: number];

const fromEnd: readonly Read[] = [
  [SIZE - 4 * KIB, 4 * KIB],
  [SIZE - 128 * KIB, 64 * KIB],
  [0, 64 * KIB],
];

/** Trips that each of some files took to be begun, and bytes asked for, for each that was read. */
async function begun(ending: string, reads: readonly Read[]): Promise<{ trips: number[]; asked: number }> {
  const names = [5, 2, 9, 0, 7].map((number) => `data/part-${number}.${ending}`); // in no order
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, Object.fromEntries(names.map((name) => [name, SIZE])));
  const trips: number[] = [];
  for (const name of names) {
    await store.during(
      mount.reads(name, reads).then(({ seconds }) => {
        trips.push(Math.floor((seconds * 1000) / LINK.latencyMs));
      }),
    );
  }
  await store.during(mount.prefetch.stop());
  return { trips, asked: store.bytes / names.length / (reads.length * 64 * KIB) };
}

test('of a parquet file the end and the beginning are on their way from the open on', async () => {
  const { trips, asked } = await begun('parquet', fromEnd);
  assert.equal(trips[0], TRIPS - 1, 'how long the end is, is not known yet');
  assert.deepEqual(trips.slice(1), [2, 2, 2, 2]);
  assert.equal(asked, 1);
});

test('how the last files were begun says how the next will be, whatever their name', async () => {
  const { trips, asked } = await begun('blob', fromEnd);
  assert.deepEqual(trips, [TRIPS, 2, 2, 2, 2]);
  assert.equal(asked, 1);
  const fromStart: Read[] = [0, 1, 2].map((at) => [at * 64 * KIB, 64 * KIB]);
  const plain = await begun('parquet', fromStart);
  assert.ok(plain.asked <= 1.2, `${plain.asked}: the end of the first was for nothing`);
});
