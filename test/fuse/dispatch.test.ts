/** What the dispatcher promises, with hand-made frames against a file system in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Opcode, type OpcodeName, opcodeName, SetattrValid } from '../../src/fuse/abi.ts';
import { BODY } from '../../src/fuse/codec.ts';
import { Errno } from '../../src/sys/errno.ts';
import { MemoryFileSystem } from '../support/memory-fs.ts';
import { fixture, openDirectory, text, tick } from './fixture.ts';
import { Bench, frame, nul, pack, unpack, viewOf } from './frames.ts';

/** A minimal valid request of every opcode that has a reply, with what it asks for at most. */
function everyRequest(node: number, fh: number, dir: number): [OpcodeName, Buffer[], number][] {
  return [
    ['LOOKUP', [nul('file')], 1],
    ['GETATTR', [pack('getattr_in')], node],
    ['SETATTR', [pack('setattr_in')], node],
    ['READLINK', [], node],
    ['SYMLINK', [nul('sym'), nul('target')], 1],
    ['MKNOD', [pack('mknod_in', { mode: 0o100644 }), nul('nod')], 1],
    ['MKDIR', [pack('mkdir_in', { mode: 0o755 }), nul('dir')], 1],
    ['UNLINK', [nul('nod')], 1],
    ['RMDIR', [nul('dir')], 1],
    ['RENAME', [pack('rename_in', { newdir: 1 }), nul('other'), nul('moved')], 1],
    ['RENAME2', [pack('rename2_in', { newdir: 1 }), nul('moved'), nul('other')], 1],
    ['LINK', [pack('link_in', { oldnodeid: node }), nul('hard')], 1],
    ['OPEN', [pack('open_in')], node],
    ['READ', [pack('read_in', { fh, size: 4096 })], node],
    ['WRITE', [pack('write_in', { fh, size: 3 }), Buffer.from('abc')], node],
    ['STATFS', [], node],
    ['FSYNC', [pack('fsync_in', { fh })], node],
    ['SETXATTR', [pack('setxattr_in', { size: 1 }), nul('user.a'), Buffer.from('v')], node],
    ['GETXATTR', [pack('getxattr_in', { size: 100 }), nul('user.a')], node],
    ['LISTXATTR', [pack('getxattr_in', { size: 100 })], node],
    ['REMOVEXATTR', [nul('user.a')], node],
    ['FLUSH', [pack('flush_in', { fh })], node],
    ['OPENDIR', [pack('open_in')], 1],
    ['READDIR', [pack('read_in', { fh: dir, size: 4096 })], 1],
    ['READDIRPLUS', [pack('read_in', { fh: dir, size: 4096 })], 1],
    ['FSYNCDIR', [pack('fsync_in', { fh: dir })], 1],
    ['ACCESS', [pack('access_in')], node],
    ['CREATE', [pack('create_in', { mode: 0o644 }), nul('new')], 1],
    ['TMPFILE', [pack('create_in', { mode: 0o644 }), nul('/')], 1],
    ['FALLOCATE', [pack('fallocate_in', { fh, length: 10 })], node],
    ['LSEEK', [pack('lseek_in', { fh, whence: 3 })], node],
    ['COPY_FILE_RANGE', [pack('copy_file_range_in', { fh_in: fh, nodeid_out: node, fh_out: fh, len: 4 })], node],
    ['COPY_FILE_RANGE_64', [pack('copy_file_range_in', { fh_in: fh, nodeid_out: node, fh_out: fh, len: 4 })], node],
    ['STATX', [pack('statx_in')], node],
    ['RELEASE', [pack('release_in', { fh })], node],
    ['RELEASEDIR', [pack('release_in', { fh: dir })], 1],
  ];
}

