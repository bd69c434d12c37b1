/** What prefetching asks of the overlay: files by their paths, and their bytes brought as for a reader. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cache, openCache } from '../../src/cache/index.ts';
import { Core } from '../../src/overlay/core.ts';
import { opendir, readdir, releasedir } from '../../src/overlay/directory.ts';
import { type OpenedDirectory, ROOT } from '../../src/overlay/filesystem.ts';
import type { Inode } from '../../src/overlay/inode.ts';
import { OverlayPrefetchHost } from '../../src/overlay/prefetch-host.ts';
import type { HeldFile } from '../../src/prefetch/host.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { Errno, type Outcome } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const MIB = 1 << 20;
const UNSETTLED_MS = 60;
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-host-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

interface Stage {
  source: string;
  core: Core;
  cache: Cache;
  host: OverlayPrefetchHost;
  gates: Gates;
}

async function onHost(files: Readonly<Record<string, number>>, body: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = path.join(workspace, String(serial++));
  const source = path.join(directory, 'source');
  fs.mkdirSync(path.join(directory, 'cache'), { recursive: true });
  for (const [name, size] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(source, name)), { recursive: true });
    fs.writeFileSync(path.join(source, name), Buffer.alloc(size, name));
  }
  await sleep(UNSETTLED_MS);
  const gates = new Gates();
  const store = gates.wrap(await openPosixStore({ root: source, speed: 'pooled', log: silentLog }));
  const cache = await openCache({
    directory: path.join(directory, 'cache'),
    sizeBytes: 256 * MIB,
    reserveBytes: 0,
    storeId: store.id,
    log: silentLog,
    rules: { pin: [], neverCache: ['never'] },
  });
  const core = new Core({
    store,
    cache,
    log: silentLog,
    attributesTtlMs: 1000,
    passthroughMinBytes: MIB,
    hiddenInRoot: '.mlo',
  });
  const host = new OverlayPrefetchHost(core, cache, (node) => core.forget(node, 1));
  try {
    await body({ source, core, cache, host, gates });
    host.stop();
    assert.equal(core.inodes.size, 1, 'nothing but the root is held in the end');
  } finally {
    core.inodes.stop();
    core.metadata?.stop();
    await cache.shutdown();
    await store.shutdown();
  }
}

async function held(found: Promise<Outcome<HeldFile>>): Promise<HeldFile> {
  const file = await found;
  assert.ok(typeof file === 'object', String(file));
  return file;
}

test('a file is found by its path; what is none, or never cached, says so', async () => {
  await onHost({ 'a/file': 10, 'never/file': 10 }, async ({ source, host }) => {
    fs.symlinkSync('a/file', path.join(source, 'link'));
    const file = await held(host.hold('a/file'));
    assert.equal(file.size, 10);
    file.release();
    assert.equal(await host.hold('a/none'), -Errno.ENOENT);
    assert.equal(await host.hold('a'), -Errno.EISDIR);
    assert.equal(await host.hold('link'), -Errno.ELOOP);
    assert.equal(await host.hold('a/file/more'), -Errno.ENOTDIR);
    assert.equal(await host.hold('never/file'), -Errno.EPERM);
  });
});

// S10.2
test('what listing the root ahead has brought shows a reader nothing that the mount hides', async () => {
  await onHost({ '.mlo/stats': 10, 'd/.mlo': 10, a: 10 }, async ({ core, host }) => {
    assert.deepEqual(await host.list(''), { files: ['a'], directories: ['d'] });
    const opened = (await opendir(core, ROOT, 0)) as OpenedDirectory;
    const names: string[] = [];
    await readdir(core, opened.handle, 0, false, { add: (name) => names.push(name) > 0 }, 0);
    releasedir(core, opened.handle);
    assert.deepEqual(names.sort(), ['.', '..', 'a', 'd']);
    assert.deepEqual(await host.list('d'), { files: ['.mlo'], directories: [] });
  });
});

test('a range comes in pieces, each byte once; what is there is not brought again', async () => {
  await onHost({ large: 9 * MIB + 1234, small: 5000 }, async ({ host }) => {
    const large = await held(host.hold('large'));
    const first = await large.fill(3 * MIB + 5, 4 * MIB);
    assert.ok(first >= 4 * MIB && first <= 6 * MIB, `whole chunks: ${first}`);
    assert.equal(await large.fill(3 * MIB + 5, 4 * MIB), 0);
    assert.equal(first + (await large.fill(0, large.size)), large.size);
    assert.equal(large.missingBytes(0, large.size), 0);
    large.release();
    const small = await held(host.hold('small'));
    assert.equal(await small.fill(0, small.size), 5000);
    assert.equal(await small.fill(0, 0), 0);
    small.release();
  });
});

test('a store that fails when it is asked whether a file is what it was costs nothing that was kept', async () => {
  await onHost({ file: 3 * MIB }, async ({ core, cache, host }) => {
    const file = await held(host.hold('file'));
    const key = core.inodes.awakeOf(file.fileKey)!.contentKey();
    const first = await file.fill(0, MIB);
    assert.equal(cache.presentBytes(key), first);
    const { attributes } = core.store;
    core.store.attributes = async () => -Errno.ETIMEDOUT;
    assert.equal(await file.fill(0, 3 * MIB), -Errno.ETIMEDOUT);
    assert.equal(cache.presentBytes(key), first);
    core.store.attributes = async () => -Errno.ESTALE;
    assert.equal(await file.fill(0, 3 * MIB), -Errno.ESTALE);
    assert.equal(cache.presentBytes(key), 0, 'it is another file now');
    core.store.attributes = attributes;
    file.release();
  });
});

for (const { what, change, outcome } of [
  {
    what: 'goes on to other content',
    change: (inode: Inode) => Object.assign(inode, { version: 'another' }),
    outcome: Errno.ESTALE,
  },
  {
    what: 'is opened by a writer',
    change: (inode: Inode) => Object.assign(inode, { writersComing: 1 }),
    outcome: Errno.EBUSY,
  },
]) {
  test(`of a file that ${what} while it is opened here nothing is kept`, async () => {
    await onHost({ file: 5000 }, async ({ core, cache, host, gates }) => {
      const file = await held(host.hold('file'));
      const inode = core.inodes.awakeOf(file.fileKey)!;
      const key = inode.contentKey();
      gates.hold('open');
      const filled = file.fill(0, file.size);
      while (gates.waiting('open') === 0) await new Promise(setImmediate);
      change(inode);
      gates.letGo('open');
      assert.equal(await filled, -outcome);
      assert.equal(cache.presentBytes(key), 0);
      assert.equal(inode.source.users, 0);
      file.release();
    });
  });
}
