/** What is kept of buffers for the next fetch, and for how long. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { BufferPool } from '../../src/cache/buffers.ts';

const MIB = 2 ** 20;
/** Kept for good. */
const KEPT = 8 * MIB;
const PERIOD_MS = 2000;

test('as much as was in use at once is used again, and no more is kept than that', () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const pool = new BufferPool(64 * MIB);
  const first = Array.from({ length: 32 }, () => pool.take(MIB));
  const memory = new Set(first.map(({ bytes }) => bytes.buffer));
  for (const buffer of first) buffer.release();
  assert.equal(pool.usedBytes, 0);
  assert.equal(pool.keptBytes, 32 * MIB);

  const again = Array.from({ length: 32 }, () => pool.take(MIB));
  assert.ok(again.every(({ bytes }) => memory.has(bytes.buffer)));
  const small = pool.take(1);
  assert.equal(pool.keptBytes, 0);
  small.release();
  for (const buffer of again) {
    buffer.release();
    assert.ok(pool.usedBytes + pool.keptBytes <= 32 * MIB + 64 * 1024, 'never more than were in use at once');
  }

  mock.timers.tick(PERIOD_MS);
  assert.ok(pool.keptBytes >= 32 * MIB, 'they were in use just now');
  mock.timers.tick(PERIOD_MS);
  assert.ok(pool.keptBytes <= KEPT, 'and then for a while they were not');
  mock.timers.tick(10 * PERIOD_MS);
  assert.ok(pool.keptBytes > KEPT - MIB, 'what is kept for good stays');
  mock.timers.reset();
});

test('what is in use counts as what may be in use again', () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const pool = new BufferPool(64 * MIB);
  const held = Array.from({ length: 20 }, () => pool.take(MIB));
  const more = Array.from({ length: 20 }, () => pool.take(MIB));
  for (const buffer of more) buffer.release();
  mock.timers.tick(2 * PERIOD_MS);
  assert.equal(pool.usedBytes, 20 * MIB);
  assert.equal(pool.keptBytes, KEPT, 'the rest has gone');
  for (const buffer of held) buffer.release();
  assert.equal(pool.keptBytes, 20 * MIB);
  mock.timers.reset();
});
