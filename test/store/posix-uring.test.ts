/** What a store promises it promises with calls through an io_uring too: tests of the store once more, that way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { laneWidth } from '../../src/store/posix/lane.ts';
import { beginIoUring } from '../../src/sys/uring-calls.ts';

const why = beginIoUring(64);

// S9.1
test('a quarter of the workers is left to others', { skip: why ?? false }, () => {
  assert.equal(laneWidth(), 48);
});

if (why === undefined) {
  await import('./posix-operations.test.ts');
  await import('./posix-races.test.ts');
}
