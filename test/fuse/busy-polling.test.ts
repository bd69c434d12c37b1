/** The window for which the session looks for the next request before it sleeps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyPolling } from '../../src/fuse/busy-polling.ts';

test('the window opens with short sleeps, grows to its bound, and closes with a long one', () => {
  const polling = new BusyPolling();
  assert.equal(polling.windowMs, 0, 'nobody has asked yet');
  for (let i = 0; i < 10; i++) polling.slept(0.01);
  assert.equal(polling.windowMs, 0, 'a few requests in a row are no stream of them');
  for (let i = 0; i < 30; i++) polling.slept(0.01);
  polling.lost();
  assert.equal(polling.windowMs, 0);
  for (let i = 0; polling.windowMs === 0; i++) {
    assert.ok(i < 100);
    polling.slept(0.01);
  }
  const first = polling.windowMs;
  assert.ok(first > 0);
  polling.slept(0.01);
  assert.ok(polling.windowMs > first);
  for (let i = 0; i < 10; i++) polling.slept(0.01);
  assert.ok(polling.windowMs <= 0.1, 'a core is not given away');
  polling.slept(5);
  assert.equal(polling.windowMs, 0);
});
