/** What is created belongs to who asked for it, by the source's own rules, and the daemon stays who it is. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { CredentialWorkers, type WorkerOptions } from '../../src/store/posix/credential-workers.ts';
import { openPosixStore, StoreError } from '../../src/store/posix/index.ts';
import type { AnyCall } from '../../src/store/posix/lane.ts';
import type { Identity } from '../../src/store/store.ts';
import { Errno } from '../../src/sys/errno.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { contents, fails, isRoot, SPEEDS, storeOver, temporaryDirectory, value, walk } from './support.ts';

const { O_RDONLY, O_RDWR, O_WRONLY, O_EXCL } = fs.constants;
const asUser: Identity = { uid: 1234, gid: 2345, umask: 0o027 };
const skip = isRoot ? false : 'only root can create as another user';

/** Uid, gid, groups and umask as the kernel shows them for this thread. */
function threadState(): string {
  const status = fs.readFileSync('/proc/thread-self/status', 'utf8');
  const umask = sys.umask(0o77);
  sys.umask(umask);
  return `${status.match(/^(Uid|Gid):.*$/gm)?.join(' ')} umask ${umask}`;
}

for (const speed of SPEEDS) {
  // S6.2
  test(`${speed}: every kind of creation belongs to the caller, under the caller's umask`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chmodSync(root, 0o777);
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const before = threadState();
    fs.chmodSync(root, 0o770); // the daemon's group 0 does not come along
    await fails(store.makeDirectory(top, 'd', 0o777, asUser), 'EACCES');
    fs.chmodSync(root, 0o777);
    await value(store.makeDirectory(top, 'd', 0o777, asUser));
    await value(store.makeNode(top, 'n', 0o100666, 0, asUser));
    await value(store.makeNode(top, 'p', 0o010666, 0, asUser));
    await value(store.makeSymlink(top, 'l', Buffer.from('t'), asUser));
    const made = await value(store.create(top, 'f', 0o666, O_WRONLY | O_EXCL, asUser));
    store.close(made.file);
    const unnamed = await value(store.createUnnamed(top, 0o666, O_RDWR, asUser));
    store.close(unnamed.file);
    store.release(unnamed.node);
    assert.equal(threadState(), before);
    assert.deepEqual([unnamed.found.attributes.uid, unnamed.found.attributes.mode], [1234, 0o100640]);
    for (const [name, mode] of [
      ['d', 0o040750],
      ['n', 0o100640],
      ['p', 0o010640],
      ['f', 0o100640],
      ['l', 0o120777],
    ] as const) {
      const stat = fs.lstatSync(join(root, name));
      assert.deepEqual([name, stat.uid, stat.gid, stat.mode], [name, 1234, 2345, mode]);
    }
  });

  // S6.5
  test(`${speed}: the source refuses what the caller may not do, and root's rights are back afterwards`, {
    skip,
  }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chmodSync(root, 0o755);
    fs.mkdirSync(join(root, 'closed'), { mode: 0o700 });
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    await fails(store.makeDirectory(top, 'd', 0o777, asUser), 'EACCES');
    await fails(store.create(await walk(store, 'closed'), 'f', 0o666, O_WRONLY, asUser), 'EACCES');
    fs.chmodSync(root, 0o777);
    await fails(store.makeNode(top, 'dev', 0o020666, 0x103, asUser), 'EPERM');
    await value(store.makeDirectory(top, 'roots', 0o700, { uid: 0, gid: 0, umask: 0 }));
    assert.equal(fs.statSync(join(root, 'roots')).uid, 0);
  });

  // S6.2, S6.3
  test(`${speed}: a setgid directory passes on its group; the bit stays only for its members`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chownSync(root, 0, 500);
    fs.chmodSync(root, 0o2777);
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const directory = await value(store.makeDirectory(top, 'd', 0o755, asUser));
    assert.deepEqual([directory.attributes.gid, directory.attributes.mode & 0o7777], [500, 0o2750]);
    const outsider = await value(store.create(top, 'f', 0o2775, O_WRONLY, { ...asUser, umask: 0 }));
    assert.deepEqual([outsider.found.attributes.gid, outsider.found.attributes.mode & 0o7777], [500, 0o0775]);
    store.close(outsider.file);
    const member = { ...asUser, umask: 0, supplementaryGroup: 500 };
    const inside = await value(store.create(top, 'g', 0o2775, O_WRONLY, member));
    assert.deepEqual([inside.found.attributes.gid, inside.found.attributes.mode & 0o7777], [500, 0o2775]);
    store.close(inside.file);
  });

  test(`${speed}: a supplementary group counts for its own creation and for no later one`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chownSync(root, 0, 500);
    fs.chmodSync(root, 0o770);
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    await fails(store.makeDirectory(top, 'a', 0o755, asUser), 'EACCES');
    await value(store.makeDirectory(top, 'b', 0o755, { ...asUser, supplementaryGroup: 500 }));
    await fails(store.makeDirectory(top, 'c', 0o755, asUser), 'EACCES');
  });

  // S6.2
  test(`${speed}: a default ACL takes the umask's place`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chmodSync(root, 0o777);
    if (spawnSync('setfacl', ['-d', '-m', 'u::rwx,g::rwx,o::r-x,u:77:rwx', root]).status !== 0)
      return t.skip('no ACLs here');
    const store = await storeOver(t, root, { speed });
    const { found, file } = await value(
      store.create(store.root().node, 'f', 0o666, O_WRONLY, { ...asUser, umask: 0o77 }),
    );
    store.close(file);
    assert.equal(found.attributes.mode & 0o777, 0o664);
    assert.match(execFileSync('getfacl', ['-pn', join(root, 'f')], { encoding: 'utf8' }), /^user:77:rwx/m);
    const node = await walk(store, 'f');
    assert.ok((await value(store.getXattr(node, 'system.posix_acl_access'))).length > 20);
  });

  // S6.3
  test(`${speed}: a sticky directory's rule for existing files is the source's`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chmodSync(root, 0o1777);
    fs.writeFileSync(join(root, 'f'), 'mine', { mode: 0o600 });
    const store = await storeOver(t, root, { speed });
    await fails(store.create(store.root().node, 'f', 0o666, O_RDWR, asUser), 'EACCES');
    await fails(store.create(store.root().node, 'f', 0o666, O_RDWR | O_EXCL, asUser), 'EEXIST');
    assert.equal(fs.readFileSync(join(root, 'f'), 'latin1'), 'mine');
  });

  test(`${speed}: files the pool makes meanwhile keep the daemon's umask`, { skip }, async (t) => {
    const root = temporaryDirectory(t);
    fs.chmodSync(root, 0o777);
    const store = await storeOver(t, root, { speed });
    const work: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) {
      work.push(fs.promises.writeFile(join(root, `own${i}`), ''));
      const made = store.makeNode(store.root().node, `other${i}`, 0o100666, 0, { ...asUser, umask: 0o777 });
      work.push(Promise.resolve(made));
    }
    await Promise.all(work);
    const expected = 0o666 & ~process.umask();
    for (let i = 0; i < 200; i++) {
      const stat = fs.statSync(join(root, `own${i}`));
      assert.deepEqual([stat.uid, stat.mode & 0o777], [0, expected]);
      assert.equal(fs.statSync(join(root, `other${i}`)).mode & 0o777, 0);
    }
  });
}

