/** `warmup` over a slow store: what it asks the store for, and what readers are then served from. */
import assert from 'node:assert/strict';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noMounts } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { atRest, begun, epoch, FILES, onSlowStore, SECONDS, statsOf } from './warmup-stage.ts';

test('after it an epoch costs the store no byte, and it costs each byte once', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup, bytes } = stage;
    const { mountpoint } = mount;
    await slow.reset();
    const first = await warmup([join(mountpoint, 'data')]);
    assert.deepEqual([first.state, first.listed, first.mountpoint], ['done', true, mountpoint]);
    assert.deepEqual(first.bytes, { found: bytes, cached: 0, fetched: bytes, evicted: 0, pinned: 0 });
    const { found, done, fetched, whole, failed, skipped } = first.files;
    assert.deepEqual(
      { found, done, fetched, whole, failed, skipped },
      {
        found: FILES,
        done: FILES,
        fetched: FILES - 1,
        whole: 1, // the empty one
        failed: 0,
        skipped: 0,
      },
    );
    const cold = await slow.counts();
    assert.equal(cold.bytesRead, bytes);
    assert.equal(cold.byKind.open, FILES - 1, 'each file is opened once');

    await slow.reset();
    await epoch(stage);
    const warm = await slow.counts();
    assert.deepEqual([warm.bytesRead, warm.byKind.open ?? 0, warm.byKind.read ?? 0], [0, 0, 0]);
    const { opens, cache, warmups } = await statsOf(mount);
    assert.equal(cache.misses, 0, 'no reader missed');
    assert.ok(cache.completeObjects >= FILES - 1);
    assert.equal(opens.byWay.source, 0);
    assert.ok(opens.byWay.tierPassthrough >= 1 || opens.byWay.tier >= FILES - 1, 'large ones by the kernel, if it can');
    assert.deepEqual([warmups.jobs, warmups.files, warmups.bytes, warmups.errors], [1, FILES - 1, bytes, 0]);

    await slow.reset();
    const second = await warmup([mountpoint]);
    assert.deepEqual([second.files.whole, second.files.fetched, second.bytes.cached], [FILES, 0, bytes]);
    assert.equal((await slow.counts()).bytesRead, 0);
    assert.match(
      (await mount.command(['warmup', mountpoint], SECONDS)).stdout,
      new RegExp(`^${FILES} files, 13 MiB: ${FILES} were cached, 0 brought`),
    );
  });
});

test('interrupted it ends with 130; the next goes on without asking again for what is there', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup, bytes } = stage;
    await slow.reset();
    const { child, ended } = await begun(stage);
    child.kill('SIGINT');
    const { status, stderr } = await ended;
    assert.equal(status, 130, stderr);
    assert.match(stderr, /interrupted; what is cached stays/);
    await slow.release();
    const { running, bytes: there } = (await atRest(mount)).warmups;
    assert.equal(running, 0);
    assert.ok(there < bytes, 'it was interrupted before its end');
    const again = await warmup([mount.mountpoint]);
    assert.deepEqual([again.state, again.bytes.cached, again.bytes.fetched], ['done', there, bytes - there]);
    assert.equal((await slow.counts()).bytesRead, bytes, 'nothing was read twice');
    await epoch(stage);
  });
});

test('what has changed is brought anew, and nothing else', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { source, slow, mount, warmup } = stage;
    await warmup([mount.mountpoint]);
    writeFileSync(join(source, 'data/d1/f3'), Buffer.alloc(5000, 'new'));
    const old = readFileSync(join(source, 'data/d2/f4'));
    writeFileSync(join(source, 'data/d2/f4'), Buffer.alloc(old.length, 'same size'));
    utimesSync(join(source, 'data/d2/f4'), 1, 1);
    await slow.reset();
    const again = await warmup([mount.mountpoint]);
    assert.deepEqual([again.files.fetched, again.bytes.fetched], [2, 5000 + old.length]);
    assert.equal((await slow.counts()).bytesRead, 5000 + old.length);
    await epoch(stage);
  });
});

test('a reader of what is on its way waits for the same fetch, and others do not wait', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, source, bytes } = stage;
    const { mountpoint } = mount;
    await slow.reset();
    writeFileSync(join(source, 'data/wanted'), Buffer.alloc(100_000, 'wanted'));
    const { ended } = await begun(stage);
    const sum = async (path: string): Promise<string> => {
      const { status, stdout, stderr } = await run('sha256sum', [path], { seconds: SECONDS });
      assert.equal(status, 0, stderr);
      return stdout.split(' ')[0] ?? '';
    };
    assert.equal(await sum(join(mountpoint, 'data/wanted')), await sum(join(source, 'data/wanted')));
    const large = sum(join(mountpoint, 'data/large'));
    await sleep(200);
    await slow.release();
    assert.equal(await large, await sum(join(source, 'data/large')));
    assert.equal((await ended).status, 0);
    assert.equal((await slow.counts()).bytesRead, bytes + 100_000, 'each byte once');
  });
});

test('unmounting ends it', { skip: noMounts }, async () => {
  await onSlowStore(
    async (stage) => {
      const { slow, mount } = stage;
      const { ended } = await begun(stage);
      setTimeout(() => void slow.release(), 500);
      const { status, stderr } = await mount.command(['umount', mount.mountpoint], 60);
      assert.equal(status, 0, stderr);
      const left = await ended;
      // On a slow machine the store lets go, and the job comes to its end, before the daemon is asked to.
      assert.ok(left.status === 0 || /^MLO_(UNREACHABLE|WARMUP): /m.test(left.stderr), left.stderr);
    },
    {},
    false,
  );
});
