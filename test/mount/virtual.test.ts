/** `.mlo/` of real mounts, as programs meet it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountOverlay, noMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

/** A source with a `.mlo` of its own. */
function sourceWithOwn(): string {
  const source = temporaryDirectory('source');
  mkdirSync(join(source, '.mlo'));
  writeFileSync(join(source, '.mlo/stats'), 'of the source');
  writeFileSync(join(source, 'file'), 'x');
  return source;
}

const READ = `
import json, mmap, os, shutil, subprocess, sys
mount, out = sys.argv[1:]
path = mount + '/.mlo/stats'
document = json.loads(open(path).read())
assert document['mountpoint'] == mount and document['schema'] == 1, document
assert json.loads(open(mount + '/.mlo/config').read())['options']['control-files']['value']
with open(path, 'rb') as file:
    size = os.fstat(file.fileno()).st_size
    assert size > 100 and len(file.read()) == size
    first = os.pread(file.fileno(), size, 0)
    for _ in range(3):
        json.loads(subprocess.run(['cat', path], capture_output=True, check=True).stdout)
    assert os.pread(file.fileno(), size, 0) == first, 'an open file keeps its snapshot'
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert mapped[:] == first
    mapped.close()
    assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == size
    chunks = b''.join(os.pread(file.fileno(), 7, at) for at in range(0, size, 7))
    assert chunks == first
assert os.stat(path).st_ino == os.stat(path).st_ino
shutil.copy(path, out)
json.load(open(out))
os.statvfs(mount + '/.mlo')
assert '.mlo' not in os.listdir(mount) and sorted(os.listdir(mount + '/.mlo')) == ['config', 'stats']
assert [d for d, _, _ in os.walk(mount)] == [mount]
`;

const CHANGE = `
import errno, os, sys
mount = sys.argv[1]
mlo, path = mount + '/.mlo', mount + '/.mlo/stats'
def refused(name, act, *allowed):
    try:
        act()
    except OSError as error:
        assert error.errno in (*allowed, errno.EROFS), (name, error)
    else:
        raise AssertionError(name + ' was let')
R = errno.EROFS
refused('write', lambda: open(path, 'w'), R)
refused('append', lambda: open(path, 'a'), R)
refused('create', lambda: open(mlo + '/new', 'x'), R)
refused('truncate', lambda: os.truncate(path, 0), R)
refused('unlink', lambda: os.unlink(path), R)
refused('rmdir', lambda: os.rmdir(mlo), R)
refused('unlink directory', lambda: os.unlink(mlo), errno.EISDIR)
refused('mkdir', lambda: os.mkdir(mlo), errno.EEXIST)
refused('mkdir in', lambda: os.mkdir(mlo + '/x'), R)
refused('symlink', lambda: os.symlink('x', mlo), errno.EEXIST)
refused('rename away', lambda: os.rename(mlo, mount + '/other'), R)
refused('rename in', lambda: os.rename(mount + '/file', mlo + '/file'), R)
refused('rename out', lambda: os.rename(path, mount + '/stats'), R)
refused('rename onto', lambda: os.rename(mount + '/file', path), R)
refused('link out', lambda: os.link(path, mount + '/stats'), errno.EXDEV, R)
refused('chmod', lambda: os.chmod(path, 0o777), R)
refused('utime', lambda: os.utime(mlo), R)
refused('setxattr', lambda: os.setxattr(path, 'user.a', b'x'), R)
refused('getxattr', lambda: os.getxattr(path, 'user.a'), errno.ENODATA)
assert os.listxattr(path) == []
`;

function python(program: string, words: readonly string[], user?: number): Promise<Finished> {
  return run('python3', ['-c', program, ...words], user === undefined ? { seconds: 30 } : { seconds: 30, user });
}

const ways: [string, string][] = [
  ['a plain mount', ''],
  ['a mount of a source that may be slow', ',store-speed=pooled'],
  ['a mount with the writeback cache', ',writeback'],
  ['a mount without OPEN', ',ro,immutable'],
];
for (const [name, more] of ways) {
  test(`S10.1 S10.3 S10.4 programs read statistics and configuration from ${name}, and change neither`, {
    skip: noMounts,
  }, async () => {
    const source = sourceWithOwn();
    const mount = await mountOverlay({ source, options: ['--cache', 'none', '-o', `control-files=owner${more}`] });
    await withWatchdog(mount, 60, async () => {
      const out = join(temporaryDirectory('out'), 'copy');
      const read = await python(READ, [mount.mountpoint, out]);
      assert.equal(read.status, 0, read.stderr);
      const changed = await python(CHANGE, [mount.mountpoint]);
      assert.equal(changed.status, 0, changed.stderr);
    });
    await mount.unmount();
    assert.deepEqual(readdirSync(source).sort(), ['.mlo', 'file']);
    assert.equal(readFileSync(join(source, '.mlo/stats'), 'utf8'), 'of the source');
  });
}

test('S10.5 others may read them only where the mount says so', { skip: noMounts }, async () => {
  const source = sourceWithOwn();
  for (const [readableBy, status] of [
    ['owner', 1],
    ['all', 0],
  ] as const) {
    const options = ['--cache', 'none', '-o', `allow-other,control-files=${readableBy}`];
    const mount = await mountOverlay({ source, options });
    await withWatchdog(mount, 60, async () => {
      const read = await run('cat', [join(mount.mountpoint, '.mlo/stats')], { user: ORDINARY_USER });
      assert.equal(read.status, status, read.stderr);
      const write = await run('/bin/sh', ['-c', `echo x > ${mount.mountpoint}/.mlo/stats`], { user: ORDINARY_USER });
      assert.match(write.stderr, /Permission denied|Read-only/);
    });
    await mount.unmount();
  }
});

test('S10.2 control-files=off shows what the source has', { skip: noMounts }, async () => {
  const mount = await mountOverlay({
    source: sourceWithOwn(),
    options: ['--cache', 'none', '-o', 'control-files=off'],
  });
  await withWatchdog(mount, 60, async () => {
    assert.equal((await run('cat', [join(mount.mountpoint, '.mlo/stats')])).stdout, 'of the source');
    assert.match((await run('ls', ['-A', mount.mountpoint])).stdout, /^\.mlo\nfile\n$/);
  });
  await mount.unmount();
});
