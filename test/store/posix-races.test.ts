/** Operations of a slow store that meet in the middle: each test holds one system call back until another has passed it. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PosixStore } from '../../src/store/posix/posix-store.ts';
import { Errno } from '../../src/sys/errno.ts';
import * as sys from '../../src/sys/libc.ts';
import { GatedLane } from '../support/gated-lane.ts';
import { storeOnLane } from '../support/store-on-lane.ts';
import { contents, fails, me, SPEEDS, storeOver, temporaryDirectory, value, walk } from './support.ts';

const { O_RDONLY } = fs.constants;

function gatedStore(t: TestContext, root: string, lane: GatedLane): PosixStore {
  const store = storeOnLane(root, lane);
  t.after(() => store.shutdown());
  return store;
}

function openDescriptors(): number {
  return fs.readdirSync('/proc/self/fd').length;
}

/** The pool closes what is not needed any more some time later. */
async function fewerDescriptors(limit: number): Promise<void> {
  const end = performance.now() + 10_000;
  while (openDescriptors() > limit && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(openDescriptors() <= limit, `${openDescriptors()} descriptors, ${limit} allowed`);
}

test('a directory that somebody opens while its removal is prepared is counted once', async (t) => {
  const root = temporaryDirectory(t);
  fs.mkdirSync(join(root, 'd'));
  fs.writeFileSync(join(root, 'd/f'), 'x');
  const lane = new GatedLane();
  const store = gatedStore(t, root, lane);
  const top = store.root().node;
  const node = await walk(store, 'd');
  for (let round = 0; round < 2; round++) {
    const opening = lane.holdNext(sys.openat);
    const removal = store.removeDirectory(top, 'd', node);
    if (round === 0) await opening.made; // later rounds find it open
    await value(store.lookup(node, 'f'));
    opening.letGo();
    await fails(removal, 'ENOTEMPTY');
    assert.equal(store.load().directories, 1);
  }
  await value(store.unlink(node, 'f'));
  await value(store.removeDirectory(top, 'd', node));
  assert.equal(store.load().directories, 0, 'what has no name is kept until it is given back');
  assert.equal((await value(store.attributes(node))).nlink, 0);
});

test('a file given back while its removal is prepared leaves no descriptor behind', async (t) => {
  const root = temporaryDirectory(t);
  fs.writeFileSync(join(root, 'f'), 'x');
  const lane = new GatedLane();
  const store = gatedStore(t, root, lane);
  const node = await walk(store, 'f');
  await value(store.attributes(node));
  const before = openDescriptors();
  const opening = lane.holdNext(sys.openat);
  const removal = store.unlink(store.root().node, 'f', node);
  await opening.made;
  store.release(node);
  opening.letGo();
  await value(removal);
  await fewerDescriptors(before);
});

test('a store that is shut down lets operations end that are between two calls', async (t) => {
  const root = temporaryDirectory(t);
  const lane = new GatedLane();
  const store = gatedStore(t, root, lane);
  const making = lane.holdNext(sys.mkdirat);
  const made = store.makeDirectory(store.root().node, 'd', 0o755, me());
  await making.made;
  const closed = store.shutdown();
  await new Promise(setImmediate);
  making.letGo();
  await value(made);
  await closed;
});

test('a name found before the file was moved away from it is not taken for a name of it', async (t) => {
  const root = temporaryDirectory(t);
  fs.writeFileSync(join(root, 'a'), 'x');
  const lane = new GatedLane();
  const store = gatedStore(t, root, lane);
  const top = store.root().node;
  const node = await walk(store, 'a');
  const askedMs = performance.now();
  const renaming = lane.holdNext(sys.renameat2);
  const move = store.rename(top, 'a', top, 'b', 0, node);
  await renaming.made;
  store.alias(node, top, 'a', askedMs); // answered before the move has
  renaming.letGo();
  await value(move);
  store.alias(node, top, 'a', askedMs); // and after
  assert.equal(node.path(), 'b');
  await value(store.revalidate(node));
});

test('a move that a question about the names meets costs the file none of them', async (t) => {
  const root = temporaryDirectory(t);
  fs.writeFileSync(join(root, 'a'), 'x');
  fs.linkSync(join(root, 'a'), join(root, 'kept'));
  const lane = new GatedLane();
  const store = gatedStore(t, root, lane);
  const top = store.root().node;
  const node = await walk(store, 'a');
  store.alias(node, top, 'kept', performance.now());
  const move = (from: string, to: string) => value(store.rename(top, from, top, to, 0, node));
  await move('a', 'b');
  const asking = lane.holdNext(sys.statx); // of 'kept'
  const alsoAsking = lane.holdNext(sys.statx); // of 'b', which then says it is gone
  fs.renameSync(join(root, 'b'), join(root, 'away'));
  const question = store.revalidate(node);
  await asking.made;
  asking.letGo();
  await alsoAsking.made;
  fs.renameSync(join(root, 'away'), join(root, 'b'));
  await move('b', 'c');
  await move('c', 'b');
  alsoAsking.letGo();
  await value(question);
  fs.unlinkSync(join(root, 'kept'));
  await fails(store.revalidate(node), 'ENOENT');
  await value(store.revalidate(node)); // by the name that it still has
});

for (const speed of SPEEDS) {
  test(`${speed}: directories that are each known to be in the other are not looked for without end`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'a/b'), { recursive: true });
    fs.mkdirSync(join(root, 'other'));
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const a = await walk(store, 'a');
    const b = store.node(a, 'b', await value(store.lookup(a, 'b')));
    const other = await walk(store, 'other');
    await fails(store.lookup(b, 'x'), 'ENOENT');
    fs.renameSync(join(root, 'a/b'), join(root, 'b'));
    fs.renameSync(join(root, 'a'), join(root, 'b/a'));
    assert.equal((await value(store.lookup(b, 'a'))).id, a.id); // by b's descriptor
    store.alias(a, b, 'a', performance.now());
    await fails(store.revalidate(a), 'ENOENT'); // which takes its old name from it
    await fails(store.lookup(other, 'x'), 'ENOENT'); // and now b has no descriptor
    const late = new Promise<number>((resolve) => setTimeout(resolve, 10_000, 0).unref());
    for (const node of [a, b]) await fails(Promise.race([store.lookup(node, 'x'), late]), 'ESTALE');
    const both = Promise.all([store.lookup(a, 'x'), store.lookup(b, 'x')]);
    assert.deepEqual(await Promise.race([both, late]), [-Errno.ESTALE, -Errno.ESTALE]);
    store.alias(b, store.root().node, 'b', performance.now());
    await fails(store.lookup(a, 'x'), 'ENOENT');
  });

  test(`${speed}: names that others took away are all dropped at the first question`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'a'), 'x');
    for (const name of ['b', 'c']) fs.linkSync(join(root, 'a'), join(root, name));
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const node = await walk(store, 'a');
    for (const name of ['b', 'c']) store.alias(node, top, name, performance.now());
    for (const name of ['a', 'b']) fs.unlinkSync(join(root, name));
    await fails(store.revalidate(node), 'ENOENT');
    assert.equal((await value(store.revalidate(node))).nlink, 1);
  });

  test(`${speed}: a file is linked by a name that still leads to it, though a newer one does not`, async (t) => {
    const root = temporaryDirectory(t);
    fs.writeFileSync(join(root, 'a'), 'meant');
    fs.linkSync(join(root, 'a'), join(root, 'b'));
    const store = await storeOver(t, root, { speed });
    const top = store.root().node;
    const node = await walk(store, 'a');
    store.alias(node, top, 'b', performance.now());
    fs.writeFileSync(join(root, 'other'), 'other');
    fs.renameSync(join(root, 'other'), join(root, 'b'));
    const found = await value(store.makeLink(node, top, 'new'));
    assert.equal(found.id, node.id);
    assert.equal(fs.readFileSync(join(root, 'new'), 'latin1'), 'meant');
    assert.equal(fs.readFileSync(join(root, 'b'), 'latin1'), 'other');
    assert.equal(fs.statSync(join(root, 'b')).nlink, 1);
  });

  test(`${speed}: names are known by their directory, not by the node it had`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'd'));
    fs.writeFileSync(join(root, 'a'), 'x');
    fs.linkSync(join(root, 'a'), join(root, 'd/b'));
    const store = await storeOver(t, root, { speed });
    const node = await walk(store, 'a');
    const before = await walk(store, 'd');
    store.alias(node, before, 'b', performance.now());
    store.release(before); // the kernel forgets it, and looks it up again
    const d = await walk(store, 'd');
    store.alias(node, d, 'b', performance.now());
    await value(store.unlink(d, 'b', node));
    assert.equal((await value(store.revalidate(node))).nlink, 1);
  });

  test(`${speed}: a directory that is moved is found where it went, whatever was thought to be there`, async (t) => {
    const root = temporaryDirectory(t);
    fs.mkdirSync(join(root, 'a'));
    fs.writeFileSync(join(root, 'a/f'), 'x');
    const store = await storeOver(t, root, { speed, maxDescriptors: 1 });
    const top = store.root().node;
    const node = await walk(store, 'a');
    await value(store.rename(top, 'a', top, 'b', 0, node, node)); // an answer from when others had it there
    assert.equal(node.path(), 'b');
    await value(store.revalidate(node));
  });

  test(`${speed}: files that lose one of two names do not hold a descriptor each`, async (t) => {
    const root = temporaryDirectory(t);
    const count = 60;
    fs.mkdirSync(join(root, 'a'));
    fs.mkdirSync(join(root, 'b'));
    for (let i = 0; i < count; i++) {
      fs.writeFileSync(join(root, `a/${i}`), `content ${i}`);
      fs.linkSync(join(root, `a/${i}`), join(root, `b/${i}`));
    }
    const store = await storeOver(t, root, { speed, maxDescriptors: 8 });
    const [a, b] = [await walk(store, 'a'), await walk(store, 'b')];
    const before = openDescriptors();
    const nodes = await Promise.all(Array.from({ length: count }, (_, i) => walk(store, `b/${i}`)));
    await Promise.all(
      nodes.map(async (node, i) => {
        if (i % 2 === 0) store.alias(node, a, String(i), performance.now());
        await value(store.unlink(b, String(i), node));
      }),
    );
    await fewerDescriptors(before + 8);
    for (let i = 0; i < count; i += 2) assert.equal(await contents(store, nodes[i]!), `content ${i}`);
    // The last name: from here on only the descriptor leads to it.
    for (const i of [0, 2]) {
      await value(store.unlink(a, String(i), nodes[i]!));
      assert.equal((await value(store.attributes(nodes[i]!))).nlink, 0);
      await fails(store.lookup(a, String(i)), 'ENOENT');
    }
    store.close(await value(store.open(nodes[0]!, O_RDONLY)));
  });
}
