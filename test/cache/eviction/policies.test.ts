/** Each policy on sequences that can be followed by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from '../../../src/cache/eviction/heap.ts';
import { History } from '../../../src/cache/eviction/history.ts';
import { Item } from '../../../src/cache/eviction/policy.ts';
import { SimulatedCache } from '../../../src/cache/eviction/simulated-cache.ts';
import { simulatedPolicies } from '../../../src/cache/eviction/simulated-policies.ts';
import { Event } from '../../../src/cache/eviction/workload.ts';
import { dice, FILE, KIB, ratio, Script, simulate } from './workloads.ts';

const names = Object.keys(simulatedPolicies);

/** Reads items of one size, named by letters, with room for so many of them: "h" for each hit, "." for each miss. */
function hits(policy: string, letters: string, room: number, msBetween = 1000): string {
  const script = new Script();
  const items = new Map<string, number>();
  for (const letter of letters) {
    if (!items.has(letter)) items.set(letter, script.files(1, () => `d/${letter}`)[0]!);
    script.read(items.get(letter)!, msBetween);
  }
  const { cache } = simulate(script, policy, room * FILE, 0);
  const next = script.workload.nextOpens();
  let told = '';
  for (let at = 0; at < script.here; at += 2) {
    const before = cache.counts.readHits;
    cache.run(at, at + 2, next);
    told += cache.counts.readHits > before ? 'h' : '.';
  }
  return told;
}

test('LRU removes what was read longest ago', () => {
  //                        A is read again, so D pushes out B, and B then C.
  assert.equal(hits('lru', 'ABCADBAC', 3), '...h..h.');
  assert.equal(hits('lru', 'ABCDABCD', 3), '........', 'a fixed order of one more than fit: nothing');
});

test('MIN removes what is read again latest: the example of Belady, and of every textbook', () => {
  assert.equal(hits('belady', '123412512345', 3).replaceAll('.', '').length, 5, '7 faults of 12 with 3 frames');
  assert.equal(hits('belady', 'ABCDABCD', 3), '....hhh.');
});

test('SIEVE passes over what was read, where it lies', () => {
  // D: the hand clears A and takes B; E: it goes on from C, which was not read. A stays, though LRU would have it last.
  assert.equal(hits('sieve', 'ABCADEA', 3), '...h..h');
  assert.equal(hits('lru', 'ABCADEFA', 3), '...h....');
});

test('what S3-FIFO and W-TinyLFU have seen read again, a scan does not push out; LRU it does', () => {
  const hot = 'ABC'.repeat(6);
  const scan = Array.from({ length: 60 }, (_, at) => String.fromCharCode(0x100 + at)).join('');
  const after = (policy: string): string => hits(policy, `${hot}${scan}ABC`, 10).slice(-3);
  assert.equal(after('s3-fifo'), 'hhh');
  assert.equal(after('w-tinylfu'), 'hhh');
  assert.equal(after('mix'), 'hhh');
  assert.equal(after('lru'), '...');
});

test('2-random removes the older of two: in a fixed order it keeps some, where LRU keeps nothing', () => {
  const script = new Script();
  const files = script.files(100, (at) => `d/${at}`);
  for (let epoch = 0; epoch < 20; epoch++) script.all(files);
  const hit = ratio(script, '2-random', 75 * FILE);
  assert.ok(hit > 0.1 && hit < 0.7, String(hit));
});

test('epoch-keep keeps what came first, and lets it go when its data set is idle', () => {
  assert.equal(hits('epoch-keep', 'ABCDABCDABCD', 3), '....hhh.hhh.');
  const script = new Script();
  const [a, b] = [script.files(10, (at) => `a/${at}`), script.files(10, (at) => `b/${at}`)];
  script.all([...a, ...a], 100);
  const from = script.here;
  script.all([...b, ...b], 100);
  assert.equal(ratio(script, 'epoch-keep', 10 * FILE, from), 0, 'a was read a second ago');
  script.nowMs += 60_000;
  const later = script.here;
  script.all([...b, ...b], 100);
  assert.equal(ratio(script, 'epoch-keep', 10 * FILE, later), 0.5, 'nobody has read a for a minute: b takes its place');
});

test('cost-aware: a small file is worth more than its bytes of a large one', () => {
  const script = new Script();
  const [large] = script.files(1, () => 'models/large', 100 * 1024 * KIB);
  const small = script.files(900, (at) => `small/${at}`, FILE);
  script.read(large!);
  for (let epoch = 0; epoch < 2; epoch++) script.all(small);
  const from = script.here;
  script.all(small);
  for (const [policy, least] of [
    ['cost-aware', 1],
    ['mix', 0.98], // until some of them were read again it knows of no epochs
  ] as const) {
    assert.ok(ratio(script, policy, 100 * 1024 * KIB, from) >= least, `${policy}: the large one went`);
    const { cache } = simulate(script, policy, 100 * 1024 * KIB);
    assert.equal(cache.counts.evictions, 1);
  }
});

