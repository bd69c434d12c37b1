/** Large files that one process reads one after the other, through a mount of a slow store. */
// time limit: 300 s
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
