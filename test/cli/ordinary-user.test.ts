/** Without root: through fusermount3, also over a FUSE mount that only this user may enter. */
import assert from 'node:assert/strict';
import { chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { command, mountOverlay, noUserMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';

const SECONDS = 60;
const user = ORDINARY_USER;

const skip = noUserMounts;

let source: string;
before(() => {
  if (skip) return;
  source = temporaryDirectory('source', user);
  writeFileSync(join(source, 'file'), 'content');
  chownSync(join(source, 'file'), user, user);
});

// S6.7
test('a directory of theirs: read, written, seen by nobody else', { skip }, async () => {
  const mounted = await mountOverlay({ source, user });
  await withWatchdog(mounted, SECONDS, async () => {
    const { mountpoint } = mounted;
    assert.equal((await run('cat', [join(mountpoint, 'file')], { user })).stdout, 'content');
    assert.equal((await run('sh', ['-c', 'echo new > "$0"', join(mountpoint, 'new')], { user })).status, 0);
    assert.equal(statSync(join(source, 'new')).uid, user);
    assert.notEqual((await run('cat', [join(mountpoint, 'file')])).status, 0, 'root is kept out as well');
    await mounted.unmount();
  });
});

test('a source that is itself a FUSE mount of theirs that root may not enter', { skip }, async () => {
  const inner = await mountOverlay({ source, user, options: ['--cache', 'none'] });
  await withWatchdog(inner, SECONDS, async () => {
    const outer = await mountOverlay({ source: inner.mountpoint, user });
    await withWatchdog(outer, SECONDS, async () => {
      for (const _ of ['from the source', 'from the cache']) {
        assert.equal((await run('cat', [join(outer.mountpoint, 'file')], { user })).stdout, 'content');
      }
      assert.equal((await run('sh', ['-c', 'echo x > "$0"', join(outer.mountpoint, 'through')], { user })).status, 0);
      assert.equal(statSync(join(source, 'through')).size, 2);
      await outer.unmount();
    });
    await inner.unmount();
  });
});

test('a mountpoint of another user is refused, with nothing left', { skip }, async () => {
  const mountpoint = temporaryDirectory('other');
  const home = temporaryDirectory('home', user);
  const env = { PATH: '/usr/bin:/bin', HOME: home };
  const refused = await run(command, ['mount', source, mountpoint], { user, env });
  assert.equal(refused.status, 32);
  assert.match(refused.stderr, /^MLO_MOUNT: /);
  assert.equal(mountedAt(mountpoint), undefined);
});
