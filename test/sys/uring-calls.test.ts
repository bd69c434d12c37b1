/** Which calls go through an io_uring. The ring is none: what counts is who is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as sys from '../../src/sys/libc.ts';
import { divertTo } from '../../src/sys/uring-calls.ts';

test('what changes a file goes through the ring only where files do not wait for each other', async () => {
  const asked: number[] = [];
  const ring = {
    supports: () => true,
    call: async (opcode: number) => asked.push(opcode),
  };
  const changing = [sys.pwrite, sys.ftruncate, sys.fallocate];
  divertTo({ ...ring, writesApart: false });
  assert.ok(sys.pread.diverted && sys.openat.diverted && sys.fsync.diverted && sys.unlinkat.diverted);
  for (const call of changing) assert.ok(!call.diverted);
  assert.ok((await sys.pwrite.later(-1, Buffer.alloc(1), 1, 0)) < 0);
  assert.deepEqual(asked, []);
  divertTo({ ...ring, writesApart: true });
  for (const call of changing) assert.ok(call.diverted);
  await sys.pwrite.later(-1, Buffer.alloc(1), 1, 0);
  assert.equal(asked.length, 1);
});
