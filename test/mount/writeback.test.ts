/** With `-o writeback` the kernel holds writes back, until fsync or close at the latest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const program = `
import os, sys
mount, source = sys.argv[1:]
def at_source(name):
    with open(os.path.join(source, name), 'rb') as file: return file.read()
def check(what, found, wanted):
    if found != wanted: sys.exit(f'{what}: {found[:60]!r} of {len(found)} bytes')
data = bytes(range(256)) * 400
fd = os.open(os.path.join(mount, 'file'), os.O_CREAT | os.O_RDWR)
for at in range(0, len(data), 1000): os.pwrite(fd, data[at:at + 1000], at)
os.fsync(fd)
check('after fsync', at_source('file'), data)
os.pwrite(fd, b'more', len(data))
os.pwrite(fd, b'changed', 5)
check('through another descriptor', open(os.path.join(mount, 'file'), 'rb').read(), data[:5] + b'changed' + data[12:] + b'more')
os.close(fd)
check('after close', at_source('file'), data[:5] + b'changed' + data[12:] + b'more')
`;

test('S3.9 what the kernel held back is at the source after fsync, and after close', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  const mount = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'writeback'] });
  await withWatchdog(mount, 30, async () => {
    const done = await run(python, ['-c', program, mount.mountpoint, source], { seconds: 20 });
    assert.equal(done.status, 0, done.stderr);
  });
  await mount.unmount();
});
