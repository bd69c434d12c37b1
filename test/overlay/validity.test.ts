/** When what was read of a file may be used again, and when not: the rules of SEMANTICS.md, without a mount. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { type Cache, openCache } from '../../src/cache/index.ts';
import type { CacheObject } from '../../src/cache/object.ts';
import type { AttributesReply, Caller, Entry, Opened } from '../../src/overlay/filesystem.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Found, Store } from '../../src/store/store.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { type KernelFile, KernelModel } from '../support/kernel-model.ts';

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-validity-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;
const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };

interface Stage {
  source: string;
  kernel: KernelModel;
  overlay: Overlay;
  store: Store;
  cache: Cache | undefined;
  read(name: string): Promise<string>;
}

async function stage(options: { cache: boolean; ttlMs: number; speed: 'inline' | 'pooled' }): Promise<Stage> {
  const root = path.join(workspace, String(serial++));
  const source = path.join(root, 'source');
  fs.mkdirSync(source, { recursive: true });
  const store = await openPosixStore({ root: source, speed: options.speed, log: silentLog });
  const cache = options.cache
    ? await openCache({ directory: path.join(root, 'cache'), sizeBytes: 64 << 20, storeId: store.id, log: silentLog })
    : undefined;
  const overlay = new Overlay({
    store,
    cache,
    log: silentLog,
    attributesTtlMs: options.ttlMs,
    passthroughMinBytes: 1 << 20,
    timestampGranularityMs: 0,
  });
  after(() => overlay.stop());
  const kernel = new KernelModel(overlay, true);
  const read = async (name: string): Promise<string> => {
    const file = await kernel.open(`/${name}`, fs.constants.O_RDONLY);
    assert.equal(typeof file, 'object', `open: ${String(file)}`);
    const bytes = await kernel.read(file as KernelFile, 0, 4 << 20);
    kernel.close(file as KernelFile);
    assert.ok(Buffer.isBuffer(bytes), `read: ${String(bytes)}`);
    return bytes.toString('latin1');
  };
  return { source, kernel, overlay, store, cache, read };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The cache records what it fetched a moment after it was handed out. */
async function untilCached(overlay: Overlay, source: string, read: () => Promise<string>): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    const before = overlay.snapshot().readsLate;
    await pause(10);
    await read();
    if (overlay.snapshot().readsLate === before) return;
  }
  assert.fail(`${source} was not cached`);
}

for (const cache of [false, true]) {
  const how = cache ? 'cached' : 'not cached';

  // S2.3, S2.4
  test(`a file rewritten in place with the same size and mtime is read anew by the next open (${how})`, async () => {
    const { source, read } = await stage({ cache, ttlMs: 0, speed: 'inline' });
    const write = (text: string): void => {
      fs.writeFileSync(path.join(source, 'a'), text);
      fs.utimesSync(path.join(source, 'a'), 1_700_000_000, 1_700_000_000);
    };
    write('one');
    assert.equal(await read('a'), 'one');
    assert.equal(await read('a'), 'one');
    await pause(5);
    write('two');
    assert.equal(await read('a'), 'two');
  });

  test(`pages are kept from open to open while the file is unchanged (${how})`, async () => {
    const { source, overlay, read } = await stage({ cache, ttlMs: 0, speed: 'inline' });
    fs.writeFileSync(path.join(source, 'a'), 'one');
    await pause(5);
    await read('a');
    const { reads } = overlay.snapshot();
    await read('a');
    assert.equal(overlay.snapshot().reads, reads, 'the second open needs no READ');
    assert.equal(overlay.snapshot().opensKeptPages, 1);
  });

  // S2.5, S2.6
  test(`an open file that is replaced at the source keeps its bytes, a new open has the new ones (${how})`, async () => {
    const { source, kernel, read } = await stage({ cache, ttlMs: 0, speed: 'inline' });
    fs.writeFileSync(path.join(source, 'a'), 'old');
    const file = (await kernel.open('/a', fs.constants.O_RDONLY)) as KernelFile;
    fs.writeFileSync(path.join(source, 'b'), 'newer');
    fs.renameSync(path.join(source, 'b'), path.join(source, 'a'));
    assert.equal(await read('a'), 'newer');
    assert.equal(String(await kernel.read(file, 0, 100)), 'old');
    kernel.close(file);
  });
}

test('within the lease a cached file is opened and read without a word to the store', async () => {
  const { source, kernel, overlay, read } = await stage({ cache: true, ttlMs: 60_000, speed: 'pooled' });
  fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(100_000));
  await pause(5);
  await read('a');
  kernel.forgetPages();
  await untilCached(overlay, 'a', async () => {
    kernel.forgetPages();
    return read('a');
  });
  fs.renameSync(source, `${source}.away`); // nothing can be asked of it now
  kernel.forgetPages();
  assert.equal((await read('a')).length, 100_000);
  fs.renameSync(`${source}.away`, source);
});

