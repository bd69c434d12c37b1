/** Large files that are read in the order of their names, in virtual time: what comes next is there before it is begun. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NameSequences, stepOf } from '../../src/prefetch/name-sequence.ts';
import { type Link, VirtualMount, VirtualStore } from './virtual-store.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LINK: Link = { latencyMs: 5, bytesPerSecond: 200e6 };
/** Shards that each reader has read before it is known how. */
const UNKNOWN = 2;

interface Seen {
  share: number;
  asked: number;
  /** Of each file but the first ones of each reader, in ms. */
  firstMs: number[];
}

/** Readers that share shards: of W, each reads every W-th. */
async function shards(count: number, size: number, workers: number): Promise<Seen> {
  const names = Array.from({ length: count }, (_, at) => `shards/shard-${at}.tar`);
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, Object.fromEntries(names.map((name) => [name, size])));
  const begunMs = store.nowMs;
  const firstMs: number[] = [];
  const worker = async (number: number): Promise<void> => {
    for (let at = number; at < count; at += workers) {
      const reads = Array.from({ length: size / 256 / KIB }, (_, piece) => [piece * 256 * KIB, 256 * KIB] as const);
      const { firstSeconds } = await mount.reads(names[at]!, reads, number + 1);
      if (at >= UNKNOWN * workers) firstMs.push(firstSeconds * 1000);
    }
  };
  await store.during(Promise.all(Array.from({ length: workers }, (_, number) => worker(number))).then(() => {}));
  const seconds = (store.nowMs - begunMs) / 1000;
  await store.during(mount.prefetch.stop());
  return { share: (count * size) / LINK.bytesPerSecond / seconds, asked: store.bytes / (count * size), firstMs };
}

for (const { workers, size, share } of [
  { workers: 1, size: 32 * MIB, share: 0.94 },
  { workers: 1, size: 12 * MIB, share: 0.88 },
  { workers: 1, size: 2 * MIB, share: 0.8 },
  { workers: 2, size: 12 * MIB, share: 0.96 },
]) {
  test(`${workers} reading shards of ${size / MIB} MiB by their names: ${share} of the link, nothing twice`, async (context) => {
    const seen = await shards(24 * workers, size, workers);
    const late = seen.firstMs.filter((ms) => ms > 1).length;
    context.diagnostic(`${seen.share.toFixed(3)} of the link, ${late} of ${seen.firstMs.length} waited`);
    assert.equal(seen.asked, 1);
    assert.ok(seen.share >= share, `${seen.share} of the link`);
  });
}

test('names are in the order of their numbers, and apart from those of another kind', async () => {
  const names = await NameSequences.of(['part-10.bin', 'part-9.bin', 'index.json', 'part-1.bin', 'b.txt', 'a.txt']);
  assert.deepEqual(names.like('part-9.bin'), ['part-1.bin', 'part-9.bin', 'part-10.bin']);
  assert.deepEqual(names.like('a.txt'), ['a.txt', 'b.txt']);
  assert.equal(names.positionOf('part-10.bin'), 2);
  assert.equal(names.positionOf('part-11.bin'), undefined);
});

test('very many names are put in order in many turns of the loop', async () => {
  const count = 20_000;
  const names = Array.from({ length: count }, (_, at) => `part-${(at * 7919) % count}.bin`);
  let turns = 0;
  let done = false;
  const tick = (): void => {
    turns++;
    if (!done) setImmediate(tick);
  };
  tick();
  const sequences = await NameSequences.of([...names, ...names.map((name) => `${name}-${name.length}.idx`)]);
  done = true;
  assert.ok(turns >= 100, `${turns} turns`);
  const ordered = sequences.like('part-1.bin');
  assert.deepEqual(
    [ordered.length, ordered[0], ordered[9], ordered.at(-1)],
    [count, 'part-0.bin', 'part-9.bin', 'part-19999.bin'],
  );
  for (const at of [0, 1, 1023, 1024, 12_345, count - 1]) assert.equal(sequences.positionOf(`part-${at}.bin`), at);
});

test('a step is told from the last files, whoever of several threads came first', () => {
  const forward = fc.record({
    from: fc.nat(100),
    step: fc.integer({ min: 1, max: 16 }),
    count: fc.integer({ min: 4, max: 8 }),
  });
  fc.assert(
    fc.property(forward, ({ from, step, count }) => {
      const positions = Array.from({ length: count }, (_, at) => from + at * step);
      assert.equal(stepOf(positions, 1, 0), step);
      assert.equal(stepOf(positions.toReversed(), 1, 0), -step);
    }),
  );
  assert.equal(stepOf([0, 2, 1, 3, 5, 4, 6, 7], 4, 0), 1, 'four threads');
  assert.equal(stepOf([4, 8, 12, 90, 94, 98], 1, 0), 4, 'elsewhere in between');
  assert.equal(stepOf([5, 6], 1, 0), 0, 'too early to tell');
  assert.equal(stepOf([5, 9], 1, 0, 4), 4, 'one of four');
  assert.equal(stepOf([5], 1, 4), 4, 'as the others do');
  assert.equal(stepOf([7, 0, 10, 3, 11, 1, 5], 1, 0), 0, 'shuffled');
});

test('in a shuffled order hardly ever a step is seen', () => {
  let state = 3;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let seen = 0;
  let told = 0;
  for (let round = 0; round < 500; round++) {
    const order = Array.from({ length: 16 }, (_, at) => at);
    for (let at = order.length - 1; at > 0; at--) {
      const other = next(at + 1);
      [order[at], order[other]] = [order[other]!, order[at]!];
    }
    for (let count = 3; count <= order.length; count++, told++) {
      if (stepOf(order.slice(0, count), 1, 0) !== 0) seen++;
    }
  }
  assert.ok(seen < told / 100, `${seen} of ${told}`);
});
