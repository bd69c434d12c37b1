/** Large files that one process reads one after the other, through a mount of a slow store. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { noMounts } from '../../support/mounts.ts';
import { kill } from '../../support/run.ts';
import { launchProgram } from '../programs.ts';
import { broughtBy, onSlowStore, type Stage, statsOf, until } from './stage.ts';

const MIB = 2 ** 20;
const SHARD_BYTES = 3 * MIB;
const CHUNK_BYTES = 64 * 1024;

interface Shards {
  names: string[];
  /** Reads a piece in the one process, and asserts that it is right. */
  read(name: string, offset: number, length: number): Promise<void>;
}

/** Files beside the data sets of the stage, and a process that reads them. */
async function withShards(
  { source, mount }: Stage,
  nameOf: (number: number) => string,
  count: number,
  body: (shards: Shards) => Promise<void>,
): Promise<void> {
  const directory = join(source, '..', 'shards');
  mkdirSync(directory);
  const contents = new Map<string, Buffer>();
  for (let number = 0; number < count; number++) contents.set(nameOf(number), randomBytes(SHARD_BYTES));
  for (const [name, content] of contents) writeFileSync(join(directory, name), content);
  const reader = launchProgram('pieces.py', [join(mount.mountpoint, 'shards')]);
  const lines = createInterface({ input: reader.stdout! });
  try {
    const answers = lines[Symbol.asyncIterator]();
    const answer = async (): Promise<unknown> => JSON.parse((await answers.next()).value as string);
    await answer();
    await body({
      names: [...contents.keys()],
      read: async (name, offset, length) => {
        reader.stdin!.write(`${name} ${offset} ${length}\n`);
        const from = offset < 0 ? SHARD_BYTES + offset : offset;
        const expected = contents.get(name)!.subarray(from, from + length);
        assert.deepEqual(await answer(), { bytes: expected.length, crc: crc32(expected) }, name);
      },
    });
  } finally {
    lines.close();
    kill(reader);
  }
}

test('who reads shards by their names finds the next one there, also when the store hangs', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount } = stage;
    await withShards(
      stage,
      (number) => `shard-${number}.tar`,
      12,
      async ({ names, read }) => {
        for (const name of names.slice(0, 3)) await read(name, 0, SHARD_BYTES);
        await until(mount, (stats) => broughtBy(stats, 'next-file') >= SHARD_BYTES && stats.prefetch.underWay === 0);
        await slow.hang({ path: 'shards/*', kinds: ['read'] });
        await read(names[3]!, 0, SHARD_BYTES);
        await slow.release();
        for (const name of names.slice(4)) await read(name, 0, SHARD_BYTES);
        const { prefetch } = await until(mount, (stats) => stats.prefetch.underWay === 0);
        assert.deepEqual(prefetch.sequences, [{ path: 'shards', step: 1, readers: 1 }]);
        assert.equal(prefetch.byOrder['next-file']!.usedBytes, prefetch.byOrder['next-file']!.bytes);
        assert.equal((await slow.counts()).bytesRead, names.length * SHARD_BYTES, 'no byte was asked for twice');
      },
    );
  });
});

test('where files are begun at their end, that of the next one is there too', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount } = stage;
    await withShards(
      stage,
      (number) => `part-${number}.parquet`,
      6,
      async ({ names, read }) => {
        const begin = async (name: string): Promise<void> => {
          await read(name, -8, 8);
          await read(name, -60_000, 60_000);
          await read(name, 0, MIB);
        };
        for (const name of names.slice(0, 3)) await begin(name);
        const stats = await until(mount, (seen) => broughtBy(seen, 'next-file') > 0 && seen.prefetch.underWay === 0);
        assert.ok(broughtBy(stats, 'end') > 0, 'of those that were opened');
        await slow.hang({ path: 'shards/*', kinds: ['read'] });
        await begin(names[3]!);
        await slow.release();
      },
    );
  });
});

test('a table of which much was read in an order that cannot be known is brought to its end', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount } = stage;
    await withShards(
      stage,
      () => 'table.bin',
      1,
      async ({ names, read }) => {
        const chunks = SHARD_BYTES / CHUNK_BYTES;
        const order = Array.from({ length: chunks }, (_, at) => at);
        order.sort((a, b) => Math.sin(a * 12_345.678) - Math.sin(b * 12_345.678)); // in no steps
        const some = order.slice(0, 36);
        const others = order.slice(36);
        for (const at of some) await read(names[0]!, at * CHUNK_BYTES, 4096);
        const { prefetch } = await until(mount, ({ cache }) => cache.bytes === SHARD_BYTES);
        assert.ok(prefetch.byOrder.bulk!.bytes > 0);
        await slow.hang({ path: 'shards/*', kinds: ['read'] });
        for (const at of others) await read(names[0]!, at * CHUNK_BYTES, 4096);
        await slow.release();
        assert.equal((await slow.counts()).bytesRead, SHARD_BYTES, 'no byte was asked for twice');
      },
    );
  });
});

test('who reads shards here and there has no others brought', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    await withShards(
      stage,
      (number) => `shard-${number}.tar`,
      12,
      async ({ names, read }) => {
        for (const at of [7, 0, 10, 3, 11, 1, 5]) await read(names[at]!, 0, SHARD_BYTES);
        const stats = await statsOf(stage.mount);
        assert.equal(broughtBy(stats, 'next-file'), 0);
        assert.deepEqual(stats.prefetch.sequences, []);
      },
    );
  });
});
