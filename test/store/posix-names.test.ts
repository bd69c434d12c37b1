/** Files keep their identity through renames, links, removal and replacement, and few descriptors suffice for it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StoreNode } from '../../src/store/store.ts';
import { contents, fails, me, SPEEDS, storeOver, temporaryDirectory, value, walk } from './support.ts';

const { O_RDONLY, O_RDWR, O_WRONLY, O_EXCL, O_TRUNC } = fs.constants;
const NOREPLACE = 1;
const EXCHANGE = 2;

for (const speed of SPEEDS) {
  // S4.4
  test(`${speed}: an unlinked file goes on: attributes, xattrs, mode, reopening`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), 'still here');
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const node = await walk(store, 'f');
    const file = await value(store.open(node, O_RDONLY));
    await value(store.unlink(top, 'f', node));
    assert.equal((await value(store.attributes(node))).nlink, 0);
    assert.equal((await value(store.attributes(node, file))).nlink, 0);
    assert.equal((await value(store.change(node, { mode: 0o600, size: 5 }))).size, 5);
    if (store.can('xattr')) await value(store.setXattr(node, 'user.late', Buffer.from('x'), 0));
    assert.equal(await contents(store, node), 'still');
    await fails(store.revalidate(node), 'ENOENT');
    await fails(store.lookup(top, 'f'), 'ENOENT');
    store.close(file);
    store.release(node);
    await fails(store.attributes(node), 'ESTALE');
    await fails(store.open(node, O_RDONLY), 'ESTALE');
  });

  test(`${speed}: a removal that fails leaves everything as it was`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd/e'), { recursive: true });
    fs.writeFileSync(join(root, 'f'), 'x');
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const [directory, file] = [await walk(store, 'd'), await walk(store, 'f')];
    await fails(store.removeDirectory(top, 'd', directory), 'ENOTEMPTY');
    await fails(store.unlink(top, 'd', directory), 'EISDIR');
    await fails(store.removeDirectory(top, 'f', file), 'ENOTDIR');
    await fails(store.rename(top, 'f', top, 'd', 0, file, directory), 'EISDIR');
    await fails(store.rename(top, 'd', top, 'f', NOREPLACE, directory, file), 'EEXIST');
    assert.equal((await value(store.revalidate(directory))).mode & 0o170000, 0o040000);
    assert.equal(await contents(store, file), 'x');
    assert.equal((await value(store.list(directory))).length, 1);
  });

  test(`${speed}: a removed directory still answers, and takes nothing new`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'd');
    await value(store.removeDirectory(store.root().node, 'd', node));
    assert.equal((await value(store.attributes(node))).nlink, 0);
    await fails(store.list(node), 'ENOENT'); // as getdents(2) says
    await fails(store.makeDirectory(node, 'x', 0o755, me()), 'ENOENT');
    store.release(node);
  });

  test(`${speed}: a renamed file and what is beneath a renamed directory are found again`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'a/b'), { recursive: true });
    fs.mkdirSync(join(root, 'z'));
    fs.writeFileSync(join(root, 'a/b/f'), 'content');
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const top = store.root().node;
    const a = await walk(store, 'a');
    const b = store.node(a, 'b', await value(store.lookup(a, 'b')));
    const f = store.node(b, 'f', await value(store.lookup(b, 'f')));
    const z = await walk(store, 'z');
    await value(store.rename(top, 'a', z, 'moved', 0, a));
    await value(store.list(z)); // with one descriptor to hold, everything above was closed
    assert.equal(await contents(store, f), 'content');
    await value(store.rename(b, 'f', top, 'g', 0, f));
    assert.equal(await contents(store, f), 'content');
    assert.equal((await value(store.revalidate(f))).size, 7);
    assert.equal(fs.readFileSync(join(root, 'g'), 'latin1'), 'content');
  });

  test(`${speed}: what is renamed while it is used is found all the time`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'a'));
    fs.writeFileSync(join(root, 'a/f'), 'content');
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const top = store.root().node;
    const a = await walk(store, 'a');
    const f = store.node(a, 'f', await value(store.lookup(a, 'f')));
    let moving = true;
    const moved = (async () => {
      const at = [['a', 'b'] as const, ['f', 'g'] as const];
      for (let i = 0; i < 300; i++) {
        const [from, to] = i % 2 === 0 ? [0, 1] : [1, 0];
        await value(store.rename(top, at[0]![from]!, top, at[0]![to]!, 0, a));
        await value(store.rename(a, at[1]![from]!, a, at[1]![to]!, 0, f));
      }
      moving = false;
    })();
    const using = Array.from({ length: 4 }, async () => {
      while (moving) {
        await value(store.attributes(a));
        assert.equal((await value(store.revalidate(f))).size, 7);
        assert.equal(await contents(store, f), 'content');
        assert.equal((await value(store.list(a))).length, 1);
        await new Promise(setImmediate);
      }
    });
    await Promise.all([moved, ...using]);
  });

  test(`${speed}: rename over a file pins the one replaced`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'new'), 'new');
    fs.writeFileSync(join(root, 'old'), 'old');
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const [fresh, old] = [await walk(store, 'new'), await walk(store, 'old')];
    await fails(store.rename(top, 'new', top, 'old', NOREPLACE, fresh, old), 'EEXIST');
    await value(store.rename(top, 'new', top, 'old', 0, fresh, old));
    assert.equal(await contents(store, fresh), 'new');
    assert.equal(await contents(store, old), 'old');
    assert.equal((await value(store.attributes(old))).nlink, 0);
    await fails(store.revalidate(old), 'ENOENT');
    store.release(old);
  });

  // S4.2
  test(`${speed}: exchange swaps two names, files or directories`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    fs.writeFileSync(join(root, 'd/in'), 'inside');
    fs.writeFileSync(join(root, 'f'), 'file');
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const top = store.root().node;
    const [d, f] = [await walk(store, 'd'), await walk(store, 'f')];
    const inside = store.node(d, 'in', await value(store.lookup(d, 'in')));
    const outcome = await store.rename(top, 'd', top, 'f', EXCHANGE, d, f);
    if (outcome !== 0) return t.skip('no exchange here');
    assert.equal(await contents(store, inside), 'inside');
    assert.equal(await contents(store, f), 'file');
    assert.ok(fs.statSync(join(root, 'f')).isDirectory());
    await value(store.revalidate(d));
    await value(store.revalidate(f));
  });

  // S4.3
  test(`${speed}: hard links are one file under all of its names`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    fs.writeFileSync(join(root, 'a'), 'linked');
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const [node, d] = [await walk(store, 'a'), await walk(store, 'd')];
    const found = await value(store.makeLink(node, d, 'b'));
    assert.deepEqual([found.id, found.birth, found.attributes.nlink], [node.id, node.birth, 2]);
    store.alias(node, d, 'b', performance.now());
    await value(store.rename(top, 'a', d, 'b', 0, node, node)); // two names of one file: nothing happens
    assert.deepEqual(fs.readdirSync(root).sort(), ['a', 'd']);
    await value(store.unlink(d, 'b', node));
    assert.equal((await value(store.revalidate(node))).nlink, 1);
    await value(store.makeLink(node, d, 'b'));
    await value(store.unlink(top, 'a', node));
    assert.equal((await value(store.revalidate(node))).nlink, 1);
    await value(store.unlink(d, 'b', node));
    assert.equal((await value(store.attributes(node))).nlink, 0);
    await fails(store.makeLink(node, top, 'back'), 'ENOENT'); // as linkat(2) says of a file with no links
    store.release(node);
  });

  // S4.5
  test(`${speed}: an unnamed file can be linked and then found`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const made = await store.createUnnamed(top, 0o640, O_RDWR, me());
    if (typeof made === 'number') return t.skip('no O_TMPFILE here');
    const { found, file, node } = made as Exclude<typeof made, number>;
    assert.deepEqual([found.attributes.nlink, found.attributes.mode], [0, 0o100640]);
    await value(store.write(file, Buffer.from('tmp'), 0));
    store.close(file);
    assert.equal((await value(store.attributes(node))).size, 3);
    const linked = await value(store.makeLink(node, top, 'named'));
    assert.equal(linked.id, node.id);
    assert.equal(fs.readFileSync(join(root, 'named'), 'latin1'), 'tmp');
    assert.equal((await value(store.revalidate(node))).nlink, 1);
    const sealed = await value(store.createUnnamed(top, 0o600, O_RDWR | O_EXCL, me()));
    await fails(store.makeLink(sealed.node, top, 'never'), 'ENOENT');
    store.close(sealed.file);
    store.release(sealed.node);
    store.release(node);
  });

  test(`${speed}: create makes, finds, refuses and empties as open(2) does`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'target'), 'untouched');
    fs.symlinkSync('target', join(root, 'l'));
    fs.mkdirSync(join(root, 'd'));
    execFileSync('mkfifo', [join(root, 'p')]);
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const one = await value(store.create(top, 'f', 0o666, O_WRONLY | O_EXCL, me(0o027)));
    assert.equal(one.found.attributes.mode, 0o100640);
    await value(store.write(one.file, Buffer.from('first'), 0));
    store.close(one.file);
    await fails(store.create(top, 'f', 0o666, O_WRONLY | O_EXCL, me()), 'EEXIST');
    const two = await value(store.create(top, 'f', 0o777, O_RDWR, me()));
    assert.deepEqual([two.found.id, two.found.attributes.size], [one.found.id, 5]);
    store.close(two.file);
    const three = await value(store.create(top, 'f', 0o777, O_WRONLY | O_TRUNC, me()));
    assert.deepEqual([three.found.id, three.found.attributes.size], [one.found.id, 0]);
    store.close(three.file);
    await fails(store.create(top, 'l', 0o666, O_WRONLY | O_TRUNC, me()), 'ESTALE');
    await fails(store.create(top, 'l', 0o666, O_WRONLY | O_EXCL, me()), 'EEXIST');
    await fails(store.create(top, 'd', 0o666, O_WRONLY, me()), 'EISDIR');
    await fails(store.create(top, 'p', 0o666, O_RDWR, me()), 'ESTALE');
    await fails(store.create(top, 'p', 0o666, O_WRONLY, me()), 'ESTALE');
    await fails(store.create(top, 'n'.repeat(5000), 0o666, O_WRONLY, me()), 'ENAMETOOLONG');
    await fails(store.unlink(top, 'n'.repeat(5000), undefined), 'ENAMETOOLONG');
    assert.equal(fs.readFileSync(join(root, 'target'), 'latin1'), 'untouched');
  });

  test(`${speed}: a name that leads to another file is stale, whatever put it there`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    fs.writeFileSync(join(root, 'd/f'), 'one');
    const store = await storeOver(t, root, { speed });
    const d = await walk(store, 'd');
    const node = store.node(d, 'f', await value(store.lookup(d, 'f')));
    fs.renameSync(join(root, 'd/f'), join(root, 'd/kept')); // keeps the inode number taken
    fs.writeFileSync(join(root, 'd/f'), 'two');
    await fails(store.revalidate(node), 'ESTALE');
    await fails(store.attributes(node), 'ESTALE');
    await fails(store.open(node, O_RDONLY), 'ESTALE');
    await fails(store.change(node, { mode: 0 }), 'ESTALE');
    await fails(store.getXattr(node, 'user.x'), 'ESTALE');
    fs.unlinkSync(join(root, 'd/f'));
    await fails(store.revalidate(node), 'ENOENT');
    await fails(store.open(node, O_RDONLY), 'ESTALE');
    store.alias(node, d, 'kept', performance.now());
    assert.equal(await contents(store, node), 'one');
    assert.equal(fs.readFileSync(join(root, 'd/kept'), 'latin1'), 'one');
  });

  // S4.9, S6.6
  test(`${speed}: a directory replaced by another, or by a link to it, is not entered by its old node`, async (t) => {
    const root = temporaryDirectory(t);
    for (const each of ['a', 'b']) {
      fs.mkdirSync(join(root, each));
      fs.mkdirSync(join(root, each, 'sub'));
      fs.writeFileSync(join(root, each, 'sub/f'), each);
    }
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const a = await walk(store, 'a');
    const sub = store.node(a, 'sub', await value(store.lookup(a, 'sub')));
    await value(store.list(await walk(store, 'b/sub'))); // so that `sub` and `a` are no longer open
    fs.renameSync(join(root, 'a'), join(root, 'gone'));
    for (const replace of [
      () => fs.cpSync(join(root, 'b'), join(root, 'a'), { recursive: true }),
      () => fs.symlinkSync('gone', join(root, 'a')),
    ]) {
      fs.rmSync(join(root, 'a'), { recursive: true, force: true });
      replace();
      await fails(store.lookup(sub, 'f'), 'ESTALE');
      await fails(store.list(sub), 'ESTALE');
      await fails(store.create(sub, 'new', 0o644, O_WRONLY, me()), 'ESTALE');
      await fails(store.unlink(sub, 'f'), 'ESTALE');
    }
    assert.deepEqual(fs.readdirSync(join(root, 'gone/sub')), ['f']);
  });

  test(`${speed}: trees far deeper than the descriptors allowed, used side by side`, async (t) => {
    const root = temporaryDirectory(t);
    const depth = 60;
    const branches = 5;
    const store = await storeOver(t, root, { speed, maxDescriptors: 8 });
    const leaves: StoreNode[] = [];
    for (let branch = 0; branch < branches; branch++) {
      let at: StoreNode = store.root().node;
      for (let level = 0; level < depth; level++) {
        const name = level === 0 ? `branch${branch}` : `level${level}`;
        at = store.node(at, name, await value(store.makeDirectory(at, name, 0o755, me())));
      }
      const { file, found } = await value(store.create(at, 'leaf', 0o644, O_WRONLY, me()));
      await value(store.write(file, Buffer.from(`leaf ${branch}`), 0));
      store.close(file);
      leaves.push(store.node(at, 'leaf', found));
    }
    const before = fs.readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 3; round++) {
      const all = await Promise.all(leaves.map((leaf) => contents(store, leaf)));
      assert.deepEqual(
        all,
        leaves.map((_, i) => `leaf ${i}`),
      );
    }
    const open = fs.readdirSync('/proc/self/fd').length;
    assert.ok(open <= before + 8, `${open} descriptors, ${before} before`);
  });

  test(`${speed}: files that were made without a name and then given one take few descriptors`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed, maxDescriptors: 4 });
    const top = store.root().node;
    const before = fs.readdirSync('/proc/self/fd').length;
    const made: StoreNode[] = [];
    for (let i = 0; i < 20; i++) {
      const outcome = await store.createUnnamed(top, 0o640, O_RDWR, me());
      if (typeof outcome === 'number') return t.skip('no files without a name here');
      const { file, node } = outcome;
      await value(store.write(file, Buffer.from(`file ${i}`), 0));
      store.close(file);
      await value(store.makeLink(node, top, `f${i}`));
      made.push(node);
    }
    for (const [i, node] of made.entries()) assert.equal(await contents(store, node), `file ${i}`);
    await fewDescriptors(before + 4 + 4); // and what the pool still closes
    await value(store.unlink(top, 'f0', made[0]));
    assert.equal(await contents(store, made[0]!), 'file 0', 'the one that has lost its name again is kept');
  });

  test(`${speed}: a file that loses one name of several takes no descriptor for it`, async (t) => {
    const root = temporaryDirectory(t);
    const store = await storeOver(t, root, { speed, maxDescriptors: 4 });
    const top = store.root().node;
    for (let i = 0; i < 20; i++) {
      fs.writeFileSync(join(root, `f${i}`), '');
      fs.linkSync(join(root, `f${i}`), join(root, `other${i}`));
    }
    const before = fs.readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 20; i++) await value(store.unlink(top, `f${i}`, await walk(store, `f${i}`)));
    await fewDescriptors(before + 4 + 4); // and what the pool still closes
  });

  test(`${speed}: what is removed under the name of another file is not held in its place`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'f'), 'one');
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const node = await walk(store, 'f');
    fs.renameSync(join(root, 'f'), join(root, 'kept'));
    fs.writeFileSync(join(root, 'f'), 'two');
    await value(store.unlink(top, 'f', node));
    await fails(store.attributes(node), 'ESTALE');
    store.alias(node, top, 'kept', performance.now());
    assert.equal(await contents(store, node), 'one');
  });

  test(`${speed}: a descriptor in use is never closed, however few there may be`, async (t) => {
    const root = temporaryDirectory(t);
    const count = 40;
    for (let i = 0; i < count; i++) {
      fs.mkdirSync(join(root, `d${i}`));
      fs.writeFileSync(join(root, `d${i}/f`), `${i}`);
    }
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const directories = await Promise.all(Array.from({ length: count }, (_, i) => walk(store, `d${i}`)));
    const expected = Array.from({ length: count }, (_, i) => fs.statSync(join(root, `d${i}/f`)).ino);
    for (let round = 0; round < 5; round++) {
      const found = await Promise.all(directories.map((directory) => value(store.lookup(directory, 'f'))));
      assert.deepEqual(
        found.map(({ id }) => id),
        expected,
      );
      const made = directories.map((directory, i) => value(store.makeNode(directory, `n${i}`, 0o100600, 0, me())));
      await Promise.all(made);
      await Promise.all(directories.map((directory, i) => value(store.unlink(directory, `n${i}`))));
    }
  });
}

/** The pool closes what is not needed any more some time later. */
async function fewDescriptors(most: number): Promise<void> {
  const open = (): number => fs.readdirSync('/proc/self/fd').length;
  for (const end = performance.now() + 5000; open() > most && performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(open() <= most, `${open()} descriptors, ${most} allowed`);
}
