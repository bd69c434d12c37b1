/** The slow store reads into the same buffers again and again: one that makes a buffer a read burns a processor on them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlowFileSystem } from '../../bench/slow-store/slow-file-system.ts';
import { type Caller, type LateBytes, ROOT } from '../../src/overlay/filesystem.ts';
import { ReadBuffers } from '../../src/overlay/read-buffers.ts';
import { failed } from '../../src/sys/errno.ts';
import { addressOf } from '../../src/sys/libc.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';

const MIB = 1024 * 1024;
const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };

/** Notes what it is given to read into; `answers`: in it, in a buffer of its own (as what is not in memory), not at all. */
class Watched extends MemoryFileSystem {
  readonly into = new Set<ArrayBufferLike>();
  answers: 'into' | 'late' | 'failure' = 'into';

  override read(
    ...[node, handle, offset, size, into]: Parameters<MemoryFileSystem['read']>
  ): number | Promise<LateBytes> {
    this.into.add(into.buffer);
    if (this.answers === 'failure') return -5;
    if (this.answers === 'late') return Promise.resolve({ bytes: new Uint8Array(size) });
    assert.ok(into.length >= size);
    return super.read(node, handle, offset, size, into) as number;
  }
}

for (const answers of ['into', 'late', 'failure'] as const) {
  test(`the slow store takes its buffers again when bytes come "${answers}"`, async () => {
    const inner = new Watched();
    inner.addFile('data', 'x'.repeat(4 * MIB));
    const slow = new SlowFileSystem(inner, { latencyMs: 0, bandwidth: 1e12, ttlMs: 1000 });
    const entry = await slow.lookup(ROOT, 'data', CALLER);
    assert.ok(!failed(entry));
    const opened = await slow.open(entry.node, 0, false, CALLER);
    assert.ok(!failed(opened));
    inner.answers = answers;
    for (let round = 0; round < 4; round++) {
      const reads = [];
      for (let i = 0; i < 100; i++) {
        reads.push(slow.read(entry.node, opened.handle, 0, MIB, new Uint8Array(0), CALLER));
      }
      for (const read of await Promise.all(reads)) if (typeof read !== 'number') read.release?.();
    }
    assert.ok(inner.into.size <= 100, `${inner.into.size} buffers for 100 reads at a time`);
    await slow.stop();
  });
}

test('read buffers keep as many bytes as was said, each large enough and aligned to pages', () => {
  const buffers = new ReadBuffers(4 * MIB);
  const taken = Array.from({ length: 8 }, () => buffers.take(MIB - 1));
  for (const buffer of taken) {
    assert.equal(buffer.length, MIB);
    assert.equal(addressOf(buffer) % 4096, 0);
    buffers.give(buffer);
  }
  const again = Array.from({ length: 8 }, () => buffers.take(MIB));
  assert.equal(again.filter((buffer) => taken.includes(buffer)).length, 4);
  assert.equal(buffers.take(1).length, 16 * 1024);
});