// S6.2, S6.5
test("a source read as one user shows that user's view, whoever the daemon is", { skip }, async (t) => {
  const root = temporaryDirectory(t);
  fs.chmodSync(root, 0o755);
  fs.mkdirSync(join(root, 'home'), { mode: 0o700 });
  fs.writeFileSync(join(root, 'home/f'), 'private', { mode: 0o600 });
  fs.chownSync(join(root, 'home'), 1234, 2345);
  fs.chownSync(join(root, 'home/f'), 1234, 2345);
  fs.mkdirSync(join(root, 'roots'), { mode: 0o700 });
  fs.writeFileSync(join(root, 'roots/f'), 'secret');
  const store = await storeOver(t, root, { identity: { uid: 1234, gid: 2345 } });
  assert.equal(store.speed, 'pooled');
  const home = await walk(store, 'home');
  assert.equal(await contents(store, await walk(store, 'home/f')), 'private');
  const roots = await walk(store, 'roots');
  await fails(store.lookup(roots, 'f'), 'EACCES');
  await fails(store.list(roots), 'EACCES');
  await fails(store.makeDirectory(store.root().node, 'x', 0o755, asUser), 'EACCES');
  const { found, file } = await value(store.create(home, 'new', 0o666, O_RDWR, { uid: 0, gid: 0, umask: 0o022 }));
  assert.deepEqual([found.attributes.uid, found.attributes.gid, found.attributes.mode & 0o777], [1234, 2345, 0o644]);
  await value(store.write(file, Buffer.from('x'), 0));
  store.close(file);
  const node = await walk(store, 'home/new');
  await fails(store.change(node, { uid: 0 }), 'EPERM');
  await value(store.change(node, { mode: 0o600, size: 0 }));
  await value(store.setXattr(node, 'user.a', Buffer.from('b'), 0));
  await value(store.makeLink(node, home, 'linked'));
  await value(store.unlink(home, 'new', node));
  const opened = await value(store.open(node, O_RDONLY));
  store.close(opened);
  assert.match(fs.readFileSync('/proc/self/status', 'utf8'), /^Uid:\t0\t0\t0\t0$/m);
});