describe('every operation', () => {
  test('is answered once, at once or later, under its own number', async () => {
    for (const later of [false, true]) {
      const { fs, bench, delayed, lookup, open } = fixture();
      const node = lookup('file');
      const requests = everyRequest(node, open(node), openDirectory(bench));
      if (later) for (const name of Object.getOwnPropertyNames(MemoryFileSystem.prototype)) delayed.add(name);
      let unique = 100;
      for (const [opcode, body, where] of requests) {
        unique += 2;
        const before = bench.transport.replies.length;
        bench.give(frame(opcode, body, { node: where, unique }));
        for (let i = 0; i < 5 && bench.transport.replies.length === before; i++) await tick();
        assert.equal(bench.transport.replies.length, before + 1, opcode);
        assert.equal(bench.transport.replies.at(-1)?.unique, unique, opcode);
        assert.equal(bench.transport.replies.at(-1)?.error, opcode === 'READLINK' ? -Errno.EINVAL : 0, opcode);
      }
      await tick();
      assert.equal(bench.dispatcher.pending, 0);
      assert.equal(bench.dispatcher.counters.defects, 0);
      assert.equal(fs.stopped, false);
    }
  });

  // S9.6
  test('with a body cut short anywhere is answered with an error and does not reach the file system', () => {
    const { bench, lookup, open } = fixture();
    const node = lookup('file');
    for (const [opcode, body, where] of everyRequest(node, open(node), openDirectory(bench))) {
      const whole = Buffer.concat(body);
      // The name of TMPFILE means nothing, and what READDIR asks for stays valid without trailing members.
      const fixed = opcode === 'TMPFILE' ? whole.length - 2 : whole.length;
      for (let length = 0; length < fixed; length++) {
        const [reply] = bench.give(frame(opcode, [whole.subarray(0, length)], { node: where }));
        assert.ok(reply !== undefined && reply.error < 0, `${opcode} with ${length} of ${whole.length} bytes`);
      }
    }
  });

  test('that is unknown or not negotiated is answered ENOSYS, ioctl ENOTTY', () => {
    const { bench } = fixture();
    for (const opcode of [7, 19, 54, 4096, 0xffff_ffff, 0]) assert.equal(bench.ask(opcode).error, -Errno.ENOSYS);
    for (const name of ['GETLK', 'SETLK', 'SETLKW', 'BMAP', 'POLL', 'SYNCFS', 'SETUPMAPPING'] as const) {
      assert.equal(bench.ask(name, [Buffer.alloc(64)]).error, -Errno.ENOSYS, name);
    }
    assert.equal(bench.ask('IOCTL', [Buffer.alloc(32)]).error, -Errno.ENOTTY);
    assert.equal(bench.dispatcher.counters.snapshot(0).requests.UNKNOWN, 6);
  });
});

