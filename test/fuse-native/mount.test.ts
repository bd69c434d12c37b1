/** Real mounts through libfuse 2: what docs/TRANSPORTS.md promises of them. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ORDINARY_USER } from '../support/mounts.ts';
import { abortConnection } from '../support/watchdog.ts';
import { NOBODY, noLibfuse, noLibfuseForUsers, Served } from './support.ts';

for (const user of [undefined, NOBODY]) {
  const who = user === undefined ? 'root' : 'an ordinary user';
  const skip = user === undefined ? noLibfuse : noLibfuse || noLibfuseForUsers;

  test(`${who} writes, links, renames, reads and removes; every lookup is given back`, {
    skip,
  }, async () => {
    const mount = await new Served({}, user).ready();
    const said = await mount.python(`
os.makedirs('a/b')
data = os.urandom(3_000_000)
open('a/b/file', 'wb').write(data)
os.link('a/b/file', 'twin')
assert os.stat('twin').st_ino == os.stat('a/b/file').st_ino and os.stat('twin').st_nlink == 2
os.rename('a/b', 'a/c')
assert open('a/c/file', 'rb').read() == data
os.utime('twin', (1000.25, 2000.5))
assert (os.stat('twin').st_atime, os.stat('a/c/file').st_mtime) == (1000.25, 2000.5)
os.close(os.open('locked', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
os.symlink('twin', 'link'); assert os.readlink('link') == 'twin'
os.setxattr('twin', 'user.k', b'v' * 300); assert os.getxattr('twin', 'user.k') == b'v' * 300
print(sorted(os.listdir('.')))
os.truncate('twin', 5); assert os.stat('twin').st_size == 5
for name in ('twin', 'link', 'locked', 'a/c/file'): os.unlink(name)
os.removedirs('a/c')`);
    assert.equal(said, "['a', 'link', 'locked', 'twin']");
    const report = await mount.end();
    assert.equal(report.reason, 'unmounted');
    assert.deepEqual(
      [report.pending, report.defects, report.dentries, report.nodes, report.openFiles],
      [0, 0, 0, 0, 0],
    );
    assert.equal(report.overlay.inodes, 1, 'only the root is known');
  });
}

test('an open file that is removed lives on and leaves nothing in its directory', { skip: noLibfuse }, async () => {
  const mount = await new Served().ready();
  await mount.python(`
os.mkdir('dir')
fd = os.open('dir/file', os.O_RDWR | os.O_CREAT); os.write(fd, b'content'); os.link('dir/file', 'twin')
os.unlink('dir/file')
assert os.listdir('dir') == [] and os.fstat(fd).st_nlink == 1, (os.listdir('dir'), os.fstat(fd))
os.unlink('twin')
assert os.fstat(fd).st_nlink == 0 and os.pread(fd, 100, 0) == b'content'
os.fchmod(fd, 0o600); os.ftruncate(fd, 3); assert os.fstat(fd).st_size == 3
os.rmdir('dir'); os.close(fd)`);
  assert.deepEqual(readdirSync(mount.source), []);
  await mount.end();
});

test('handles of a file replaced at the source answer ESTALE; new ones read the new file', {
  skip: noLibfuse,
}, async () => {
  const mount = await new Served({ attributesTtlMs: 0 }).ready();
  const path = join(mount.source, 'file');
  writeFileSync(path, 'old '.repeat(50_000));
  const other = join(mount.source, 'ready');
  const reading = mount.python(`
import errno, time
fd = os.open('file', os.O_RDONLY); os.pread(fd, 10, 0)
open('ready', 'w').close()
while not os.path.exists('go'): time.sleep(0.02)
data = open('file', 'rb').read()
assert data == b'new!' * 60_000, data[:20]
try: print(os.pread(fd, 10, 100_000))
except OSError as error: print(errno.errorcode[error.errno])`);
  while (!existsSync(other)) await new Promise((resolve) => setTimeout(resolve, 20));
  writeFileSync(`${path}.new`, 'new!'.repeat(60_000));
  renameSync(`${path}.new`, path);
  writeFileSync(join(mount.source, 'go'), '');
  // Its pages are in the kernel already when readahead was quick; never the old bytes, though.
  assert.match(await reading, /^(ESTALE|b'(new!|ew!n|w!ne|!new)+.*')$/);
  assert.equal((await mount.end()).staleHandles, 1);
});

test('a name that is no UTF-8 is shown and refused, and no other file is taken for it', {
  skip: noLibfuse,
}, async () => {
  const mount = await new Served().ready();
  writeFileSync(Buffer.concat([Buffer.from(`${mount.source}/caf`), Buffer.of(0xe9)]), 'x');
  writeFileSync(`${mount.source}/caf\uFFFD`, 'y');
  const said = await mount.python(`
import errno
print(len(os.listdir(b'.')))
for act in (os.stat, os.unlink, lambda name: open(name, 'w')):
    try: act(b'caf\\xe9'); print('done')
    except OSError as error: print(errno.errorcode[error.errno])`);
  assert.equal(said, '2\nEILSEQ\nEILSEQ\nEILSEQ');
  assert.equal(readFileSync(`${mount.source}/caf\uFFFD`, 'utf8'), 'y');
  await mount.end();
});

test('a read-only mount takes no change', { skip: noLibfuse }, async () => {
  const mount = await new Served({ readOnly: true }).ready();
  writeFileSync(join(mount.source, 'file'), 'content');
  const said = await mount.python(`
import errno
assert open('file').read() == 'content'
try: open('file', 'a')
except OSError as error: print(errno.errorcode[error.errno])`);
  assert.equal(said, 'EROFS');
  await mount.end();
});

test('an aborted connection ends the process and takes the mount away', { skip: noLibfuse }, async () => {
  const mount = await new Served().ready();
  const report = await mount.end(() => abortConnection(mount.mountpoint));
  assert.match(report.reason, /^(aborted|unmounted)$/); // without fusectl an abort is a forced unmount
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(` ${mount.mountpoint} `));
});

test('what an access control list shuts out stays out of a shared mount', { skip: noLibfuse }, async () => {
  const mount = await new Served({ allowOther: true }).ready();
  const said = await mount.python(`
import struct
open('file', 'w').write('secret'); os.chmod('file', 0o644); os.chmod('.', 0o755)
entry = lambda tag, permissions, uid=0xffffffff: struct.pack('<HHI', tag, permissions, uid)
os.setxattr('file', 'system.posix_acl_access', struct.pack('<I', 2) + entry(1, 6) + entry(2, 0, ${ORDINARY_USER})
    + entry(4, 4) + entry(16, 4) + entry(32, 4))
os.setuid(${ORDINARY_USER})
try: print(open('file').read())
except PermissionError: print('refused')`);
  assert.equal(said, 'refused');
  await mount.end();
});
