/** Objects of the cache that lose their name or cannot be kept, while they are read. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { BufferPool } from '../../src/cache/buffers.ts';
import type { CachedContent, ContentSource } from '../../src/cache/cache.ts';
import { DiskCache } from '../../src/cache/disk-cache.ts';
import { IndexDatabase } from '../../src/cache/index-db.ts';
import { Tier } from '../../src/cache/tier.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-objects-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

class FailingTier extends Tier {
  failing = false;
  override write(fd: number, data: Uint8Array, offset: number): Promise<number> {
    if (this.failing) return Promise.resolve(this.failed(-Errno.ENOSPC, 'write'));
    return super.write(fd, data, offset);
  }
}

function stage(): { cache: DiskCache; tier: FailingTier } {
  const directory = path.join(workspace, String(serial++));
  fs.mkdirSync(path.join(directory, 'objects'), { recursive: true });
  const tier = new FailingTier({ directory, sizeBytes: 64 << 20, reserveBytes: 0, log: silentLog });
  const cache = new DiskCache({
    tier,
    openIndex: () => IndexDatabase.open(path.join(directory, 'index.sqlite'), 'test', silentLog, 'boot'),
    buffers: new BufferPool(16 << 20),
    chunkBytes: 4096,
    log: silentLog,
    onShutdown: () => {},
  });
  after(() => cache.shutdown());
  return { cache, tier };
}

function sourceOf(text: string): ContentSource {
  return {
    read: async (into, length, offset) => Buffer.from(text.slice(offset, offset + length)).copy(into),
    unchanged: async () => true,
  };
}

const gone: ContentSource = { read: async () => -Errno.ESTALE, unchanged: async () => false };

async function fill(content: CachedContent, text: string): Promise<void> {
  const outcome = await content.read(text.length, 0, sourceOf(text));
  assert.ok(typeof outcome === 'object');
  outcome.release?.();
  for (let i = 0; i < 200 && !content.complete; i++) await new Promise((resolve) => setTimeout(resolve, 2));
}

function openObjects(tier: Tier): number {
  return fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${tier.directory}/objects/`);
    } catch {
      return false;
    }
  }).length;
}

function files(tier: Tier): string[] {
  const all = fs.readdirSync(path.join(tier.directory, 'objects'), { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile()).map(({ name }) => name);
}

// S3.7
test('a removed object keeps its bytes for who holds it, whatever else is read', async () => {
  const { cache, tier } = stage();
  const held = cache.acquire({ file: 'held', version: '1', size: 4 })!;
  await fill(held, 'text');
  assert.ok(held.complete);
  cache.drop('held');
  for (let i = 0; i < 1100; i++) {
    const other = cache.acquire({ file: `other${i}`, version: '1', size: 4 })!;
    await fill(other, 'else');
    other.release();
  }
  const outcome = await held.read(4, 0, gone);
  assert.ok(typeof outcome === 'object', `read: ${String(outcome)}`);
  assert.equal(Buffer.from(outcome.bytes).toString(), 'text');
  outcome.release?.();
  const before = openObjects(tier);
  held.release();
  assert.equal(openObjects(tier), before - 1);
});

test('the descriptor of a removed object is closed by a read that outlasts its holder', async () => {
  const { cache, tier } = stage();
  const held = cache.acquire({ file: 'held', version: '1', size: 4 })!;
  await fill(held, 'text');
  const read = held.read(4, 0, gone);
  cache.drop('held');
  held.release();
  const outcome = await read;
  assert.ok(typeof outcome === 'object');
  outcome.release?.();
  assert.equal(openObjects(tier), 0);
});

// S9.2
test('nothing is left of an object whose bytes did not fit the disk', async () => {
  const { cache, tier } = stage();
  tier.failing = true;
  const content = cache.acquire({ file: 'a', version: '1', size: 4 })!;
  await fill(content, 'text');
  content.release();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(files(tier), []);
  assert.equal(openObjects(tier), 0);
  assert.equal(cache.snapshot().usedBytes, 0);
  assert.match(cache.snapshot().health, /^full: ENOSPC since .*; nothing new is kept: make space/);
  assert.ok(tier.healthy, 'it is not set aside for that');
});
