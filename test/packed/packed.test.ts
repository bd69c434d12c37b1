/** Records, texts and indexes outside the heap, against plain maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf, hashOfNumber } from '../../src/packed/hash.ts';
import { Links, SharedLinks } from '../../src/packed/links.ts';
import { RecordIndex } from '../../src/packed/record-index.ts';
import { Records } from '../../src/packed/records.ts';
import { LONGEST_TEXT, Texts } from '../../src/packed/texts.ts';
import { joined, unboxed } from '../../src/packed/whole.ts';

/** The same numbers every time. */
function numbers(): (below: number) => number {
  let state = 12345;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('records keep what is put into them while others come and go', () => {
  const random = numbers();
  const records = new Records(3);
  const expected = new Map<number, number>();
  for (let step = 0; step < 50_000; step++) {
    if (expected.size === 0 || random(5) < 3) {
      const record = records.take();
      assert.ok(!expected.has(record), `record ${record} is taken twice`);
      expected.set(record, step);
      const at = records.at(record);
      records.page(record).doubles.fill(step, at, at + 3);
    } else {
      const some = [...expected.keys()][random(Math.min(expected.size, 50))]!;
      expected.delete(some);
      records.give(some);
    }
  }
  assert.equal(records.size, expected.size);
  for (const [record, value] of expected) {
    const at = records.at(record);
    assert.deepEqual([...records.page(record).doubles.subarray(at, at + 3)], [value, value, value]);
  }
});

test('the memory of records is given back when nothing is in them', () => {
  const records = new Records(4);
  const taken = Array.from({ length: 10_000 }, () => records.take());
  assert.equal(records.bytes, 10 * 1024 * 32, 'ten pages');
  for (const record of taken.slice(0, 9000)) records.give(record);
  assert.ok(records.bytes <= 2 * 1024 * 32);
  for (const record of taken.slice(9000)) records.give(record);
  assert.equal(records.bytes, 0);
  records.page(records.take()).doubles[0] = 1;
  assert.equal(records.bytes, 1024 * 32);
});

test('texts come back as they were; those that are no bytes or too long are refused', () => {
  const texts = new Texts();
  const given = ['', 'a', 'name\0birth', '\xff'.repeat(255), 'x'.repeat(LONGEST_TEXT)];
  const kept = given.map((text) => texts.put(text)!);
  assert.deepEqual(
    kept.map((number) => texts.get(number)),
    given,
  );
  assert.equal(texts.put('x'.repeat(LONGEST_TEXT + 1)), undefined);
  assert.equal(texts.put('\u0100'), undefined);
  for (const number of kept) texts.remove(number);
  assert.equal(texts.bytes, 0);
});

test('an index finds each of many records, also where their hashes are the same, and none that was removed', () => {
  const random = numbers();
  const keys: number[] = [];
  // Few hashes in few tables: long runs, which removals must close.
  const hash = (key: number): number => (hashOfNumber(key) & 0x0300_003f) >>> 0;
  const index = new RecordIndex((record) => hash(keys[record]!));
  const there = new Set<number>();
  for (let record = 0; record < 2000; record++) {
    keys.push(record * 7);
    index.add(hash(record * 7), record);
    there.add(record);
    if (random(3) > 0) continue;
    const gone = [...there][random(there.size)]!;
    index.remove(hash(keys[gone]!), gone);
    there.delete(gone);
  }
  for (let record = 0; record < 2000; record++) {
    const found = index.find(hash(keys[record]!), (one) => one === record);
    assert.equal(found, there.has(record) ? record : -1, `record ${record}`);
  }
});

test('hashes spread what is close together', () => {
  for (const hashes of [
    Array.from({ length: 4096 }, (_, i) => hashOfNumber(2 ** 40 + i)),
    Array.from({ length: 4096 }, (_, i) => hashOf(`sample-${i}`)),
  ]) {
    const used = new Set(hashes.map((hash) => hash >>> 24));
    assert.ok(used.size > 200, `${used.size} of 256 tables`);
    assert.ok(hashes.every((hash) => hash >= 0 && hash <= 0xffff_ffff));
  }
});

test('links name the same object while something refers to it, and their numbers are used again', () => {
  const random = numbers();
  const shared = new SharedLinks<{ id: number }>();
  const few = Array.from({ length: 5 }, (_, id) => ({ id }));
  const held: { number: number; object: { id: number } }[] = [];
  for (let step = 0; step < 20_000; step++) {
    if (held.length === 0 || random(2) === 0) {
      const object = few[random(few.length)]!;
      held.push({ number: shared.add(object), object });
    } else {
      const { number, object } = held.splice(random(held.length), 1)[0]!;
      assert.equal(shared.get(number), object);
      shared.remove(number);
    }
  }
  for (const { number, object } of held) assert.equal(shared.get(number), object);
  assert.equal(shared.size, new Set(held.map(({ object }) => object)).size);
  for (const { number } of held) shared.remove(number);
  assert.equal(shared.size, 0);

  const links = new Links<{ id: number }>();
  assert.equal(links.get(links.add(undefined)), undefined);
  const [a, b] = few.map((object) => links.add(object));
  assert.equal(links.get(a!), few[0]);
  links.remove(a!);
  links.remove(0);
  assert.equal(links.get(a!), undefined);
  assert.equal(links.add(few[4]), a, 'the number given back');
  assert.equal(links.get(b!), few[1]);
});

test('numbers put together from halves, and those without their box, are the same numbers', () => {
  for (const value of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -(2 ** 31), -(2 ** 40) - 7]) {
    const high = Math.floor(value / 2 ** 32);
    assert.equal(joined(high, value - high * 2 ** 32), value);
    assert.equal(unboxed(value), value);
  }
  for (const value of [0.5, -1.25, 2 ** 60, Number.POSITIVE_INFINITY]) assert.equal(unboxed(value), value);
  assert.ok(Number.isNaN(unboxed(Number.NaN)));
});
