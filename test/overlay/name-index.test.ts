/** The index of a listing's names, against a plain map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NameIndex } from '../../src/overlay/name-index.ts';

const named = (names: readonly string[]): { name: string }[] => names.map((name) => ({ name }));

test('each name is found where it is, and no other', () => {
  const names = Array.from({ length: 5000 }, (_, i) => `sample-${i * 7}.jpg`);
  const index = NameIndex.of(named(['', 'a', 'ä', ...names]));
  assert.equal(index.find(''), 0);
  assert.equal(index.find('ä'), 2);
  for (const [i, name] of names.entries()) assert.equal(index.find(name), i + 3, name);
  for (const name of ['b', 'sample-1.jpg', 'sample-', 'sample-0.jpg ']) assert.equal(index.find(name), undefined, name);
});

test('it grows with entries that come later, beyond what was expected', () => {
  const entries = named([]);
  const index = new NameIndex(entries, 3);
  for (let i = 0; i < 3000; i++) {
    assert.equal(index.find(`${i}`), undefined);
    index.add(entries.push({ name: `${i}` }) - 1);
    assert.equal(index.find(`${i >> 1}`), i >> 1);
  }
  for (let i = 0; i < 3000; i++) assert.equal(index.find(`${i}`), i);
});

test('of two with the same name the first is found', () => {
  assert.equal(NameIndex.of(named(['a', 'b', 'a'])).find('a'), 0);
});

test('without entries nothing is found', () => {
  assert.equal(NameIndex.of([]).find('a'), undefined);
});
