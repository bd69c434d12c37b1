/** A policy with most of its items at rest does what it would do with all of them in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ItemsAtRest } from '../../../src/cache/eviction/items-at-rest.ts';
import { policies } from '../../../src/cache/eviction/policies.ts';
import { type EvictionPolicy, Item } from '../../../src/cache/eviction/policy.ts';
import { cachePolicies } from '../../../src/config/cache-policies.ts';
import { dice } from './workloads.ts';

const SIZES = [4096, 100_000, 65_536, 900_000];
const DIRECTORIES = ['a/1', 'a/2', 'a/3', 'a/4', 'b'];

/** A policy and what it keeps, by number; with `atRest`, some of that as records. */
class Kept {
  readonly policy: EvictionPolicy;
  readonly #atRest = new ItemsAtRest();
  readonly #kept = new Map<number, Item | undefined>();

  constructor(name: (typeof cachePolicies)[number], seed: number) {
    this.policy = policies[name]({ capacityBytes: () => 1e9, random: dice(seed), atRest: this.#atRest });
  }

  get numbers(): number[] {
    return [...this.#kept.keys()];
  }

  get resting(): number {
    return this.#atRest.size;
  }

  read(number: number, nowMs: number): void {
    const item = this.#kept.has(number)
      ? this.wake(number)
      : new Item(number, SIZES[number % 4]!, DIRECTORIES[number % 5]);
    this.policy.accessed(item, nowMs);
    if (item.resident) return;
    item.bytes = item.size;
    item.resident = true;
    this.#kept.set(number, item);
    this.policy.inserted(item, nowMs);
  }

  rest(number: number): void {
    const item = this.#kept.get(number);
    if (item === undefined) return;
    this.policy.rests!(item, this.#atRest.take(item, number, String(number), true));
    this.#kept.set(number, undefined);
  }

  wake(number: number): Item {
    let item = this.#kept.get(number);
    if (item === undefined) {
      const record = this.#atRest.of(number);
      item = this.#atRest.item(record);
      item.record = -1;
      this.policy.wakes!(item);
      this.#atRest.remove(record);
      this.#kept.set(number, item);
    }
    return item;
  }

  /** The number of what goes; -1: nothing. */
  evict(nowMs: number): number {
    const victim = this.policy.victim(undefined, nowMs);
    if (victim === undefined) return -1;
    // Every other one as when its row is found to be gone.
    const item = victim.record >= 0 && victim.id % 2 === 0 ? this.wake(victim.id) : victim;
    this.policy.removed(item);
    if (item.record >= 0) this.#atRest.remove(item.record);
    this.#kept.delete(item.id);
    return item.id;
  }
}

const step = fc.record({
  what: fc.constantFrom('read', 'read', 'read', 'evict', 'rest', 'rest', 'wake'),
  number: fc.nat(60),
  afterMs: fc.constantFrom(1, 100, 30_000),
});

for (const name of cachePolicies) {
  test(`${name}: what goes first is the same, whatever rests`, () => {
    let rested = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 300 }), fc.nat(), (steps, seed) => {
        const [plain, resting] = [new Kept(name, seed), new Kept(name, seed)];
        let nowMs = 1000;
        for (const { what, number, afterMs } of steps) {
          nowMs += afterMs;
          if (what === 'read') for (const kept of [plain, resting]) kept.read(number, nowMs);
          else if (what === 'evict') assert.equal(resting.evict(nowMs), plain.evict(nowMs));
          else if (what === 'rest')
            for (const one of resting.numbers.filter((at) => at % 3 !== number % 3)) resting.rest(one);
          else if (resting.numbers.includes(number)) resting.wake(number);
          rested = Math.max(rested, resting.resting);
        }
        const count = plain.numbers.length;
        for (let left = count; left > 0; left--) assert.equal(resting.evict(nowMs), plain.evict(nowMs));
        assert.equal(resting.resting, 0);
      }),
      { numRuns: 150, seed: 20_261_122 },
    );
    assert.ok(rested > 10, `only ${rested} rested`);
  });
}

test('a record says what its item said', () => {
  const atRest = new ItemsAtRest();
  const item = new Item(0xffff_fff0, 0xfff_0000, 'some/where');
  Object.assign(item, {
    extension: '.jpg',
    bytes: item.size,
    resident: true,
    ahead: true,
    uses: 1.25,
    tick: 7,
    clock: 9,
  });
  Object.assign(item, { lastMs: 12.5, rank: -3.25, at: 17, atSet: 4_000_000 });
  const record = atRest.take(item, 1_763_000_000_000_123, '42', false);
  assert.equal(atRest.of(1_763_000_000_000_123), record);
  assert.equal(atRest.of(1_763_000_000_000_124), -1);
  assert.deepEqual(
    [atRest.objectId(record), atRest.trusted(record), atRest.bytes(record)],
    [1_763_000_000_000_123, false, item.size],
  );
  const copy = atRest.item(record);
  for (const field of [
    'id',
    'size',
    'directory',
    'extension',
    'bytes',
    'resident',
    'ahead',
    'uses',
    'tick',
    'clock',
  ] as const)
    assert.equal(copy[field], item[field], field);
  for (const field of ['lastMs', 'rank', 'at', 'atSet', 'set'] as const) assert.equal(copy[field], item[field], field);
  const found: number[] = [];
  atRest.find('42', (id) => found.push(id) > 1);
  assert.deepEqual(found, [1_763_000_000_000_123]);
});