describe('a frame that lies', () => {
  // S9.6
  test('about its length is dropped and counted', () => {
    const { bench } = fixture();
    const good = frame('STATFS');
    const long = Buffer.from(good);
    viewOf(long).setUint32(0, good.length + 1, true);
    const shorter = Buffer.from(good);
    viewOf(shorter).setUint32(0, good.length - 1, true);
    for (const bad of [long, shorter, good.subarray(0, BODY - 1), Buffer.alloc(0)])
      assert.deepEqual(bench.give(bad), []);
    assert.equal(bench.dispatcher.counters.dropped, 4);
  });

  test('by asking for a reply to number 0 is dropped: it would be taken for a notification', () => {
    const { bench } = fixture();
    assert.deepEqual(bench.give(frame('STATFS', [], { unique: 0 })), []);
    assert.equal(bench.dispatcher.counters.dropped, 1);
  });

  // S9.6
  test('about its extensions is answered EIO', () => {
    const { bench } = fixture();
    const tooMany = frame('STATFS');
    viewOf(tooMany).setUint16(36, 1, true);
    assert.equal(bench.give(tooMany)[0]?.error, -Errno.EIO);
    const groups = (count: number): Buffer => Buffer.from(new Uint32Array([16, 32, count, 1234]).buffer);
    for (const extensions of [
      groups(2), // more groups than there is room for
      Buffer.from(new Uint32Array([4, 32]).buffer), // smaller than its own header
      Buffer.from(new Uint32Array([64, 32]).buffer), // larger than the frame
      Buffer.from(new Uint32Array([8, 32]).buffer), // no room for the count
      Buffer.concat([groups(1).subarray(0, 4), Buffer.alloc(4)]),
    ]) {
      assert.equal(bench.ask('STATFS', [], { extensions }).error, -Errno.EIO);
    }
  });

  test('with numbers beyond 2^53 is answered EINVAL or EIO', () => {
    const { bench, lookup, open } = fixture();
    const node = lookup('file');
    const fh = open(node);
    const huge = Buffer.alloc(8, 0xff);
    const readIn = pack('read_in', { fh, size: 10 });
    huge.copy(readIn, 8);
    assert.equal(bench.ask('READ', [readIn], { node }).error, -Errno.EINVAL);
    assert.equal(bench.ask('GETATTR', [pack('getattr_in')], { node: 1n << 60n }).error, -Errno.EIO);
    const setattr = pack('setattr_in', { valid: SetattrValid.SIZE });
    huge.copy(setattr, 16);
    assert.equal(bench.ask('SETATTR', [setattr], { node }).error, -Errno.EFBIG);
  });

  // S9.6
  test('about the size of its data is answered EIO, and nothing is written', () => {
    const { bench, lookup, open } = fixture();
    const node = lookup('file');
    const fh = open(node);
    const body = [pack('write_in', { fh, size: 100 }), Buffer.from('abc')];
    assert.equal(bench.ask('WRITE', body, { node }).error, -Errno.EIO);
    const value = [pack('setxattr_in', { size: 100 }), nul('user.a'), Buffer.from('v')];
    assert.equal(bench.ask('SETXATTR', value, { node }).error, -Errno.EIO);
    const { payload } = bench.ask('READ', [pack('read_in', { fh, size: 100 })], { node });
    assert.equal(payload.toString(), text);
  });
});

test('names are refused as the kernel would: empty, ".", "..", with "/", too long, without NUL', () => {
  const { bench } = fixture();
  const expected: [Buffer, number][] = [
    [nul(''), Errno.EINVAL],
    [nul('.'), Errno.EINVAL],
    [nul('..'), Errno.EINVAL],
    [nul('a/b'), Errno.EINVAL],
    [nul('x'.repeat(256)), Errno.ENAMETOOLONG],
    [Buffer.from('file'), Errno.EIO],
    [nul('x'.repeat(255)), Errno.ENOENT],
    [nul('...'), Errno.ENOENT],
    [nul('.x'), Errno.ENOENT],
  ];
  for (const [name, errno] of expected) {
    assert.equal(bench.ask('LOOKUP', [name]).error, -errno, JSON.stringify(name.toString()));
    assert.equal(bench.ask('UNLINK', [name]).error, -errno);
  }
  for (const bad of [nul('..'), Buffer.from('x')]) {
    const rename = [pack('rename_in', { newdir: 1 }), nul('file'), bad];
    assert.ok(bench.ask('RENAME', rename).error < 0);
  }
  assert.equal(bench.ask('SYMLINK', [nul('s'), nul('')]).error, -Errno.ENOENT);
  assert.equal(bench.ask('GETXATTR', [pack('getxattr_in'), nul('')]).error, -Errno.EINVAL);
  assert.equal(bench.ask('GETXATTR', [pack('getxattr_in'), nul('x'.repeat(256))]).error, -Errno.ERANGE);
  assert.equal(bench.ask('GETXATTR', [pack('getxattr_in'), Buffer.from('user.a')]).error, -Errno.EIO);
  assert.equal(bench.ask('REMOVEXATTR', [nul('')]).error, -Errno.EINVAL);
});

