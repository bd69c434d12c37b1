/** A store that hangs, fails or is slow while a data set is brought; an end in the middle of it. Nobody is harmed. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noMounts, temporaryDirectory } from '../../support/mounts.ts';
import { atRest, BEGINNING, broughtBy, FILES, held, LAST, LAST_FILES, onSlowStore, statsOf, until } from './stage.ts';

/** Above the idle daemon. */
const MEMORY_MOST_BYTES = 256 * 2 ** 20;
/** Of an unmount, whatever is under way. */
const UNMOUNT_MOST_MS = 20_000;

test('while the files of one data set hang, others are read; then the rest comes', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, bytes, job } = stage;
    const [reader, bystander] = [await held(stage), await job({}, 'other')];
    const hanging = reader.read('rest');
    await until(mount, ({ prefetch }) => prefetch.state === 'hung');
    assert.deepEqual((await bystander.read('rest')).generations, { '1': FILES }, 'nobody else waits');
    await slow.release();
    const { files, errors } = await hanging;
    assert.deepEqual([files, errors], [FILES - BEGINNING, {}]);
    await until(mount, ({ cache, prefetch }) => cache.bytes === 2 * bytes && prefetch.state === 'ok');
  });
});

test('files that fail are not asked for on and on, and are read right when they do no more', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async ({ slow, mount, job }) => {
    await slow.fail({ path: LAST_FILES, kinds: ['read'], errno: 'EIO' });
    const reader = await job();
    const { files, errors } = await reader.read('rest');
    assert.deepEqual([files, errors], [FILES - LAST, { EIO: LAST }]);
    await atRest(mount);
    await slow.reset();
    await sleep(1000);
    const { failed } = await slow.counts();
    assert.ok(failed < FILES / 4, `${failed} requests failed in a second in which nobody read`);
    await slow.clear();
    assert.deepEqual((await reader.read('rest')).generations, { '1': FILES });
  });
});

test('an unmount in the middle is clean and soon, and what came until then is right', { skip: noMounts }, async () => {
  const cacheDirectory = temporaryDirectory('cache');
  await onSlowStore(
    async (stage) => {
      const { slow, mount } = stage;
      const reader = await held(stage);
      await slow.pace({ bandwidth: 100e3 });
      await slow.release();
      reader.end();
      const began = performance.now();
      await mount.unmount();
      const ms = performance.now() - began;
      assert.ok(ms < UNMOUNT_MOST_MS, `it took ${ms} ms`);
    },
    { cacheDirectory },
    false,
  );
  await onSlowStore(
    async ({ job }) => {
      assert.deepEqual((await (await job()).read('rest')).generations, { '1': FILES });
    },
    { cacheDirectory },
  );
});

test('the memory it takes is within its budget', { skip: noMounts }, async () => {
  await onSlowStore(async ({ mount, job }) => {
    const resident = (): number =>
      mount.daemons().reduce((sum, pid) => {
        const kib = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
        return sum + Number(kib ?? 0) * 1024;
      }, 0);
    const idle = resident();
    const readers = await Promise.all([job(), job(), job({}, 'other')]);
    let most = idle;
    const timer = setInterval(() => {
      most = Math.max(most, resident());
    }, 50);
    await Promise.all(readers.map((reader) => reader.read('rest')));
    clearInterval(timer);
    assert.ok(broughtBy(await statsOf(mount), 'bulk') > 0);
    assert.ok(most - idle < MEMORY_MOST_BYTES, `${((most - idle) / 2 ** 20).toFixed(0)} MiB`);
  });
});
