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