test("threads that begin leave the process's umask alone, also for a moment", async () => {
  const script = `import(${JSON.stringify(import.meta.resolve('../../src/store/posix/credentials.ts'))})`;
  const seen = new Set<string>();
  for (let round = 0; round < 4; round++) {
    let left = 8;
    for (let i = 0; i < 8; i++) {
      const worker = new Worker(script, { eval: true, execArgv: ['--disable-warning=ExperimentalWarning'] });
      worker.on('exit', () => left--);
    }
    for (; left > 0; await new Promise(setImmediate)) {
      for (let i = 0; i < 200; i++) seen.add(/^Umask:.*$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))![0]);
    }
  }
  assert.equal(seen.size, 1, [...seen].join(', '));
});

// S9.1
test('a call that hangs in a thread that is somebody else holds up no other', async (t) => {
  const root = temporaryDirectory(t);
  const fifo = join(root, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const workers = new CredentialWorkers(4, {}, silentLog);
  const [AT_FDCWD, TYPE] = [-100, 1];
  const hanging = workers.run(sys.openat as unknown as AnyCall, [AT_FDCWD, sys.cstring(fifo), O_RDONLY, 0], undefined);
  const others: Promise<number>[] = [];
  for (let i = 0; i < 16; i++) {
    const args = [AT_FDCWD, sys.cstring(root), 0, TYPE, Buffer.alloc(256)];
    others.push(workers.run(sys.statx as unknown as AnyCall, args, undefined));
  }
  const late = new Promise((resolve) => setTimeout(resolve, 10_000, 'late').unref());
  const settled = await Promise.race([Promise.all(others), late]);
  const end = fs.openSync(fifo, O_RDWR); // the one that hangs has somebody at the other end
  fs.closeSync(await hanging);
  fs.closeSync(end);
  await workers.close();
  assert.deepEqual(settled, Array(16).fill(0));
});

test('calls that no thread can be started for fail, and are not made later', async () => {
  const unsendable = { identity: () => {} } as unknown as WorkerOptions;
  const workers = new CredentialWorkers(4, unsendable, silentLog);
  const call = sys.close as unknown as AnyCall;
  const both = [workers.run(call, [-1], undefined), workers.run(call, [-1], undefined)];
  assert.deepEqual(await Promise.all(both), [-Errno.EIO, -Errno.EIO]);
  await workers.close();
});

test('a store leaves nothing that keeps a program from ending, and nothing that ends it early', { skip }, (t) => {
  const root = temporaryDirectory(t);
  fs.chmodSync(root, 0o777);
  const program = `
    const { openPosixStore } = await import(${JSON.stringify(import.meta.resolve('../../src/store/posix/index.ts'))});
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    for (const options of [{ speed: 'inline' }, { speed: 'pooled' }, { identity: { uid: 1234, gid: 1234 } }]) {
      const store = await openPosixStore({ root: ${JSON.stringify(root)}, log, ...options });
      const made = store.makeNode(store.root().node, JSON.stringify(options), 0o100600, 0, { uid: 1234, gid: 1234, umask: 7 });
      if (typeof (await made) === 'number') throw new Error(JSON.stringify(options) + (await made));
      await store.shutdown();
    }
    const left = await openPosixStore({ root: ${JSON.stringify(root)}, log, speed: 'pooled' });
    await left.makeNode(left.root().node, 'left', 0o100600, 0, { uid: 1234, gid: 1234, umask: 7 });
    console.log('done');
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([stdout, stderr, status], ['done\n', '', 0]);
});

test('reading as the caller is refused with a remedy', async (t) => {
  await assert.rejects(
    openPosixStore({ root: temporaryDirectory(t), identity: 'caller', log: silentLog }),
    (error) => error instanceof StoreError && error.errno === Errno.EOPNOTSUPP,
  );
});
