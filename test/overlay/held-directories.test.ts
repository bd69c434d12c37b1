/** Directories by their paths: found once, found anew when they are elsewhere, and given back. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { Core } from '../../src/overlay/core.ts';
import type { Held } from '../../src/overlay/held.ts';
import { HeldDirectories, splitPath } from '../../src/overlay/held-directories.ts';
import { rename } from '../../src/overlay/names.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const ENOENT = -2;
const ENOTDIR = -20;
const ELOOP = -40;
const KEPT_MOST = 4096;
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-held-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

async function stage(paths: readonly string[]) {
  const source = path.join(workspace, String(serial++));
  for (const name of paths) fs.mkdirSync(path.join(source, name), { recursive: true });
  const opened = await openPosixStore({ root: source, speed: 'pooled', readOnly: false, log: silentLog });
  const lookup = opened.lookup.bind(opened);
  const asked: string[] = [];
  opened.lookup = (node, name) => {
    asked.push(name);
    return lookup(node, name);
  };
  const gates = new Gates();
  const store = gates.wrap(opened);
  const core = new Core({
    store,
    cache: undefined,
    log: silentLog,
    attributesTtlMs: 60_000,
    passthroughMinBytes: Number.POSITIVE_INFINITY,
    timestampGranularityMs: 0,
  });
  const directories = (believing: boolean) =>
    new HeldDirectories({ core, believing, forget: (node) => core.forget(node, 1) });
  return { source, core, gates, asked, directories };
}

function held(outcome: Held | number): Held {
  assert.ok(typeof outcome === 'object', String(outcome));
  return outcome;
}

test('a path is a directory and a name in it', () => {
  assert.deepEqual(splitPath('a/b/c'), { directory: 'a/b', name: 'c' });
  assert.deepEqual(splitPath('c'), { directory: '', name: 'c' });
});

test('a directory is asked for once, and nothing is held of it in the end', async () => {
  const { core, asked, directories } = await stage(['a/b/c', 'a/b/d']);
  const some = directories(false);
  for (let i = 0; i < 3; i++) held(await some.directory('a/b/c')).release();
  held(await some.directory('a/b/d')).release();
  assert.deepEqual(asked, ['a', 'b', 'c', 'd']);
  assert.equal(core.inodes.size, 5);
  some.stop();
  assert.equal(core.inodes.size, 1, 'the root');
});

test('what is not there, no directory, or a symbolic link, is said to be that', async () => {
  const { core, source, directories } = await stage(['a']);
  fs.writeFileSync(path.join(source, 'file'), '');
  fs.symlinkSync('a', path.join(source, 'link'));
  const some = directories(false);
  assert.equal(await some.directory('none'), ENOENT);
  assert.equal(await some.directory('file/b'), ENOTDIR);
  assert.equal(await some.directory('link'), ELOOP);
  assert.equal(core.inodes.size, 1);
});

test('one that was moved through the mount is looked for anew', async () => {
  const { core, source, directories } = await stage(['a/old', 'b']);
  const some = directories(false);
  const before = held(await some.directory('a/old'));
  const above = held(await some.directory('a'));
  const b = held(await some.directory('b'));
  assert.equal(await rename(core, above.inode.nodeId, 'old', b.inode.nodeId, 'new', 0), 0);
  fs.mkdirSync(path.join(source, 'a/old'));
  const now = held(await some.directory('a/old'));
  assert.notEqual(now.inode, before.inode);
  const moved = held(await some.directory('b/new'));
  assert.equal(moved.inode, before.inode);
  for (const one of [before, above, b, now, moved]) one.release();
  some.stop();
  assert.equal(core.inodes.size, 1);
});

test('one that is doubted is asked for again', async () => {
  const { asked, directories } = await stage(['a']);
  const some = directories(false);
  held(await some.directory('a')).release();
  some.doubt('a');
  held(await some.directory('a')).release();
  assert.deepEqual(asked, ['a', 'a']);
  some.stop();
});

test('names that are known are asked for again only by who does not believe them', async () => {
  const { core, asked, directories } = await stage(['a']);
  await core.metadata!.namesAhead(core.inodes.root);
  const believing = directories(true);
  held(await believing.directory('a')).release();
  assert.deepEqual(asked, ['a']);
  believing.doubt('a');
  held(await believing.directory('a')).release();
  assert.deepEqual(asked, ['a'], 'within the lease');
  const asking = directories(false);
  held(await asking.directory('a')).release();
  assert.deepEqual(asked, ['a', 'a']);
  believing.stop();
  asking.stop();
});

test('one that is found after the end is not kept; two that look for the same keep it once', async () => {
  const { core, gates, directories } = await stage(['a', 'b']);
  const some = directories(false);
  gates.hold('lookup');
  const both = [some.directory('a'), some.directory('a')];
  while (gates.waiting('lookup') < 2) await new Promise(setImmediate);
  gates.letGo('lookup');
  for (const one of await Promise.all(both)) held(one).release();
  gates.hold('lookup');
  const late = some.directory('b');
  while (gates.waiting('lookup') < 1) await new Promise(setImmediate);
  some.stop();
  gates.letGo('lookup');
  held(await late).release();
  assert.equal(core.inodes.size, 1);
});

test('so many are kept and no more, those used last', async () => {
  const names = Array.from({ length: KEPT_MOST + 10 }, (_, at) => `d${at}`);
  const { core, asked, directories } = await stage(names);
  const some = directories(false);
  for (const name of names) {
    held(await some.directory(name)).release();
    held(await some.directory('d0')).release();
  }
  assert.equal(core.inodes.size, KEPT_MOST + 1);
  assert.equal(asked.length, names.length);
  held(await some.directory('d1')).release();
  assert.equal(asked.length, names.length + 1);
  some.stop();
});
