/** Virtual files: every operation on them, without a kernel. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, before, test } from 'node:test';
import type { Caller, Entry, FileSystem, Opened } from '../../src/overlay/filesystem.ts';
import { Overlay, ROOT, VIRTUAL_NAME, VirtualFiles, VirtualOverlay } from '../../src/overlay/index.ts';
import { MESSAGE_COMMAND } from '../../src/overlay/virtual.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { type Log, silentLog } from '../../src/telemetry/log.ts';

const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };
const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC } = fs.constants;
const [SEEK_DATA, SEEK_HOLE] = [3, 4];
const EXCHANGE = 2;
const OWNER = { uid: 1234, gid: 5678 };

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-virtual-'));
let overlay: Overlay;
let files: VirtualFiles;
let system: FileSystem;
let made = 0;
const complaints: unknown[] = [];
const log: Log = { ...silentLog, error: (about: object) => void complaints.push(about) };

before(async () => {
  fs.mkdirSync(path.join(workspace, VIRTUAL_NAME));
  fs.writeFileSync(path.join(workspace, VIRTUAL_NAME, 'stats'), 'of the source');
  fs.writeFileSync(path.join(workspace, 'file'), 'of the source');
  const store = await openPosixStore({ root: workspace, speed: 'inline', log: silentLog });
  overlay = new Overlay({
    store,
    cache: undefined,
    log: silentLog,
    attributesTtlMs: 1000,
    passthroughMinBytes: 1 << 20,
    hiddenInRoot: VIRTUAL_NAME,
  });
  files = new VirtualFiles({ readableBy: 'owner', owner: OWNER });
  files.add('stats', () => `snapshot ${++made}`);
  files.add('broken', () => {
    throw new Error('no statistics');
  });
  system = new VirtualOverlay(overlay, files, log);
});

after(async () => {
  await system.stop();
  fs.rmSync(workspace, { recursive: true, force: true });
});

const lookup = async (parent: number, name: string): Promise<Entry | number> => system.lookup(parent, name, CALLER);

async function entry(parent: number, name: string): Promise<Entry> {
  const found = await lookup(parent, name);
  assert.ok(typeof found === 'object', `${name}: ${String(found)}`);
  return found;
}

const directory = async (): Promise<number> => (await entry(ROOT, VIRTUAL_NAME)).node;
const virtualFile = async (): Promise<number> => (await entry(await directory(), 'stats')).node;

async function names(node: number, plus: boolean): Promise<string[]> {
  const opened = await system.opendir(node, CALLER);
  assert.ok(typeof opened === 'object');
  const listed: string[] = [];
  // One entry a request, as with a tiny buffer.
  for (let offset = 0, more = true; more; ) {
    more = false;
    await system.readdir(
      node,
      opened.handle,
      offset,
      plus,
      {
        add: (name, _ino, _type, nextOffset, found) => {
          if (more) return false;
          listed.push(name);
          if (found !== undefined && name !== '.' && name !== '..') system.forget(found.node, 1);
          offset = nextOffset;
          more = true;
          return true;
        },
      },
      CALLER,
    );
  }
  system.releasedir(node, opened.handle);
  return listed;
}

function text(node: number, offset = 0, size = 4096): string | number {
  const into = Buffer.alloc(size);
  const count = system.read(node, node, offset, size, into, CALLER) as number;
  return count < 0 ? count : into.toString('utf8', 0, count);
}

test('S10.1 the directory is found in the root, is listed nowhere, and lists its files', async () => {
  const { attributes } = await entry(ROOT, VIRTUAL_NAME);
  assert.equal(attributes.mode, 0o040500);
  assert.deepEqual([attributes.uid, attributes.gid], [OWNER.uid, OWNER.gid]);
  for (const plus of [false, true]) {
    assert.deepEqual(await names(ROOT, plus), ['.', '..', 'file'], "the source's own is hidden");
    assert.deepEqual(await names(await directory(), plus), ['.', '..', 'stats', 'broken']);
  }
  assert.equal(await lookup(await directory(), 'nothing'), -Errno.ENOENT);
  assert.equal(await lookup(await virtualFile(), 'x'), -Errno.ENOTDIR);
});

test("elsewhere the same name is the source's, and so is everything else", async () => {
  fs.mkdirSync(path.join(workspace, 'below', VIRTUAL_NAME), { recursive: true });
  const below = await entry(ROOT, 'below');
  assert.notEqual((await entry(below.node, VIRTUAL_NAME)).node, await directory());
  assert.deepEqual(await names(below.node, false), ['.', '..', VIRTUAL_NAME]);
  fs.rmSync(path.join(workspace, 'below'), { recursive: true });
});

test('S10.3 a look-up is a snapshot with its own nodeid and its size; those who read the last keep it', async () => {
  const first = await entry(await directory(), 'stats');
  assert.equal(first.attributes.mode, 0o100400);
  assert.equal(first.entryTtlMs, 0, 'the kernel must look again');
  const content = text(first.node);
  assert.equal(content, `snapshot ${made}`);
  assert.equal(first.attributes.size, String(content).length);
  const second = await entry(await directory(), 'stats');
  assert.notEqual(second.node, first.node, 'somebody reads the first');
  assert.equal(second.attributes.ino, first.attributes.ino, 'it is the same file to applications');
  assert.notEqual(text(second.node), content);
  assert.equal(text(first.node), content);
  assert.equal(text(first.node, 5, 3), String(content).slice(5, 8));
  assert.equal(text(first.node, 100), '');
});

test('looked up twice at once and not read, it is made once', async () => {
  await virtualFile().then((node) => text(node));
  const before = made;
  assert.equal(await virtualFile(), await virtualFile());
  assert.equal(made, before + 1);
});

test('what the kernel has forgotten is gone', async () => {
  const node = await virtualFile();
  text(node);
  const size = files.size;
  const other = await virtualFile();
  assert.equal(files.size, size + 1);
  system.forget(other, 1);
  assert.equal(files.size, size);
  assert.equal(await system.getattr(other, undefined, CALLER), -Errno.ESTALE);
  assert.equal(await system.open(other, O_RDONLY, false, CALLER), -Errno.ESTALE);
  assert.equal(text(other), -Errno.ESTALE);
  system.forget(other, 1);
  system.forget(await directory(), 1);
  assert.ok(typeof (await system.getattr(await directory(), undefined, CALLER)) === 'object', 'the directory stays');
});

test('content that cannot be had is EIO and is logged', async () => {
  assert.equal(await lookup(await directory(), 'broken'), -Errno.EIO);
  assert.equal(complaints.length, 1);
});

test('S10.2 S10.4 every operation on virtual nodes has an answer, and none changes anything', async () => {
  const dir = await directory();
  const node = await virtualFile();
  const file = await entry(ROOT, 'file');
  const { EROFS, EEXIST, EISDIR, EXDEV, EINVAL, ENODATA, ENXIO, EBADF, ENOTDIR } = Errno;
  const bytes = Buffer.from('x');
  const is = async (what: string, outcome: unknown, expected: unknown): Promise<void> =>
    assert.deepEqual(await outcome, expected, what);

  for (const flags of [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC])
    await is('open', system.open(node, flags, false, CALLER), -EROFS);
  await is('open a directory', system.open(dir, O_RDONLY, false, CALLER), -EISDIR);
  const opened = (await system.open(node, O_RDONLY, false, CALLER)) as Opened;
  assert.ok(opened.handle !== 0 && opened.backingId === 0);
  await is('write', system.write(node, opened.handle, 0, bytes, false, CALLER), -EBADF);
  await is('fallocate', system.fallocate(node, opened.handle, 0, 0, 1, CALLER), -EBADF);
  await is('copy from', system.copyFileRange(node, opened.handle, 0, file.node, 1, 0, 1, CALLER), -EXDEV);
  await is('copy to', system.copyFileRange(file.node, 1, 0, node, opened.handle, 0, 1, CALLER), -EBADF);
  const { size } = (await entry(dir, 'stats')).attributes;
  await is('data', system.lseek(node, opened.handle, 2, SEEK_DATA), 2);
  await is('hole', system.lseek(node, opened.handle, 2, SEEK_HOLE), size);
  await is('beyond', system.lseek(node, opened.handle, size, SEEK_DATA), -ENXIO);
  await is('flush', system.flush(node, opened.handle), 0);
  await is('fsync', system.fsync(node, opened.handle, false), 0);
  system.release(node, opened.handle);

  for (const target of [node, dir]) {
    await is('setattr', system.setattr(target, { mode: 0o777 }, undefined, CALLER), -EROFS);
    await is('truncate', system.setattr(target, { size: 0 }, undefined, CALLER), -EROFS);
    await is('setxattr', system.setxattr(target, 'user.a', bytes, 0, CALLER), -EROFS);
    await is('removexattr', system.removexattr(target, 'user.a', CALLER), -EROFS);
    await is('getxattr', system.getxattr(target, 'user.a', CALLER), -ENODATA);
    await is('listxattr', system.listxattr(target, CALLER), Buffer.alloc(0));
    await is('readlink', system.readlink(target), -EINVAL);
    await is('access', system.access(target, 4, CALLER), 0);
    await is('fsyncdir', system.fsyncdir(target, target, false), 0);
    assert.ok(typeof (await system.statfs(target)) === 'object', 'statfs');
    await is('link', system.link(target, ROOT, 'link', CALLER), -EXDEV);
  }
  await is('opendir of a file', system.opendir(node, CALLER), -ENOTDIR);

  for (const [parent, name, failure] of [
    [dir, 'new', -EROFS],
    [dir, 'stats', -EROFS],
    [ROOT, VIRTUAL_NAME, -EEXIST],
  ] as const) {
    await is('mknod', system.mknod(parent, name, 0o100644, 0, 0, CALLER), failure);
    await is('mkdir', system.mkdir(parent, name, 0o755, 0, CALLER), failure);
    await is('symlink', system.symlink(parent, name, bytes, CALLER), failure);
    await is('link', system.link(file.node, parent, name, CALLER), failure);
    await is('create', system.create(parent, name, 0o644, 0, O_RDWR, CALLER), failure);
    await is('rmdir', system.rmdir(parent, name, CALLER), -EROFS);
    for (const flags of [0, EXCHANGE]) {
      await is('rename onto', system.rename(ROOT, 'file', parent, name, flags, CALLER), -EROFS);
      await is('rename from', system.rename(parent, name, ROOT, 'moved', flags, CALLER), -EROFS);
    }
  }
  await is('tmpfile', system.tmpfile(dir, 0o644, 0, O_RDWR, CALLER), -EROFS);
  await is('unlink', system.unlink(dir, 'stats', CALLER), -EROFS);
  await is('unlink', system.unlink(ROOT, VIRTUAL_NAME, CALLER), -EISDIR);

  assert.deepEqual(fs.readdirSync(workspace).sort(), [VIRTUAL_NAME, 'file']);
  assert.equal(fs.readFileSync(path.join(workspace, VIRTUAL_NAME, 'stats'), 'utf8'), 'of the source');
  overlay.checkInvariants();
});

test('a file that can be written to takes what is written, and messages where nobody may write', async () => {
  const taken: string[] = [];
  files.add('inbox', () => taken.join('|'), {
    begin: () => ({
      write: (data) => {
        taken.push(Buffer.from(data).toString());
        return Math.min(data.length, 4);
      },
      end: () => void taken.push('end'),
    }),
    message: (data) => taken.push(`message ${Buffer.from(data)}`),
  });
  const { node, attributes } = await entry(await directory(), 'inbox');
  assert.equal(attributes.mode, 0o100600);
  const opened = (await system.open(node, O_WRONLY | O_TRUNC, false, CALLER)) as Opened;
  const other = (await system.open(node, O_RDWR, false, CALLER)) as Opened;
  assert.ok(opened.directIo && opened.handle !== other.handle, 'each open writes by itself');
  assert.equal(await system.write(node, opened.handle, 7, Buffer.from('abc'), false, CALLER), 3);
  assert.equal(await system.write(node, other.handle, 0, Buffer.from('defgh'), false, CALLER), 4, 'not all was taken');
  system.release(node, opened.handle);
  assert.deepEqual(taken, ['abc', 'defgh', 'end']);
  assert.equal(await system.write(node, opened.handle, 0, Buffer.from('x'), false, CALLER), -Errno.EBADF);
  system.release(node, other.handle);
  assert.ok(typeof (await system.setattr(node, { size: 0, mtime: 'now' }, undefined, CALLER)) === 'object');
  for (const changes of [{ mode: 0o777 }, { mtime: 'now' }, { size: 0, uid: 1 }] as const) {
    assert.equal(await system.setattr(node, changes, undefined, CALLER), -Errno.EROFS);
  }
  taken.length = 0;
  const message = Buffer.from('hello');
  assert.equal(system.ioctl?.(node, MESSAGE_COMMAND | (5 << 16), message), 1);
  assert.deepEqual(taken, ['message hello']);
  assert.equal(text((await entry(await directory(), 'inbox')).node), 'message hello', 'the next look shows it');
  assert.equal(system.ioctl?.(node, 0x5401, message), -Errno.ENOTTY);
  assert.equal(system.ioctl?.(await virtualFile(), MESSAGE_COMMAND | (5 << 16), message), -Errno.ENOTTY);
  assert.equal(system.ioctl?.((await entry(ROOT, 'file')).node, MESSAGE_COMMAND, message), -Errno.ENOTTY);
  const many: number[] = [];
  for (let i = 0; i < 300; i++) {
    const one = await system.open(node, O_WRONLY, false, CALLER);
    if (typeof one === 'number') assert.equal(one, -Errno.ENFILE);
    else many.push(one.handle);
  }
  assert.equal(many.length, 256);
  for (const handle of many) system.release(node, handle);
});

test('what is not virtual is passed on unchanged', async () => {
  const file = await entry(ROOT, 'file');
  const opened = (await system.open(file.node, O_RDWR, false, CALLER)) as Opened;
  assert.equal(await system.write(file.node, opened.handle, 0, Buffer.from('by us '), false, CALLER), 6);
  const into = Buffer.alloc(100);
  const count = (await system.read(file.node, opened.handle, 0, 100, into, CALLER)) as number;
  assert.equal(into.toString('utf8', 0, count), 'by us  source');
  system.release(file.node, opened.handle);
  assert.ok(typeof (await system.mkdir(ROOT, 'new', 0o755, 0, CALLER)) === 'object');
  assert.equal(await system.rename(ROOT, 'new', ROOT, 'newer', 0, CALLER), 0);
  assert.equal(await system.rmdir(ROOT, 'newer', CALLER), 0);
  assert.equal(fs.readFileSync(path.join(workspace, 'file'), 'utf8'), 'by us  source');
});
