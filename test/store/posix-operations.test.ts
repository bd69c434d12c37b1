/** Each operation of a posix store, on both speed classes, against what node:fs says of the same directory. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPosixStore, StoreError } from '../../src/store/posix/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { contents, fails, isRoot, me, SPEEDS, storeOver, temporaryDirectory, value, walk } from './support.ts';

const { O_RDONLY, O_RDWR, O_WRONLY, O_TRUNC, O_EXCL, O_CREAT, O_APPEND, O_DIRECT, O_NOFOLLOW } = fs.constants;

for (const speed of SPEEDS) {
  // S5.1
  test(`${speed}: lookup and attributes say what stat says`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), 'hello');
    fs.symlinkSync('f', join(root, 'l'));
    fs.utimesSync(join(root, 'f'), -5.25, 1e9 + 0.125);
    const store = await storeOver(t, root, { speed });
    assert.equal(store.speed, speed);
    for (const name of ['f', 'l']) {
      const real = fs.lstatSync(join(root, name), { bigint: true });
      const found = await value(store.lookup(store.root().node, name));
      assert.equal(found.id, Number(real.ino));
      for (const a of [found.attributes, await value(store.attributes(store.node(store.root().node, name, found)))]) {
        assert.deepEqual(
          [a.ino, a.mode, a.nlink, a.uid, a.gid, a.size, a.blocks, a.blksize].map(Number),
          [real.ino, real.mode, real.nlink, real.uid, real.gid, real.size, real.blocks, real.blksize].map(Number),
        );
        assert.equal(BigInt(a.mtimeSec) * 10n ** 9n + BigInt(a.mtimeNsec), real.mtimeNs);
        assert.equal(BigInt(a.atimeSec) * 10n ** 9n + BigInt(a.atimeNsec), real.atimeNs);
        assert.equal(BigInt(a.ctimeSec) * 10n ** 9n + BigInt(a.ctimeNsec), real.ctimeNs);
      }
    }
    await fails(store.lookup(store.root().node, 'nope'), 'ENOENT');
    await fails(store.lookup(await walk(store, 'f'), 'x'), 'ENOTDIR');
    await fails(store.lookup(await walk(store, 'l'), 'x'), 'ENOTDIR');
    await fails(store.lookup(store.root().node, 'x'.repeat(300)), 'ENAMETOOLONG');
    await fails(store.lookup(store.root().node, 'x'.repeat(5000)), 'ENAMETOOLONG');
    assert.equal(store.root().attributes.ino, fs.statSync(root, { bigint: true }).ino);
    assert.equal((await value(store.revalidate(store.root().node))).ino, store.root().attributes.ino);
  });

  test(`${speed}: device numbers survive both ways`, { skip: !isRoot }, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed });
    const rdev = ((0x12345 & 0xff) | (0x123 << 8) | ((0x12345 & 0xfff00) << 12)) >>> 0;
    const found = await value(store.makeNode(store.root().node, 'c', 0o020600, rdev, me()));
    assert.equal(found.attributes.rdev, rdev);
    assert.equal(execFileSync('stat', ['-c', '%t:%T', join(root, 'c')], { encoding: 'utf8' }).trim(), '123:12345');
    await fails(store.open(store.node(store.root().node, 'c', found), O_RDONLY), 'ENXIO');
  });

  // S4.8
  test(`${speed}: names are bytes, not text`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed });
    const name = 'caf\xe9 \xff\x80\x01';
    const who = me();
    const { file } = await value(store.create(store.root().node, name, 0o644, O_WRONLY, who));
    store.close(file);
    const listed = fs.readdirSync(root, { encoding: 'buffer' });
    assert.deepEqual(
      listed.map((entry) => entry.toString('latin1')),
      [name],
    );
    const entries = await value(store.list(store.root().node));
    assert.deepEqual(
      entries.map((entry) => [entry.name, entry.type]),
      [[name, 8]],
    );
    const node = await walk(store, name);
    await value(store.rename(store.root().node, name, store.root().node, '\xfe', 0, node));
    assert.equal((await value(store.revalidate(node))).ino, entries[0]!.ino);
    await value(store.unlink(store.root().node, '\xfe', node));
    assert.deepEqual(await value(store.list(store.root().node)), []);
  });

  test(`${speed}: a listing is complete, however large`, async (t) => {
    const root = temporaryDirectory(t);
    const expected = new Map<string, number>();
    for (let i = 0; i < 2500; i++) {
      const name = `${i}${'n'.repeat(i % 200)}`;
      if (i % 5 === 0) fs.mkdirSync(join(root, name));
      else if (i % 5 === 1) fs.symlinkSync('nowhere', join(root, name));
      else fs.writeFileSync(join(root, name), '');
      expected.set(name, i % 5 === 0 ? 4 : i % 5 === 1 ? 10 : 8);
    }
    const store = await storeOver(t, root, { speed });
    const entries = await value(store.list(store.root().node));
    assert.equal(entries.length, expected.size);
    for (const { name, type, ino } of entries) {
      assert.equal(type, expected.get(name));
      assert.ok(ino > 0n);
    }
    await fails(store.list(await walk(store, '1n')), 'ENOTDIR');
  });

  test(`${speed}: bytes written are bytes read, at any offset`, async (t) => {
    const root = temporaryDirectory(t);
    const data = Buffer.alloc(300_001, 0).map((_, i) => (i * 7919) >> 3);
    fs.writeFileSync(join(root, 'f'), data);
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'f');
    const file = await value(store.open(node, O_RDWR));
    assert.equal(file.accessMode, O_RDWR);
    for (const [offset, length] of [
      [0, 300_001],
      [0, 400_000],
      [299_990, 100],
      [4096, 4096],
      [300_001, 10],
      [1e9, 1],
    ]) {
      const into = Buffer.alloc(length!, 0xee);
      const expected = data.subarray(offset, offset! + length!);
      assert.equal(await value(store.read(file, into, length!, offset!)), expected.length);
      assert.ok(into.subarray(0, expected.length).equals(expected));
      const again = Buffer.alloc(length!);
      const now = store.readNow(file, again, length!, offset!);
      if (speed === 'pooled') assert.equal(now, -Errno.EAGAIN);
      else if (now !== -Errno.EAGAIN) assert.ok(again.subarray(0, now).equals(expected));
    }
    const small = Buffer.alloc(10, 0xee);
    await value(store.read(file, small.subarray(0, 5), 100, 0)); // a length that lies does not write beyond the buffer
    store.readNow(file, small.subarray(0, 5), 100, 0);
    assert.deepEqual([...small.subarray(5)], [0xee, 0xee, 0xee, 0xee, 0xee]);
    assert.equal(await value(store.write(file, Buffer.from('XYZ'), 10)), 3);
    assert.equal(await value(store.write(file, Buffer.from('end'), 400_000)), 3);
    assert.equal(fs.readFileSync(join(root, 'f')).toString('latin1', 10, 13), 'XYZ');
    assert.equal(fs.statSync(join(root, 'f')).size, 400_003);
    await value(store.sync(file, true));
    await value(store.sync(file, false));
    await value(store.flush(file));
    await value(store.syncDirectory(store.root().node));
    store.close(file);
    await fails(store.read(file, Buffer.alloc(1), 1, 0), 'EBADF');
  });

  test(`${speed}: a read under way outlives close`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), Buffer.alloc(1 << 20, 'a'));
    fs.writeFileSync(join(root, 'other'), Buffer.alloc(1 << 20, 'b'));
    const store = await storeOver(t, root, { speed });
    const [node, other] = [await walk(store, 'f'), await walk(store, 'other')];
    const file = await value(store.open(node, O_RDONLY));
    const into = Array.from({ length: 16 }, () => Buffer.alloc(1 << 20));
    const reads = into.map((buffer) => store.read(file, buffer, buffer.length, 0));
    store.close(file);
    const taken = await value(store.open(other, O_RDONLY)); // would get the number of a descriptor closed too early
    for (const [i, read] of reads.entries()) {
      assert.equal(await value(read), 1 << 20);
      assert.equal(into[i]!.indexOf('b'), -1);
    }
    store.close(taken);
  });

  test(`${speed}: what is asked of an open file outlives its close, and meets no other file`, async (t) => {
    const root = temporaryDirectory(t);
    for (const name of ['f', 'other']) fs.writeFileSync(join(root, name), name, { mode: 0o600 });
    const store = await storeOver(t, root, { speed });
    const [node, other] = [await walk(store, 'f'), await walk(store, 'other')];
    for (let round = 0; round < 20; round++) {
      const file = await value(store.open(node, O_RDWR));
      const described = Array.from({ length: 8 }, () => store.attributes(node, file));
      const changed = store.change(node, { size: round, mode: 0o640 }, file);
      const listed = store.listXattr(node, file);
      store.close(file);
      const taken = await value(store.open(other, O_RDWR)); // would get the number of a descriptor closed too early
      const inodes = await Promise.all(described.map(async (one) => (await value(one)).ino));
      assert.deepEqual(new Set(inodes.map(Number)), new Set([node.id]));
      assert.equal((await value(changed)).size, round);
      await value(listed);
      store.close(taken);
    }
    assert.deepEqual(
      [fs.statSync(join(root, 'other')).size, fs.statSync(join(root, 'other')).mode & 0o777],
      [5, 0o600],
    );
  });

  test(`${speed}: open refuses what is no regular file, and never waits for a FIFO`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    fs.symlinkSync('f', join(root, 'l'));
    fs.writeFileSync(join(root, 'f'), 'content');
    execFileSync('mkfifo', [join(root, 'p')]);
    const store = await storeOver(t, root, { speed });
    await fails(store.open(await walk(store, 'd'), O_RDONLY), 'EISDIR');
    await fails(store.open(await walk(store, 'l'), O_RDONLY), 'ELOOP');
    await fails(store.open(await walk(store, 'p'), O_RDONLY), 'ENXIO');
    const node = await walk(store, 'f');
    fs.unlinkSync(join(root, 'f'));
    execFileSync('mkfifo', [join(root, 'f')]);
    for (const flags of [O_RDONLY, O_WRONLY, O_RDWR]) await fails(store.open(node, flags), 'ESTALE');
  });

  // S3.5
  test(`${speed}: O_TRUNC empties the right file, O_APPEND leaves offsets to the caller`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), '0123456789');
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'f');
    const file = await value(store.open(node, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW));
    await value(store.write(file, Buffer.from('ab'), 3));
    store.close(file);
    assert.equal(fs.readFileSync(join(root, 'f'), 'latin1'), '012ab56789');
    for (const flags of [O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC]) {
      fs.writeFileSync(join(root, 'f'), 'full');
      store.close(await value(store.open(node, flags)));
      assert.equal(fs.statSync(join(root, 'f')).size, 0);
    }
    fs.unlinkSync(join(root, 'f'));
    fs.writeFileSync(join(root, 'f'), 'another file');
    await fails(store.open(node, O_WRONLY | O_TRUNC), 'ESTALE');
    assert.equal(fs.readFileSync(join(root, 'f'), 'latin1'), 'another file');
  });

  test(`${speed}: O_DIRECT reads, or says that it cannot`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), Buffer.alloc(8192, 'x'));
    const store = await storeOver(t, root, { speed });
    const file = await store.open(await walk(store, 'f'), O_RDONLY | O_DIRECT);
    if (typeof file === 'number') {
      assert.equal(file, -Errno.EINVAL);
      assert.equal(store.can('direct'), false);
      return;
    }
    const memory = Buffer.from(new ArrayBuffer(8192 + 4096));
    assert.equal(store.readNow(file, memory, 4096, 0), -Errno.EAGAIN);
    store.close(file);
  });

  // S1.6, S8.1, S8.2
  test(`${speed}: allocate, seek and copyRange`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed });
    const a = await value(store.create(store.root().node, 'a', 0o644, O_RDWR, me()));
    const b = await value(store.create(store.root().node, 'b', 0o644, O_RDWR, me()));
    await value(store.write(a.file, Buffer.from('data'), 1 << 20));
    assert.equal(await value(store.seek(a.file, 0, 3)), 1 << 20); // SEEK_DATA
    assert.equal(await value(store.seek(a.file, 1 << 20, 4)), (1 << 20) + 4); // SEEK_HOLE
    await fails(store.seek(a.file, 1 << 21, 3), 'ENXIO');
    assert.equal(await value(store.copyRange(a.file, 1 << 20, b.file, 2, 4)), 4);
    assert.equal(fs.readFileSync(join(root, 'b'), 'latin1'), '\0\0data');
    const outcome = await store.allocate(b.file, 0, 0, 10_000);
    if (outcome === 0) assert.equal(fs.statSync(join(root, 'b')).size, 10_000);
    else assert.equal(store.can('fallocate'), false);
    store.close(a.file);
    store.close(b.file);
  });

  // S5.2
  test(`${speed}: change sets mode, owner, size and times, by name or open file`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), '0123456789');
    fs.mkdirSync(join(root, 'd'));
    fs.symlinkSync('f', join(root, 'l'));
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'f');
    const file = await value(store.open(node, O_RDWR));
    for (const given of [undefined, file]) {
      const mode = given ? 0o4640 : 0o2751;
      const a = await value(store.change(node, { mode, size: given ? 3 : 7 }, given));
      assert.deepEqual([a.mode & 0o7777, a.size], [mode, given ? 3 : 7]);
      const times = { atime: { sec: 1, nsec: 2 }, mtime: { sec: -3, nsec: 4 } };
      const b = await value(store.change(node, times, given));
      assert.deepEqual([b.atimeSec, b.atimeNsec, b.mtimeSec, b.mtimeNsec], [1, 2, -3, 4]);
      const c = await value(store.change(node, { mtime: 'now' }, given));
      assert.equal(c.atimeSec, 1);
      assert.ok(Math.abs(c.mtimeSec - Date.now() / 1000) < 10);
      if (isRoot) {
        const d = await value(store.change(node, { uid: 77 }, given));
        assert.deepEqual([d.uid, d.gid], [77, 0]);
        await value(store.change(node, { uid: 0, gid: 0 }, given));
      }
    }
    store.close(file);
    const directory = await walk(store, 'd');
    assert.equal((await value(store.change(directory, { mode: 0o1711 }))).mode, 0o041711);
    await fails(store.change(directory, { size: 0 }), 'EISDIR');
    const link = await walk(store, 'l');
    await fails(store.change(link, { mode: 0o600 }), 'EOPNOTSUPP');
    const changed = await value(store.change(link, { mtime: { sec: 9, nsec: 0 } }));
    assert.equal(changed.mtimeSec, 9);
    assert.notEqual(fs.statSync(join(root, 'f')).mtimeMs, 9000);
  });

  // S4.9
  test(`${speed}: readlink`, async (t) => {
    const root = temporaryDirectory(t);
    const target = `${'t\xe9'.repeat(200)}`;
    const store = await storeOver(t, root, { speed });
    const bytes = Buffer.from(target, 'latin1');
    const found = await value(store.makeSymlink(store.root().node, 'l', bytes, me()));
    const node = store.node(store.root().node, 'l', found);
    assert.equal((await value(store.readlink(node))).toString('latin1'), target);
    fs.writeFileSync(join(root, 'f'), '');
    await fails(store.readlink(await walk(store, 'f')), 'EINVAL');
  });

  // S5.4
  test(`${speed}: extended attributes, on links too`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), '');
    fs.symlinkSync('f', join(root, 'l'));
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'f');
    const big = Buffer.alloc(3000, 'v');
    const set = await store.setXattr(node, 'user.big', big, 0);
    if (set === -Errno.EOPNOTSUPP) return t.skip('no extended attributes here');
    assert.equal(set, 0);
    await value(store.setXattr(node, 'user.empty', Buffer.alloc(0), 1));
    await fails(store.setXattr(node, 'user.empty', Buffer.alloc(0), 1), 'EEXIST');
    assert.deepEqual(await value(store.getXattr(node, 'user.big')), big);
    assert.equal((await value(store.getXattr(node, 'user.empty'))).length, 0);
    await fails(store.getXattr(node, 'user.none'), 'ENODATA');
    const file = await value(store.open(node, O_RDONLY));
    assert.deepEqual(await value(store.getXattr(node, 'user.big', file)), big);
    store.close(file);
    const names = (await value(store.listXattr(node))).toString('latin1').split('\0').sort();
    assert.ok(names.includes('user.big') && names.includes('user.empty'));
    await value(store.removeXattr(node, 'user.big'));
    await fails(store.getXattr(node, 'user.big'), 'ENODATA');
    const link = await walk(store, 'l');
    if (isRoot) {
      await value(store.setXattr(link, 'trusted.here', Buffer.from('link'), 0));
      assert.equal((await value(store.getXattr(link, 'trusted.here'))).toString(), 'link');
      await fails(store.getXattr(node, 'trusted.here'), 'ENODATA');
    }
    await fails(store.getXattr(link, 'user.empty'), 'ENODATA', 'EPERM');
    assert.equal(store.can('xattr'), true);
  });

  // S5.5
  test(`${speed}: statistics are statfs's`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed });
    const real = fs.statfsSync(root);
    const said = await value(store.statistics());
    assert.deepEqual([said.blockSize, said.blocks, said.files], [real.bsize, real.blocks, real.files]);
    assert.equal(said.nameLengthMax, 255);
  });

  test(`${speed}: a version changes with every change of content`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), 'one');
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'f');
    const before = store.version(await value(store.attributes(node)));
    assert.equal(store.version(await value(store.attributes(node))), before);
    await new Promise((resolve) => setTimeout(resolve, 20)); // file systems' clocks tick by up to 10 ms
    fs.writeFileSync(join(root, 'f'), 'two');
    assert.notEqual(store.version(await value(store.attributes(node))), before);
  });

  // S3.8
  test(`${speed}: read-only refuses every change`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), 'x');
    const store = await storeOver(t, root, { speed, readOnly: true });
    const top = store.root().node;
    const node = await walk(store, 'f');
    const changes = [
      () => store.open(node, O_WRONLY),
      () => store.open(node, O_RDONLY | O_TRUNC),
      () => store.create(top, 'n', 0o644, O_RDWR, me()),
      () => store.createUnnamed(top, 0o644, O_RDWR, me()),
      () => store.makeDirectory(top, 'n', 0o755, me()),
      () => store.makeNode(top, 'n', 0o100644, 0, me()),
      () => store.makeSymlink(top, 'n', Buffer.from('t'), me()),
      () => store.makeLink(node, top, 'n'),
      () => store.unlink(top, 'f', node),
      () => store.removeDirectory(top, 'f', node),
      () => store.rename(top, 'f', top, 'g', 0, node),
      () => store.change(node, { mode: 0 }),
      () => store.setXattr(node, 'user.x', Buffer.from('y'), 0),
      () => store.removeXattr(node, 'user.x'),
    ];
    for (const change of changes) await fails(change(), 'EROFS');
    assert.equal(await contents(store, node), 'x');
    assert.deepEqual(fs.readdirSync(root), ['f']);
  });

  // S9.5
  test(`${speed}: nothing stays open after shutdown`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'a/b/c'), { recursive: true });
    const before = fs.readdirSync('/proc/self/fd').length;
    const store = await openPosixStore({ root, speed, log: silentLog });
    await value(store.list(await walk(store, 'a/b/c')));
    await value(store.makeDirectory(store.root().node, 'd', 0o755, me()));
    await store.shutdown();
    assert.equal(fs.readdirSync('/proc/self/fd').length, before);
  });
}

test('a root that cannot be one is refused with a remedy', async (t) => {
  const root = temporaryDirectory(t);
  fs.writeFileSync(join(root, 'f'), '');
  const bad: [string, number][] = [
    [join(root, 'none'), Errno.ENOENT],
    [join(root, 'f'), Errno.ENOTDIR],
    ['', Errno.ENOENT],
  ];
  for (const [path, errno] of bad) {
    await assert.rejects(openPosixStore({ root: path, log: silentLog }), (error) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.errno, errno);
      assert.ok(error.remedy.length > 10);
      return true;
    });
  }
});

test('a local file system is inline, one of unknown type is pooled, and the id is the real path', async (t) => {
  const root = temporaryDirectory(t);
  fs.mkdirSync(join(root, 'real'));
  fs.symlinkSync('real', join(root, 'link'));
  const store = await storeOver(t, join(root, 'link'));
  assert.equal(store.speed, 'inline');
  assert.equal(store.id, `posix:${fs.realpathSync(join(root, 'real'))}`);
  const unknown = await storeOver(t, '/sys/fs');
  assert.equal(unknown.speed, 'pooled');
});
