/** When nothing, or not so much, is to be brought: switched off, a cache that is full, a limit, a job of several nodes. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noMounts } from '../../support/mounts.ts';
import { atRest, BEGINNING, broughtBy, FILES, onSlowStore, type Stage, statsOf, until } from './stage.ts';

/** A job reads the beginning of the data set: the store was asked for that and nothing else. */
async function nothingElse({ slow, mount, job }: Stage, env: Record<string, string> = {}): Promise<void> {
  const reader = await job(env);
  await slow.reset();
  const { bytes } = await reader.read(BEGINNING);
  const { prefetch } = await atRest(mount);
  const { bytesRead, byKind } = await slow.counts();
  assert.deepEqual([bytesRead, byKind.open], [bytes, BEGINNING]);
  assert.equal(prefetch.bytes, 0);
}

test('prefetch=off asks for nothing that is not read', { skip: noMounts }, async () => {
  await onSlowStore(
    async (stage) => {
      await nothingElse(stage);
      assert.equal((await statsOf(stage.mount)).prefetch.state, 'off');
    },
    { options: ['prefetch=off'] },
  );
});

test('bulk=off brings no rest of a data set', { skip: noMounts }, async () => {
  await onSlowStore(nothingElse, { options: ['bulk=off'] });
});

test('a job that shares the data with others has not all of it brought, unless that is wished', {
  skip: noMounts,
}, async () => {
  const several = { WORLD_SIZE: '8', RANK: '3' };
  await onSlowStore((stage) => nothingElse(stage, several));
  await onSlowStore(
    async ({ mount, bytes, job }) => {
      await (await job(several)).read(BEGINNING);
      await until(mount, ({ cache }) => cache.bytes === bytes);
    },
    { options: ['bulk=all'] },
  );
});

test('a cache that is full stays within its size, and everything is read right', { skip: noMounts }, async () => {
  await onSlowStore(
    async ({ mount, bytes, job }) => {
      const reader = await job();
      for (let epoch = 0; epoch < 2; epoch++) {
        assert.deepEqual((await reader.read('rest')).generations, { '1': FILES });
        const { cache, problems } = await atRest(mount);
        assert.ok(cache.bytes <= bytes / 4, `${cache.bytes} bytes`);
        assert.deepEqual([cache.health, problems.errors, problems.defects], ['ok', 0, 0]);
      }
    },
    { cache: (bytes) => bytes / 4 },
  );
});

test('store-limit bounds what is asked for ahead, and holds up no reader', { skip: noMounts }, async () => {
  const limit = 400_000;
  await onSlowStore(
    async ({ mount, job }) => {
      const began = performance.now();
      const reader = await job();
      await reader.read(BEGINNING);
      await until(mount, ({ prefetch }) => prefetch.state === 'limited');
      await sleep(1000);
      const brought = broughtBy(await statsOf(mount), 'bulk');
      const seconds = (performance.now() - began) / 1000;
      // what may be under way at once, and is counted when it has begun, comes on top
      assert.ok(brought < limit * (seconds + 1) + 1e6, `${brought} bytes in ${seconds} s`);
      assert.deepEqual((await reader.read('rest')).generations, { '1': FILES - BEGINNING });
    },
    { options: [`store-limit=${limit}`] },
  );
});

test('prefetch-workers bounds what is under way, and everything is brought', { skip: noMounts }, async () => {
  await onSlowStore(
    async ({ mount, bytes, job }) => {
      await (await job()).read(BEGINNING);
      let window = 0;
      await until(mount, ({ cache, prefetch }) => {
        window = Math.max(window, prefetch.window);
        return cache.bytes === bytes;
      });
      assert.ok(window >= 1 && window <= 2, `${window} at once`);
    },
    { options: ['prefetch-workers=2'] },
  );
});