test('an extended attribute is measured, refused when the room is too small, and returned', () => {
  const { bench, lookup } = fixture();
  const node = lookup('file');
  const set = [pack('setxattr_in', { size: 5 }), nul('user.a/b'), Buffer.from('value')];
  assert.equal(bench.ask('SETXATTR', set, { node }).error, 0);
  for (const [opcode, name, content] of [
    ['GETXATTR', nul('user.a/b'), 'value'],
    ['LISTXATTR', Buffer.alloc(0), 'user.a/b\0'],
  ] as const) {
    const ask = (size: number) => bench.ask(opcode, [pack('getxattr_in', { size }), name], { node });
    assert.equal(unpack('getxattr_out', ask(0).payload).size, content.length);
    assert.equal(ask(content.length - 1).error, -Errno.ERANGE);
    assert.equal(ask(content.length).payload.toString(), content);
    assert.equal(ask(1000).payload.toString(), content);
  }
  // The short form, as kernels without FUSE_SETXATTR_EXT send it.
  bench.dispatcher.setxattrExtended = false;
  const short = [pack('setxattr_in', { size: 2 }).subarray(0, 8), nul('user.c'), Buffer.from('ab')];
  assert.equal(bench.ask('SETXATTR', short, { node }).error, 0);
  const { payload } = bench.ask('GETXATTR', [pack('getxattr_in', { size: 9 }), nul('user.c')], { node });
  assert.equal(payload.toString(), 'ab');
});

test('setting an ACL clears the set-group-id bit when the kernel says so', async () => {
  for (const later of [[], ['setxattr', 'getattr', 'setattr']]) {
    const { fs, bench, delayed, lookup } = fixture();
    const node = lookup('file');
    bench.ask('SETATTR', [pack('setattr_in', { valid: SetattrValid.MODE, mode: 0o102755 })], { node });
    for (const name of later) delayed.add(name);
    for (const [flags, mode] of [
      [0, 0o2755],
      [1, 0o755],
      [1, 0o755],
    ] as const) {
      const head = pack('setxattr_in', { size: 1, setxattr_flags: flags });
      bench.give(frame('SETXATTR', [head, nul('system.posix_acl_access'), Buffer.from('x')], { node }));
      await tick();
      await tick();
      assert.equal(bench.transport.replies.at(-1)?.error, 0);
      assert.equal(fs.root.children.get('file')!.attributes.mode & 0o7777, mode);
    }
  }
});

test('attributes travel whole: times before 1970, the largest inode number, device numbers, birth time', () => {
  const { fs, bench, lookup } = fixture();
  const node = lookup('file');
  const a = fs.root.children.get('file')!.attributes;
  Object.assign(a, {
    ino: 0xffff_ffff_ffff_fffen,
    mtimeSec: -5,
    mtimeNsec: 999_999_999,
    size: 2 ** 40 + 7,
    rdev: 0x12345678,
  });
  Object.assign(a, { btimeSec: 77, btimeNsec: 8 });
  const attr = unpack('attr', bench.ask('GETATTR', [pack('getattr_in')], { node }).payload, 16);
  assert.deepEqual(
    [attr.ino, attr.mtime, attr.mtimensec, attr.size, attr.rdev],
    [0xffff_ffff_ffff_fffen, -5, 999_999_999, 2 ** 40 + 7, 0x12345678],
  );
  const reply = bench.ask('STATX', [pack('statx_in')], { node }).payload;
  const out = unpack('statx_out', reply);
  assert.deepEqual([out.attr_valid, out.attr_valid_nsec], [1, 500_000_000]);
  const sx = unpack('statx', reply, 32);
  assert.deepEqual([sx.mask, sx.ino, sx.size], [0xfff, 0xffff_ffff_ffff_fffen, 2 ** 40 + 7]);
  assert.deepEqual([sx.rdev_major, sx.rdev_minor], [0x456, 0x12378]);
  assert.deepEqual(unpack('sx_time', reply, 32 + 112).tv_nsec, 999_999_999);
  assert.deepEqual(unpack('sx_time', reply, 32 + 80).tv_sec, 77);
  a.btimeSec = -1;
  assert.equal(unpack('statx', bench.ask('STATX', [pack('statx_in')], { node }).payload, 32).mask, 0x7ff);
});

