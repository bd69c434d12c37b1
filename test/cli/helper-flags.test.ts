/** What mount(8) says to a helper of its own, /sbin/mount.fuse.ml-overlay, and mountpoints named through links. */
import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { command, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { abortConnection, detach, mountedAt } from '../support/watchdog.ts';

const SECONDS = 20;
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

function place() {
  const at = temporaryDirectory('helper');
  const helper = join(at, 'mount.fuse.ml-overlay');
  symlinkSync(command, helper);
  const source = temporaryDirectory('source');
  writeFileSync(join(source, 'file'), 'content');
  return { at, helper, source, mountpoint: temporaryDirectory('mnt') };
}

const say = (program: string, words: string[]) => run(program, words, { seconds: SECONDS, env: environment });

function leaveNothing(mountpoint: string): void {
  if (mountedAt(mountpoint) === undefined) return;
  abortConnection(mountpoint);
  detach(mountpoint);
}

test('-s, -n, -v, -t and -N of mount(8) say nothing to us', { skip: noMounts }, async () => {
  const { helper, source, mountpoint } = place();
  const words = [source, mountpoint, '-s', '-nv', '-t', 'fuse.ml-overlay', '-N', '1', '-o', 'rw,user,cache=none'];
  try {
    const mounted = await say(helper, words);
    assert.equal(mounted.status, 0, mounted.stderr);
    assert.notEqual(mountedAt(mountpoint), undefined);
    const left = await say(command, ['umount', mountpoint]);
    assert.equal(left.status, 0, left.stderr);
  } finally {
    leaveNothing(mountpoint);
  }
});

test('-f of mount(8) mounts nothing, and still says what is wrong', { skip: noMounts }, async () => {
  const { helper, source, mountpoint } = place();
  const good = await say(helper, [source, mountpoint, '-f', '-o', 'cache=none']);
  assert.equal(good.status, 0, good.stderr);
  const device = mountedAt(mountpoint);
  leaveNothing(mountpoint);
  assert.equal(device, undefined);
  const bad = await say(helper, [source, mountpoint, '-f', '-o', 'cahce=none']);
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /^MLO_OPTION: .*"cahce" \(from -o\): did you mean "cache"\?/);
});

test('a mountpoint may be named through symbolic links', { skip: noMounts }, async () => {
  const { at, source } = place();
  const mount = await mountOverlay({ source, options: ['--cache', 'none'] });
  symlinkSync(mount.mountpoint, join(at, 'link'));
  symlinkSync('link', join(at, 'second'));
  const status = await mount.command(['status', join(at, 'second'), '--json'], SECONDS);
  assert.equal(status.status, 0, status.stderr);
  const left = await mount.command(['umount', join(at, 'second')], SECONDS);
  assert.equal(left.status, 0, left.stderr);
  assert.equal(mountedAt(mount.mountpoint), undefined);
});