test('mix: what is read once pushes nothing out, however large and whenever it comes', () => {
  const script = new Script();
  const set = script.files(100, (at) => `train/${at}.jpg`);
  const checkpoints = script.files(5, (at) => `run/${at}.pt`, 200 * 1024 * KIB);
  for (const checkpoint of checkpoints) {
    script.all(set);
    script.read(checkpoint);
  }
  const { cache } = simulate(script, 'mix', 100 * FILE);
  assert.equal(cache.counts.evictions, 0);
  assert.equal(cache.counts.readHits, 400);
});

test('no policy keeps more than there is room for, or loses count', () => {
  const aRead = fc.record({
    item: fc.nat(30),
    at: fc.constantFrom(0, 0, 300 * KIB, 1500 * KIB),
    length: fc.constantFrom(1, 100 * KIB, 4096 * KIB),
    drop: fc.integer({ min: 0, max: 20 }).map((number) => number === 0),
    pauseMs: fc.constantFrom(1, 100, 20_000),
  });
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(aRead, { maxLength: 200 }), (name, reads) => {
      const script = new Script();
      const items = script.files(
        31,
        (at) => `${at % 4}/${at}`,
        (at) => (at % 7 === 0 ? 3000 : at) * KIB + at,
      );
      for (const { item, at, length, drop, pauseMs } of reads) {
        script.nowMs += pauseMs;
        script.workload.add(drop ? Event.DROP : Event.OPEN, items[item]!, script.nowMs);
        if (!drop) script.workload.add(Event.READ, items[item]!, script.nowMs, at, length);
      }
      const capacityBytes = 4000 * KIB;
      const policy = simulatedPolicies[name]!({ capacityBytes: () => capacityBytes, random: dice(3) });
      const kept = new Map<Item, number>();
      const checked = new Proxy(policy, {
        get: (target, key) => {
          const value = Reflect.get(target, key) as unknown;
          if (typeof value !== 'function') return value;
          return (item: Item | undefined, more: number) => {
            if (key === 'inserted') kept.set(item!, item!.bytes);
            if (key === 'grown') kept.set(item!, item!.bytes);
            if (key === 'removed') kept.delete(item!);
            const result: unknown = value.call(target, item, more);
            if (key === 'victim' && result !== undefined) {
              assert.ok(kept.has(result as Item), 'what goes was there');
              assert.notEqual(result, item, 'and is not what it goes for');
            }
            return result;
          };
        },
      });
      const cache = new SimulatedCache(script.workload, { policy: checked, capacityBytes, chunkBytes: 256 * KIB });
      cache.run(0, script.here, script.workload.nextOpens());
      const { counts } = cache;
      assert.ok(counts.mostBytes <= capacityBytes);
      assert.ok(counts.readHits <= counts.reads && counts.hitBytes <= counts.readBytes);
    }),
    { numRuns: 300, seed: 20_261_121 },
  );
});

test('a heap gives the least first, and passes over what is held', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 100 }), (ranks) => {
      const heap = new Heap();
      const items = ranks.map((rank, id) => Object.assign(new Item(id, 1, ''), { rank }));
      for (const item of items) heap.add(item);
      for (const item of items) {
        item.rank = (item.rank * 7919) % 1009;
        heap.moved(item);
      }
      const wanted = items.map(({ rank }) => rank).sort((a, b) => a - b);
      const held = heap.leastFree(undefined)!;
      held.owner = { held: true };
      assert.notEqual(heap.leastFree(undefined), held);
      held.owner = undefined;
      for (const rank of wanted) {
        const least = heap.leastFree(undefined)!;
        assert.equal(least.rank, rank);
        heap.remove(least);
      }
      assert.equal(heap.size, 0);
    }),
    { numRuns: 200, seed: 5 },
  );
});

test('what is not kept is remembered: 200,000 items, hardly one forgotten', () => {
  const history = new History();
  const random = dice(11);
  const ids = Array.from({ length: 200_000 }, () => Math.floor(random() * 2 ** 32));
  for (const [at, id] of ids.entries())
    history.remember(Object.assign(new Item(id, 1, ''), { uses: at % 9, tick: at }));
  let forgotten = 0;
  for (const [at, id] of ids.entries()) {
    const item = new Item(id, 1, '');
    if (!history.recall(item)) forgotten++;
    else assert.ok(item.tick >= at, 'the newest of an id');
  }
  assert.ok(forgotten < 1000, `${forgotten} forgotten`);
});