test('SETATTR passes on what is marked valid, and only that', () => {
  const { fs, bench, lookup } = fixture();
  const node = lookup('file');
  const a = fs.root.children.get('file')!.attributes;
  const all = { mode: 0o104711, uid: 5, gid: 6, size: 3, atime: -7, atimensec: 8, mtime: 9, mtimensec: 10, fh: 99 };
  const ask = (valid: number, more = {}): number =>
    bench.ask('SETATTR', [pack('setattr_in', { ...all, ...more, valid })], { node }).error;
  const before = { ...a };
  assert.equal(ask(0), 0);
  assert.deepEqual(a, before);
  const { MODE, UID, GID, SIZE, ATIME, MTIME, FH, ATIME_NOW, MTIME_NOW, KILL_SUIDGID } = SetattrValid;
  assert.equal(ask(MODE | UID | GID | SIZE | ATIME | MTIME | FH), 0);
  assert.deepEqual(
    [a.mode, a.uid, a.gid, a.size, a.atimeSec, a.atimeNsec, a.mtimeSec, a.mtimeNsec],
    [0o104711, 5, 6, 3, -7, 8, 9, 10],
  );
  assert.equal(ask(ATIME | ATIME_NOW | MTIME | MTIME_NOW | KILL_SUIDGID), 0);
  assert.ok(a.atimeSec > 1e9 && a.mtimeSec > 1e9);
  assert.equal(a.mode, 0o100711);
  assert.equal(ask(ATIME, { atimensec: 1_000_000_000 }), -Errno.EINVAL);
  assert.equal(ask(MTIME, { mtimensec: 1_000_000_000 }), -Errno.EINVAL);
});

test('the group extension reaches a creation', () => {
  const fs = new MemoryFileSystem();
  const seen: number[] = [];
  const mkdir = fs.mkdir.bind(fs);
  fs.mkdir = (parent, name, mode, umask, caller) => {
    seen.push(caller.supplementaryGroup);
    return mkdir(parent, name, mode, umask, caller);
  };
  const bench = new Bench(fs);
  const security = Buffer.from(new Uint32Array([12, 1, 0, 0]).buffer); // rounded up to 16
  const groups = Buffer.from(new Uint32Array([16, 32, 1, 1234]).buffer);
  bench.ask('MKDIR', [pack('mkdir_in'), nul('a')], { extensions: Buffer.concat([security, groups]) });
  bench.ask('MKDIR', [pack('mkdir_in'), nul('b')]);
  bench.ask('MKDIR', [pack('mkdir_in'), nul('c')], { extensions: Buffer.from(new Uint32Array([12, 32, 0, 0]).buffer) });
  assert.deepEqual(seen, [1234, -1, -1]);
});

describe('a file system that breaks its contract', () => {
  test('is answered for with EIO, logged and counted', async () => {
    const { fs, bench } = fixture();
    const boom = (): never => {
      throw new Error('boom');
    };
    fs.statfs = boom;
    assert.equal(bench.ask('STATFS').error, -Errno.EIO);
    fs.statfs = () => Promise.reject(new Error('boom'));
    assert.deepEqual(bench.give(frame('STATFS')), []);
    await tick();
    assert.equal(bench.transport.replies.at(-1)?.error, -Errno.EIO);
    fs.forget = boom;
    assert.deepEqual(bench.give(frame('FORGET', [pack('forget_in', { nlookup: 1 })])), []);
    fs.readdir = boom;
    assert.equal(bench.ask('READDIR', [pack('read_in', { size: 100 })]).error, -Errno.EIO);
    fs.readdir = () => Promise.reject(new Error('boom'));
    bench.give(frame('READDIR', [pack('read_in', { size: 100 })]));
    await tick();
    assert.equal(bench.transport.replies.at(-1)?.error, -Errno.EIO);
    fs.lookup = () => ({ node: 5, attributes: undefined as never, entryTtlMs: 0, attributesTtlMs: 0 });
    assert.equal(bench.ask('LOOKUP', [nul('x')]).error, -Errno.EIO);
    fs.lookup = () => Promise.resolve({ node: 5, attributes: undefined as never, entryTtlMs: 0, attributesTtlMs: 0 });
    bench.give(frame('LOOKUP', [nul('x')]));
    await tick();
    assert.equal(bench.transport.replies.at(-1)?.error, -Errno.EIO);
    fs.read = () => Promise.resolve({ bytes: Buffer.alloc(1), release: boom });
    bench.give(frame('READ', [pack('read_in', { size: 10 })]));
    await tick();
    assert.equal(bench.transport.replies.at(-1)?.payload.length, 1);
    assert.equal(bench.dispatcher.counters.defects, 8);
    assert.equal(bench.logged.length, 8);
    fs.flush = () => -100_000;
    assert.equal(bench.ask('FLUSH', [pack('flush_in')]).error, -Errno.EIO);
  });
});