// S2.2
test('after the lease a changed file is read anew, though it was cached', async () => {
  const { source, kernel, overlay, read } = await stage({ cache: true, ttlMs: 30, speed: 'pooled' });
  fs.writeFileSync(path.join(source, 'a'), 'old '.repeat(1000));
  await pause(5);
  await untilCached(overlay, 'a', async () => {
    kernel.forgetPages();
    return read('a');
  });
  fs.writeFileSync(path.join(source, 'a'), 'new!'.repeat(1000));
  await pause(40);
  assert.equal(await read('a'), 'new!'.repeat(1000));
});

// S2.5, S2.6, S3.7
test('a large file that is cached whole is handed to the kernel, and keeps its bytes while it is open', async () => {
  const { source, kernel, overlay, read } = await stage({ cache: true, ttlMs: 0, speed: 'inline' });
  const old = 'o'.repeat(2 << 20);
  fs.writeFileSync(path.join(source, 'big'), old);
  await pause(5);
  const file = await openInPassthrough(kernel, read);
  await pause(5);
  fs.writeFileSync(path.join(source, 'big'), 'n'.repeat(3 << 20));
  assert.equal((await read('big')).slice(0, 3), 'nnn');
  assert.equal(String(await kernel.read(file, 0, 4 << 20)), old, 'the open handle has what it opened');
  assert.equal(overlay.snapshot().superseded, 1);
  kernel.close(file);
});

/** Opens /big once all of it is there. */
async function openInPassthrough(kernel: KernelModel, read: Stage['read']): Promise<KernelFile> {
  await read('big');
  for (let i = 0; i < 3000; i++) {
    await pause(10);
    const file = (await kernel.open('/big', fs.constants.O_RDONLY)) as KernelFile;
    if (file.backingFd !== undefined) return file;
    kernel.close(file);
  }
  assert.fail('no passthrough, though every byte is there');
}

test('an object that is found damaged while the kernel has it serves nobody else', async () => {
  const { source, kernel, overlay, store, cache, read } = await stage({ cache: true, ttlMs: 0, speed: 'inline' });
  const bytes = 'b'.repeat(2 << 20);
  fs.writeFileSync(path.join(source, 'big'), bytes);
  await pause(5);
  const file = await openInPassthrough(kernel, read);
  fs.writeFileSync(`/proc/self/fd/${file.backingFd}`, 'damaged', { flag: 'r+' });
  const { id, attributes } = (await store.lookup(store.root().node, 'big')) as Found;
  const key = { file: String(id), version: store.version(attributes), size: attributes.size };
  const object = cache!.acquire(key) as CacheObject;
  object.damaged(0);
  object.release();

  assert.equal(await read('big'), bytes);
  assert.equal(overlay.snapshot().superseded, 1);
  const again = await openInPassthrough(kernel, read);
  assert.equal(String(await kernel.read(again, 0, 4 << 20)), bytes, 'it is handed to the kernel anew');
  kernel.close(again);
  kernel.close(file);
  assert.equal(await read('big'), bytes);
});

test('nobody who opens a file that has no pages yet waits for those that another has a READ under way for', async () => {
  const { source, overlay } = await stage({ cache: false, ttlMs: 0, speed: 'inline' });
  fs.writeFileSync(path.join(source, 'a'), 'content');
  await pause(5);
  const { node } = (await overlay.lookup(1, 'a')) as Entry;
  const open = async (): Promise<Opened> => (await overlay.open(node, fs.constants.O_RDONLY, false, CALLER)) as Opened;
  const [first, second] = [await open(), await open()];
  assert.deepEqual([first.keepCache, second.keepCache], [true, true]);
  overlay.release(node, first.handle);
  overlay.release(node, second.handle);
  fs.writeFileSync(path.join(source, 'a'), 'other content');
  await pause(5);
  assert.equal((await open()).keepCache, false, 'but pages of other content are dropped');
});

// S5.3
test('a change of a file that the kernel writes to by itself is told, and not to be believed after', async () => {
  const { kernel, overlay } = await stage({ cache: false, ttlMs: 60_000, speed: 'pooled' });
  const file = (await kernel.create('/a', fs.constants.O_RDWR)) as KernelFile;
  assert.notEqual(file.backingFd, undefined);
  const reply = (await overlay.setattr(file.node, { size: 10 }, file.handle)) as AttributesReply;
  assert.deepEqual([reply.attributes.size, reply.ttlMs], [10, 0]);
  kernel.close(file);
  const after = (await overlay.setattr(file.node, { size: 20 }, undefined)) as AttributesReply;
  assert.deepEqual([after.attributes.size, after.ttlMs], [20, 60_000]);
});
