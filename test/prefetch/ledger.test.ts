/** What is said to have been used is never more than what was brought. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../src/prefetch/ledger.ts';

const SIZE = 1000;

function sums(ledger: Ledger): number[] {
  const { broughtBytes, usedBytes, wastedBytes } = ledger.account('bulk', 'data');
  return [broughtBytes, usedBytes, wastedBytes];
}

test('what came for a reader of its own, who was quicker, was neither brought nor used', () => {
  const ledger = new Ledger(() => true);
  const account = ledger.account('bulk', 'data');
  ledger.bringing(account, 'file', SIZE, SIZE, 0);
  ledger.read('file', 0, SIZE);
  assert.deepEqual(sums(ledger), [SIZE, SIZE, 0]);
  ledger.withdraw(account, 'file', SIZE, SIZE);
  assert.deepEqual(sums(ledger), [0, 0, 0]);
});

test('of what has not come, only what was read is taken from what was used', () => {
  const ledger = new Ledger(() => true);
  const account = ledger.account('bulk', 'data');
  ledger.bringing(account, 'other', SIZE, SIZE, 0);
  ledger.read('other', 0, SIZE);
  ledger.bringing(account, 'file', SIZE, SIZE, 0);
  ledger.withdraw(account, 'file', SIZE, SIZE);
  assert.deepEqual(sums(ledger), [SIZE, SIZE, 0]);
  ledger.bringing(account, 'file', SIZE, SIZE, 0);
  ledger.read('file', 0, SIZE / 4);
  ledger.withdraw(account, 'file', SIZE, SIZE);
  assert.deepEqual(sums(ledger), [SIZE, SIZE, 0]);
});

test('what two orders bring of one file counts once, for the one that began it', () => {
  const ledger = new Ledger(() => true);
  const [first, second] = [ledger.account('next-file', 'data'), ledger.account('readahead', 'data/a')];
  assert.equal(ledger.bringing(first, 'a', SIZE, SIZE, 0), SIZE);
  assert.equal(ledger.bringing(second, 'a', 2 * SIZE, 2 * SIZE, 0), SIZE, 'half of it is on its way');
  ledger.read('a', 0, 2 * SIZE);
  for (const account of [first, second]) assert.deepEqual([account.broughtBytes, account.usedBytes], [SIZE, SIZE]);
  assert.equal(ledger.files, 0);
});

test('what was late and comes to be read with more of its file is neither late nor taken from the waste of others', () => {
  const ledger = new Ledger(() => true);
  const account = ledger.account('readahead', 'file');
  const of = (): number[] => [account.broughtBytes, account.usedBytes, account.wastedBytes];
  ledger.bringing(account, 'file', 2 * SIZE, 2 * SIZE, 0);
  ledger.sweep(60_000);
  assert.deepEqual(of(), [2 * SIZE, 0, 2 * SIZE]);
  ledger.bringing(account, 'file', 12 * SIZE, 10 * SIZE, 60_000);
  assert.deepEqual(of(), [12 * SIZE, 0, 0]);
  ledger.read('file', 0, 11 * SIZE);
  assert.deepEqual(of(), [12 * SIZE, 11 * SIZE, 0]);
  ledger.sweep(120_000);
  ledger.sweep(120_000);
  assert.deepEqual(of(), [12 * SIZE, 11 * SIZE, SIZE]);
  ledger.withdraw(account, 'file', 12 * SIZE, SIZE);
  assert.deepEqual(of(), [11 * SIZE, 11 * SIZE, 0]);
});
