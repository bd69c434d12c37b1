/** `warmup` where there is something it cannot bring, or shall not: links, errors, a full cache, open files, other users. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { command, mountOverlay, noMounts, noUserMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { epoch, FILES, FILES_EACH, onSlowStore, type Result, SECONDS, statsOf } from './warmup-stage.ts';

test('links are not followed, wherever they lead; other names are told apart', { skip: noMounts }, async () => {
  await onSlowStore(async ({ source, mount, warmup, bytes }) => {
    const outside = temporaryDirectory('outside');
    writeFileSync(join(outside, 'secret'), 'not of the source');
    symlinkSync(outside, join(source, 'data/out'));
    symlinkSync(join(outside, 'secret'), join(source, 'data/d0/secret'));
    symlinkSync('d0', join(source, 'data/in'));
    await run('mkfifo', [join(source, 'data/pipe')]);
    const { mountpoint } = mount;
    const all = await warmup([mountpoint]);
    assert.deepEqual([all.files.found, all.bytes.found, all.files.skipped, all.files.failed], [FILES, bytes, 4, 0]);
    const named = await warmup(
      ['data/out', 'data/out/secret', 'data/pipe', 'data/none'].map((at) => join(mountpoint, at)),
      1,
    );
    assert.deepEqual(
      named.errors.sort((a, b) => (a.path < b.path ? -1 : 1)),
      [
        { path: join(mountpoint, 'data/none'), error: 'ENOENT' },
        { path: join(mountpoint, 'data/out'), error: 'ELOOP' },
        { path: join(mountpoint, 'data/out/secret'), error: 'ELOOP' },
        { path: join(mountpoint, 'data/pipe'), error: 'EINVAL' },
      ],
    );
    const link = join(temporaryDirectory('link'), 'to');
    symlinkSync(join(mountpoint, 'data'), link);
    assert.equal((await warmup([join(link, 'd1/f1'), '--check'])).files.whole, 1, 'a link that leads into the mount');
    const { status, stderr } = await mount.command(['warmup', outside], 20);
    assert.deepEqual([status, /^MLO_NOT_MOUNTED: no ml-overlay is mounted above /.test(stderr)], [32, true]);
  });
});

test('a file that the source cannot read is told of, and the others are brought', { skip: noMounts }, async () => {
  await onSlowStore(async ({ slow, mount, warmup, bytes }) => {
    const { mountpoint } = mount;
    await slow.fail({ path: 'data/d1/f7', kinds: ['read'], errno: 'EIO' });
    await slow.fail({ path: 'data/d2', kinds: ['opendir'], errno: 'EACCES' });
    const done = await warmup([mountpoint], 1);
    assert.deepEqual([done.state, done.files.failed, done.files.fetched], ['done', 2, FILES - 2 - FILES_EACH]);
    assert.deepEqual(
      done.errors.sort((a, b) => (a.path < b.path ? -1 : 1)),
      [
        { path: join(mountpoint, 'data/d1/f7'), error: 'EIO' },
        { path: join(mountpoint, 'data/d2'), error: 'EACCES' },
      ],
    );
    const { stderr } = await mount.command(['warmup', join(mountpoint, 'data/d1')], SECONDS);
    assert.match(stderr, /data\/d1\/f7: EIO: the source could not read it/);
    await slow.clear();
    const again = await warmup([mountpoint]);
    assert.deepEqual([again.files.failed, again.bytes.cached + again.bytes.fetched], [0, bytes]);
  });
});

test('a cache that is full ends it, and says what to do', { skip: noMounts }, async () => {
  await onSlowStore(
    async (stage) => {
      const { slow, mount, warmup, bytes } = stage;
      await slow.reset();
      const { status, stdout, stderr } = await mount.command(['warmup', mount.mountpoint], SECONDS);
      assert.equal(status, 1, stderr);
      assert.match(stdout, /^\d+ files, /);
      assert.match(stderr, /^MLO_FULL: the cache of .* takes no more .*: give it more \(ml-overlay set /m);
      assert.ok((await slow.counts()).bytesRead < bytes, 'it stops early');
      const { state, why, bytes: counted } = await warmup([mount.mountpoint], 1);
      assert.equal(state, 'full');
      assert.match(why ?? '', /^\d+ of 4194304 bytes are in use$/);
      assert.ok(counted.cached + counted.fetched <= 4 << 20);
      await epoch(stage);
    },
    { cache: '4M' },
  );
});

test('what is cached is told without bringing anything, and dropped but for open files', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup } = stage;
    const { mountpoint } = mount;
    const counts = async (path = ''): Promise<number[]> => {
      const { files, bytes: counted } = await warmup(['--check', join(mountpoint, path)]);
      return [files.whole, files.partly, files.none, counted.cached];
    };
    await slow.reset();
    assert.deepEqual(await counts(), [1, 0, FILES - 1, 0]);
    assert.equal((await slow.counts()).bytesRead, 0);
    await run('dd', [`if=${join(mountpoint, 'data/large')}`, 'of=/dev/null', 'bs=64K', 'count=1', 'iflag=direct']);
    let part = await counts('data/large');
    for (let tries = 0; tries < 100 && part[3] === 0; tries++) part = await counts('data/large');
    assert.deepEqual(part, [0, 1, 0, 65_536]);
    const list = ['d0/f1', 'd0/f2', 'd1'].map((path) => join(mountpoint, 'data', path)).join('\n');
    const listed = await run(command, ['warmup', '--from-file', '-', '--parallel', '1', '--json'], {
      input: `${list}\n`,
      env: mount.environment,
    });
    assert.equal(listed.status, 0, listed.stderr);
    assert.equal((JSON.parse(listed.stdout) as Result).files.fetched, 2 + FILES_EACH);
    assert.deepEqual((await counts('data/d0')).slice(0, 3), [2, 0, FILES_EACH - 2]);
    const shown = await mount.command(['warmup', '--check', join(mountpoint, 'data/d1')], 30);
    assert.match(shown.stdout, /^20 files, 1.3 MiB: 1.3 MiB cached \(100 %\), 20 whole, 0 partly, 0 not$/m);

    await warmup([mountpoint]);
    const reader = launch('sh', ['-c', 'exec 3<"$0"; echo open; exec sleep 1000', join(mountpoint, 'data/d0/f1')]);
    await new Promise((resolve) => reader.stdout?.once('data', resolve));
    const evicted = await warmup(['--evict', mountpoint]);
    assert.deepEqual([evicted.files.evicted, evicted.files.inUse], [FILES - 2, 1]);
    reader.kill('SIGKILL');
    assert.deepEqual((await counts()).slice(0, 3), [2, 0, FILES - 2]);
    const { cache } = await statsOf(mount);
    assert.equal(cache.bytes, 8001, 'the file that was open');
    await epoch(stage);
  });
});

test('the mount of an ordinary user', { skip: noUserMounts }, async () => {
  const user = ORDINARY_USER;
  const source = temporaryDirectory('source', user);
  mkdirSync(join(source, 'data'));
  for (let i = 0; i < 20; i++) writeFileSync(join(source, 'data', `f${i}`), Buffer.alloc(3000 + i, i));
  const cache = temporaryDirectory('cache', user);
  const mount = await mountOverlay({ source, user, options: ['--cache', cache] });
  await withWatchdog(mount, SECONDS, async () => {
    await sleep(100); // what was written this moment is not settled
    const { status, stdout, stderr } = await mount.command(
      ['warmup', '--json', join(mount.mountpoint, 'data')],
      SECONDS,
    );
    assert.equal(status, 0, stderr);
    assert.deepEqual((JSON.parse(stdout) as Result).files.fetched, 20);
    await epoch({ source, mount }, user);
    const none = await mount.command(['warmup', '--check', join(mount.mountpoint, 'data')], SECONDS);
    assert.match(none.stdout, /20 whole, 0 partly, 0 not/);
    await mount.unmount();
  });
});

test('without a cache there is nothing to warm', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
  await withWatchdog(mount, SECONDS, async () => {
    const { status, stderr } = await mount.command(['warmup', mount.mountpoint], 20);
    assert.deepEqual(
      [status, stderr],
      [2, `MLO_WARMUP: ${mount.mountpoint} has no cache: mount it with --cache DIR:SIZE\n`],
    );
    await mount.unmount();
  });
});

test('a profile: what it sets is in effect, and told with where it came from', { skip: noMounts }, async () => {
  const options = ['--cache', 'none', '--profile', 'training', '-o', 'negative-ttl=3'];
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options });
  await withWatchdog(mount, SECONDS, async () => {
    const shown = await mount.command(['status', mount.mountpoint], 20);
    assert.match(shown.stdout, /option +attr-ttl=5m \(profile training\)\n/);
    assert.match(shown.stdout, /option +negative-ttl=3 \(-o\)\n/);
    assert.match(shown.stdout, /lease +300 s; missing names 3 s\n/);
    const { stdout } = await run('cat', [join(mount.mountpoint, '.mlo/config')]);
    const { options: told } = JSON.parse(stdout) as { options: Record<string, object> };
    assert.deepEqual(
      [told['attr-ttl'], told.ro],
      [
        { value: '5m', from: 'profile training' },
        { value: 'on', from: 'profile training' },
      ],
    );
    assert.notEqual((await run('touch', [join(mount.mountpoint, 'x')])).status, 0, 'ro');
    await mount.unmount();
  });
});
