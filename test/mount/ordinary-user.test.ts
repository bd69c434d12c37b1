/** A mount by a user without privileges, through fusermount3. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountOverlay, noUserMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { detach, mountedAt, withWatchdog } from '../support/watchdog.ts';
import { makeFiles, verifyFiles } from './programs.ts';

const user = ORDINARY_USER;
const set = { count: 80, size: 100_000 };
const skip = noUserMounts;

test('an ordinary user mounts a directory of theirs and reads, writes and unmounts it', { skip }, async () => {
  const source = temporaryDirectory('source', user);
  await makeFiles(source, set);
  const mount = await mountOverlay({ source, user, options: ['--cache', temporaryDirectory('cache', user)] });
  await withWatchdog(mount, 60, async () => {
    for (const flags of [[], ['--mapped'], ['--direct']]) await verifyFiles(mount.mountpoint, set, flags, { user });
    const script = 'cd "$1" && mkdir dir && echo hello > dir/file && mv dir/file file && ln file twin && cat twin';
    const done = await run('/bin/sh', ['-ec', script, 'sh', mount.mountpoint], { user });
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout, 'hello\n');
    assert.equal(statSync(join(source, 'file')).uid, user, 'the file at the source is the user’s');
  });
  await mount.unmount();
});

// S6.7
test('neither root nor another user may enter the mount of an ordinary user', { skip }, async () => {
  const source = temporaryDirectory('source', user);
  const mount = await mountOverlay({ source, user, options: ['--cache', 'none'] });
  await withWatchdog(mount, 30, async () => {
    for (const other of [{}, { user: user + 1 }]) {
      const done = await run('ls', [mount.mountpoint], other);
      assert.notEqual(done.status, 0, 'ls succeeded');
      assert.match(done.stderr, /Permission denied/);
    }
  });
  await mount.unmount();
});

test('an ordinary user mounts a FUSE mount of theirs that root may not enter', { skip }, async (t) => {
  const innermost = temporaryDirectory('innermost', user);
  await makeFiles(innermost, set);
  const inner = await mountOverlay({
    source: innermost,
    user,
    options: ['--cache', 'none', '-o', 'disable=passthrough'],
  });
  const denied = await run('ls', [inner.mountpoint]);
  if (denied.status === 0) t.diagnostic('root may enter the inner mount');
  const outer = await mountOverlay({
    source: inner.mountpoint,
    user,
    options: ['--cache', temporaryDirectory('cache', user)],
  });
  await withWatchdog(outer, 60, async () => {
    await verifyFiles(outer.mountpoint, set, [], { user });
    await verifyFiles(outer.mountpoint, set, ['--random'], { user });
  });
  await outer.unmount();
  await inner.unmount();
});

test('a user may not mount over a directory of someone else, and nothing is left behind', { skip }, async () => {
  const source = temporaryDirectory('source', user);
  const mountpoint = temporaryDirectory('roots');
  await assert.rejects(mountOverlay({ source, mountpoint, user, options: ['--cache', 'none'] }), /MLO_/);
  assert.equal(mountedAt(mountpoint), undefined, 'nothing is mounted');
  detach(mountpoint);
});
