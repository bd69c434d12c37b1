/** A data set that is read in an unknown order, over a slow store: what is brought of it is right, and comes once. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noMounts } from '../../support/mounts.ts';
import { runProgram } from '../programs.ts';
import { atRest, BEGINNING, broughtBy, FILES, held, onSlowStore, SIZE, statsOf, until } from './stage.ts';

test('the rest of a data set comes before it is read, each byte once, and is what is read then', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async ({ slow, mount, bytes, job }) => {
    const reader = await job();
    await slow.reset();
    await reader.read(BEGINNING);
    const brought = await until(mount, ({ cache }) => cache.bytes === bytes);
    assert.ok(broughtBy(brought, 'bulk') > bytes / 2, 'most of it was brought');
    assert.equal((await slow.counts()).bytesRead, bytes, 'no byte was asked for twice');

    await slow.reset();
    assert.deepEqual((await reader.read('rest')).generations, { '1': FILES - BEGINNING });
    const { bytesRead, byKind } = await slow.counts();
    assert.deepEqual([bytesRead, byKind.open ?? 0], [0, 0], 'the reader was served from the cache');
    const { prefetch } = await statsOf(mount);
    assert.ok(prefetch.accuracy !== null && prefetch.accuracy >= 0.95, `${prefetch.accuracy} of it was used`);
  });
});

test('readers beside it and the fill ask for no byte twice', { skip: noMounts }, async () => {
  await onSlowStore(async ({ slow, mount, bytes, job }) => {
    const readers = await Promise.all([job(), job()]);
    await slow.reset();
    const did = await Promise.all(readers.map((reader) => reader.read('rest')));
    for (const { files, errors } of did) assert.deepEqual([files, errors], [FILES, {}]);
    assert.ok(broughtBy(await atRest(mount), 'bulk') > 0);
    assert.equal((await slow.counts()).bytesRead, bytes);
  });
});

test('a reader of what is on its way waits for that, and asks for nothing of its own', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, bytes, job } = stage;
    await slow.reset();
    const [first, second] = [await held(stage), await job()];
    const both = [first.read('rest'), second.read('rest')];
    await until(mount, ({ now }) => now.pendingRequests >= 2);
    await slow.release();
    await Promise.all(both);
    await atRest(mount);
    assert.equal((await slow.counts()).bytesRead, bytes);
  });
});

test('with room for half, what was read makes room for what was not, and the store is asked for less than all', {
  skip: noMounts,
}, async (t) => {
  const options = { cache: (bytes: number) => bytes / 2, options: ['disable=keep-cache', 'sample-opens=off'] };
  await onSlowStore(async ({ slow, mount, bytes, job }) => {
    const reader = await job();
    for (let epoch = 1; epoch <= 3; epoch++) {
      await slow.reset();
      assert.deepEqual((await reader.read('rest')).generations, { '1': FILES });
      const { bytesRead } = await slow.counts();
      const { cache } = await statsOf(mount);
      assert.ok(cache.bytes <= bytes / 2, 'the cache keeps to its size');
      t.diagnostic(`epoch ${epoch}: ${(bytesRead / bytes).toFixed(2)} of all bytes are read from the store`);
      if (epoch > 1) assert.ok(bytesRead < 0.75 * bytes, `epoch ${epoch}: ${bytesRead} of ${bytes} bytes`);
    }
    assert.ok(broughtBy(await statsOf(mount), 'unseen') > 0, 'something was brought');
  }, options);
});

test('files that change while they are brought are of one generation, and of the new one afterwards', {
  skip: noMounts,
}, async () => {
  const options = { options: ['attr-ttl=0'] };
  await onSlowStore(async (stage) => {
    const { source, slow, mount } = stage;
    const reader = await held(stage);
    const changed = await runProgram('files.py', ['change', source, FILES, SIZE]);
    assert.equal(changed.status, 0, changed.stderr);
    await slow.release();
    await reader.read('rest');
    await atRest(mount);
    assert.deepEqual((await reader.read('rest')).generations, { '1': FILES / 2, '2': FILES / 2 });
  }, options);
});
