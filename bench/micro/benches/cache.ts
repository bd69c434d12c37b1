/** The cache: chunk maps, the objects by name, reads that are present, and the index behind them. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cache, CachedContent, ContentKey } from '../../../src/cache/cache.ts';
import type * as Chunks from '../../../src/cache/chunk-map.ts';
import type * as CacheIndex from '../../../src/cache/index.ts';
import type * as Database from '../../../src/cache/index-db.ts';
import type { Micro, Prepared, Tree } from '../bench.ts';

const OBJECTS = 20_000;
const CHUNKS = 8192;
const OBJECT_BYTES = 4 << 20;
const BATCH = 100;
const nothing = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function key(at: number): ContentKey {
  return { file: String(at), version: '1790000000.123456789:112640', size: 112_640 };
}

async function open(tree: Tree, directory: string): Promise<Cache> {
  const { openCache } = await tree.load<typeof CacheIndex>('cache/index.ts');
  const where = join(directory, 'cache');
  return openCache({ directory: where, sizeBytes: 1 << 30, reserveBytes: 0, storeId: 'micro', log: nothing });
}

/** A cache that knows many objects, none of which has a byte. */
async function crowded(tree: Tree, directory: string): Promise<{ cache: Cache; keys: ContentKey[] }> {
  const cache = await open(tree, directory);
  const keys = Array.from({ length: OBJECTS }, (_, at) => key(at));
  for (const one of keys) if (cache.acquire(one) === undefined) throw new Error('the cache takes nothing: no space?');
  return { cache, keys };
}

async function readingNow(tree: Tree, directory: string, bytes: number): Promise<Prepared> {
  const cache = await open(tree, directory);
  const content = cache.acquire({ file: 'large', version: '1', size: OBJECT_BYTES });
  if (content === undefined) throw new Error('the cache takes nothing: no space?');
  await fill(content);
  const into = Buffer.alloc(bytes);
  let offset = 0;
  return {
    run: () => {
      for (let i = 0; i < 100; i++) {
        const count = content.readNow(into, bytes, offset);
        if (count !== bytes) throw new Error(`readNow: ${count}`);
        offset = (offset + bytes) % OBJECT_BYTES;
      }
    },
    end: async () => {
      content.release();
      await cache.shutdown();
    },
  };
}

async function fill(content: CachedContent): Promise<void> {
  const source = {
    read: async (into: Uint8Array, length: number) => {
      into.fill(7, 0, length);
      return length;
    },
    unchanged: async () => true,
  };
  for (let at = 0; at < OBJECT_BYTES; at += 1 << 20) {
    const got = await content.read(1 << 20, at, source);
    if (typeof got === 'number') throw new Error(`read: ${got}`);
    got.release?.();
  }
  for (let tries = 0; tries < 200 && !content.complete; tries++) await sleep(5);
  if (!content.complete) throw new Error('the object did not become complete');
}

export const cache: readonly Micro[] = [
  {
    name: 'chunk map: covers 8 chunks',
    operations: 1000,
    prepare: async (tree) => {
      const { ChunkMap } = await tree.load<typeof Chunks>('cache/chunk-map.ts');
      const map = new ChunkMap(CHUNKS);
      for (let chunk = 0; chunk < CHUNKS; chunk++) map.set(chunk);
      return {
        run: () => {
          for (let i = 0; i < 1000; i++) if (!map.covers(i * 8, i * 8 + 7)) throw new Error('a chunk is gone');
        },
      };
    },
  },
  {
    name: 'chunk map: set',
    operations: CHUNKS,
    prepare: async (tree) => {
      const { ChunkMap } = await tree.load<typeof Chunks>('cache/chunk-map.ts');
      return {
        run: () => {
          const map = new ChunkMap(CHUNKS);
          for (let chunk = 0; chunk < CHUNKS; chunk++) map.set(chunk);
          if (!map.full) throw new Error('not full');
        },
      };
    },
  },
  {
    name: 'cache: readNow 4 KiB, present',
    operations: 100,
    prepare: (tree, directory) => readingNow(tree, directory, 4096),
  },
  {
    name: 'cache: readNow 128 KiB, present',
    operations: 100,
    prepare: (tree, directory) => readingNow(tree, directory, 128 * 1024),
  },
  {
    name: `cache: acquire and release, ${OBJECTS} objects`,
    operations: 1000,
    prepare: async (tree, directory) => {
      const { cache, keys } = await crowded(tree, directory);
      let at = 0;
      return {
        run: () => {
          for (let i = 0; i < 1000; i++) {
            at = (at + 7919) % OBJECTS;
            cache.acquire(keys[at]!)!.release();
          }
        },
        end: () => cache.shutdown(),
      };
    },
  },
  {
    name: `cache: has, ${OBJECTS} objects`,
    operations: 1000,
    prepare: async (tree, directory) => {
      const { cache, keys } = await crowded(tree, directory);
      let at = 0;
      return {
        run: () => {
          for (let i = 0; i < 1000; i++) {
            at = (at + 7919) % OBJECTS;
            if (cache.has(keys[at]!)) throw new Error('complete without a byte');
          }
        },
        end: () => cache.shutdown(),
      };
    },
  },
  {
    name: `cache index: insert, batches of ${BATCH}`,
    operations: BATCH,
    prepare: async (tree, directory) => {
      const { IndexDatabase } = await tree.load<typeof Database>('cache/index-db.ts');
      const index = IndexDatabase.open(join(directory, 'index.sqlite'), 'micro', nothing);
      await index.endCheckpoints?.(); // the trees before it had none
      const rows = Array.from({ length: BATCH }, (_, at) => ({
        ...key(at),
        id: at,
        chunkBytes: 262_144,
        chunks: null,
        sums: 1,
        bytes: 112_640,
        exposed: 0,
        synced: 1,
        used: 0,
        pin: 0,
      }));
      return {
        run: () => {
          for (const row of rows) row.id += BATCH;
          index.write(rows, []);
        },
        end: () => index.close(),
      };
    },
  },
];