test('expected errors are not logged', () => {
  const { bench, lookup } = fixture();
  const node = lookup('file');
  assert.equal(bench.ask('LOOKUP', [nul('none')]).error, -Errno.ENOENT);
  assert.equal(bench.ask('GETXATTR', [pack('getxattr_in'), nul('user.none')], { node }).error, -Errno.ENODATA);
  assert.deepEqual(bench.logged, []);
  const { errors } = bench.dispatcher.counters.snapshot(0);
  assert.deepEqual(errors, { LOOKUP: 1, GETXATTR: 1 });
});

test('how a file or directory was opened is told in flags; a backing file excludes KEEP_CACHE', () => {
  const { fs, bench } = fixture();
  const plain = { handle: 5, keepCache: false, backingId: 0, directIo: false, noFlush: false, nonSeekable: false };
  for (const [more, flags, backing] of [
    [{}, 0, 0],
    [{ directIo: true }, 1, 0],
    [{ keepCache: true }, 2, 0],
    [{ nonSeekable: true }, 4, 0],
    [{ noFlush: true }, 32, 0],
    [{ backingId: 7, keepCache: true, noFlush: true }, 128 | 32, 7],
    [{ backingId: -1 }, 0, 0],
  ] as const) {
    fs.open = () => ({ ...plain, ...more });
    const opened = unpack('open_out', bench.ask('OPEN', [pack('open_in')], { node: 2 }).payload);
    assert.deepEqual([opened.fh, opened.open_flags, opened.backing_id], [5, flags, backing]);
  }
  for (const [cacheListing, keepCache, flags] of [
    [false, false, 0],
    [true, false, 8],
    [true, true, 10],
  ] as const) {
    fs.opendir = () => ({ handle: 6, cacheListing, keepCache });
    const opened = unpack('open_out', bench.ask('OPENDIR', [pack('open_in')]).payload);
    assert.deepEqual([opened.fh, opened.open_flags], [6, flags]);
  }
});

test('the bits by which a truncation or write must clear set-user-id reach the file system', () => {
  const { fs, bench } = fixture();
  const seen: boolean[] = [];
  fs.open = (_node, _flags, clear) => {
    seen.push(clear);
    return -Errno.EACCES;
  };
  fs.write = (_node, _handle, _offset, _data, clear) => {
    seen.push(clear);
    return -Errno.EACCES;
  };
  for (const bit of [0, 1]) bench.ask('OPEN', [pack('open_in', { open_flags: bit })], { node: 2 });
  for (const bit of [0, 4]) bench.ask('WRITE', [pack('write_in', { write_flags: bit })], { node: 2 });
  assert.deepEqual(seen, [false, true, false, true]);
});

test('INIT and DESTROY are handed to the session', () => {
  const { bench } = fixture();
  bench.give(frame('INIT', [pack('init_in', { major: 7 })]));
  assert.deepEqual(bench.inits, [BODY + 64]);
  assert.equal(bench.ask('DESTROY').error, 0);
  assert.equal(bench.destroyed, 1);
  assert.equal(opcodeName(Opcode.DESTROY), 'DESTROY');
  assert.equal(opcodeName(4096), 'UNKNOWN');
});
