/** What is brought ahead of its reader and finds no room in the tier waits in memory. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { type Cache, type CachedContent, type ContentKey, openCache } from '../../src/cache/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, pause, readRange, TrueSource, temporaryDirectory } from './support.ts';

const MIB = 1 << 20;
const CACHE_BYTES = MIB;
/** As cache/waiting.ts has it. */
const WAITING_MOST_BYTES = 32 * MIB;

interface Full {
  cache: Cache;
  content: CachedContent;
  source: TrueSource;
}

/** A file of which the cache has the first MiB, and room for nothing more. */
async function full(sizeBytes: number, body: (full: Full) => Promise<void>): Promise<void> {
  const key: ContentKey = { file: 'records', version: 'v1', size: sizeBytes };
  const directory = temporaryDirectory();
  const options = { storeId: 'test:/', log: silentLog, chunkBytes: CHUNK };
  const cache = await openCache({ directory, sizeBytes: CACHE_BYTES, ...options });
  const source = new TrueSource(key);
  const content = cache.acquire(key)!;
  await content.fill(CACHE_BYTES, 0, source);
  assert.equal(cache.presentBytes(key), CACHE_BYTES);
  source.reads = source.bytes = 0;
  await body({ cache, content, source });
  content.release();
  await cache.shutdown();
  assert.equal(cache.snapshot().waitingBytes, 0, 'nothing waits any more');
}

const ahead = ({ content, source }: Full, offset: number, length: number): Promise<number> =>
  content.fill(length, offset, source, { mayWait: true }) as Promise<number>;

async function reads({ content, source }: Full, offset: number, length: number): Promise<void> {
  const bytes = await readRange(content, source, offset, length);
  assert.ok(bytes.equals(source.content.subarray(offset, offset + length)), `at ${offset}`);
}

test('its reader has it without the source, once', async () => {
  await full(4 * MIB, async (all) => {
    const { content, source, cache } = all;
    const [offset, length] = [2 * MIB + 3 * CHUNK, 5 * CHUNK];
    assert.equal(await content.fill(length, offset, source), -Errno.ENOSPC);
    assert.equal(await ahead(all, offset, length), length);
    assert.equal(content.missingBytes(offset, length), 0);
    assert.equal(await ahead(all, offset, length), length, 'it joins what waits');
    assert.equal(source.bytes, length);
    await reads(all, offset + 100, CHUNK);
    await reads(all, offset + 2 * CHUNK, 3 * CHUNK);
    assert.equal(source.bytes, length);
    await reads(all, offset, 2 * CHUNK);
    assert.equal(content.missingBytes(offset, length), length, 'it was read to its end');
    await reads(all, offset, length);
    assert.equal(source.bytes, 2 * length);
    assert.equal(cache.snapshot().usedBytes, CACHE_BYTES);
  });
});

test('a read of what waits, of what the tier has, of two that wait, or of more is right', async () => {
  await full(4 * MIB, async (all) => {
    await ahead(all, MIB - CHUNK, 4 * CHUNK);
    await ahead(all, MIB + 3 * CHUNK, 4 * CHUNK);
    const { bytes } = all.source;
    assert.equal(bytes, 7 * CHUNK);
    await reads(all, MIB - 2 * CHUNK, 9 * CHUNK);
    assert.equal(all.source.bytes, bytes);
    await ahead(all, 2 * MIB, CHUNK);
    await reads(all, 2 * MIB - CHUNK, 3 * CHUNK);
  });
});

test('who comes while it is on its way waits for the same request', async () => {
  await full(4 * MIB, async (all) => {
    const { source } = all;
    const { promise, resolve } = Promise.withResolvers<void>();
    source.gate = promise;
    const brought = ahead(all, 2 * MIB, 4 * CHUNK);
    const read = reads(all, 2 * MIB, 4 * CHUNK);
    await pause(5);
    resolve();
    await read;
    assert.equal(await brought, 4 * CHUNK);
    assert.equal(source.reads, 1);
    assert.equal(all.content.missingBytes(2 * MIB, 4 * CHUNK), 4 * CHUNK, 'nobody else waits for it');
  });
});

test('memory is bounded, and what is beyond it is not fetched', async () => {
  await full(40 * MIB, async (all) => {
    let brought = 0;
    for (let at = 2 * MIB; at < 40 * MIB; at += MIB) {
      const came = await ahead(all, at, MIB);
      if (came < 0) assert.equal(came, -Errno.ENOSPC);
      else brought += came;
    }
    assert.equal(brought, WAITING_MOST_BYTES);
    assert.equal(all.source.bytes, brought);
    await reads(all, 2 * MIB, MIB);
    assert.equal(await ahead(all, 39 * MIB, MIB), MIB, 'there is room again');
  });
});

test('what nobody comes for goes after a while', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const now = mock.method(performance, 'now');
  try {
    await full(4 * MIB, async (all) => {
      await ahead(all, 2 * MIB, CHUNK);
      mock.timers.tick(6000);
      assert.equal(all.content.missingBytes(2 * MIB, CHUNK), 0);
      const laterMs = performance.now() + 31_000;
      now.mock.mockImplementation(() => laterMs);
      mock.timers.tick(6000);
      assert.equal(all.content.missingBytes(2 * MIB, CHUNK), CHUNK);
    });
  } finally {
    now.mock.restore();
    mock.timers.reset();
  }
});

test('of a file that has changed nothing waits', async () => {
  await full(4 * MIB, async (all) => {
    const waitingBytes = (): number => all.cache.snapshot().waitingBytes;
    await ahead(all, 3 * MIB, CHUNK);
    assert.ok(waitingBytes() >= CHUNK);
    all.source.changed = true;
    assert.equal(await ahead(all, 2 * MIB, CHUNK), -Errno.ESTALE);
    assert.equal(waitingBytes(), 0);
    assert.ok(all.content.stale);
    await reads(all, 2 * MIB, CHUNK);
    assert.equal(all.source.bytes, 3 * CHUNK);
  });
});

test('when it cannot be told whether it has, nothing waits and the rest stays', async () => {
  await full(4 * MIB, async (all) => {
    all.source.silent = true;
    assert.equal(await ahead(all, 2 * MIB, CHUNK), -Errno.EIO);
    assert.equal(all.content.missingBytes(2 * MIB, CHUNK), CHUNK);
    assert.equal(all.content.stale, false);
    await reads(all, 0, MIB);
  });
});

test('what still waits when the cache is shut down goes', async () => {
  await full(4 * MIB, async (all) => {
    await ahead(all, 3 * MIB, CHUNK);
    assert.ok(all.cache.snapshot().waitingBytes >= CHUNK);
  });
});
