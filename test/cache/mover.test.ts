/** What is queued to be moved is moved, whenever it comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool } from '../../src/cache/buffers.ts';
import { Mover } from '../../src/cache/mover.ts';
import type { CacheObject } from '../../src/cache/object.ts';
import { pause } from './support.ts';

const object = (): CacheObject => ({}) as CacheObject;

/** After so many turns of the queue of microtasks. */
function soon(turns: number, then: () => void): void {
  queueMicrotask(() => (turns === 1 ? then() : soon(turns - 1, then)));
}

test('what comes at the moment the last was moved is not left lying', async () => {
  for (let turns = 1; turns <= 8; turns++) {
    const mover = new Mover(new BufferPool(1 << 20), (error) => assert.fail(String(error)));
    let moved = 0;
    const first = async (): Promise<void> => {
      soon(turns, () => mover.add(object(), async () => void moved++, true));
    };
    mover.add(object(), first, true);
    await pause(5);
    assert.equal(moved, 1, `${turns}`);
    await mover.stop();
  }
});
