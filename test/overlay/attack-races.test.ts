/** Answers of a slow store that are overtaken: by changes through the mount, by other opens, by the end of a reader. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { type Cache, openCache } from '../../src/cache/index.ts';
import type { Caller, Entry, Opened } from '../../src/overlay/filesystem.ts';
import { Overlay, type OverlayOptions } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';
import { type KernelFile, KernelModel } from '../support/kernel-model.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND } = fs.constants;
const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-races-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

interface Stage {
  source: string;
  overlay: Overlay;
  cache: Cache | undefined;
  kernel: KernelModel;
  gates: Gates;
  find(name: string): Promise<Entry>;
}

interface Setting extends Partial<OverlayOptions> {
  speed: 'inline' | 'pooled';
  cached?: boolean;
  passthrough?: boolean;
}

async function stage({ speed, cached = false, passthrough = true, ...options }: Setting): Promise<Stage> {
  const root = path.join(workspace, String(serial++));
  const source = path.join(root, 'source');
  fs.mkdirSync(source, { recursive: true });
  const store = await openPosixStore({ root: source, speed, log: silentLog });
  const gates = new Gates();
  const cache = cached
    ? await openCache({ directory: path.join(root, 'cache'), sizeBytes: 64 << 20, storeId: store.id, log: silentLog })
    : undefined;
  const overlay = new Overlay({
    store: gates.wrap(store),
    cache,
    log: silentLog,
    attributesTtlMs: 60_000,
    passthroughMinBytes: 10_000,
    timestampGranularityMs: 0,
    ...options,
  });
  after(() => overlay.stop());
  const kernel = new KernelModel(overlay, passthrough);
  const find = async (name: string): Promise<Entry> => {
    const entry = await overlay.lookup(1, name);
    assert.equal(typeof entry, 'object', `lookup of ${name}: ${String(entry)}`);
    return entry as Entry;
  };
  return { source, overlay, cache, kernel, gates, find };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (condition()) return;
    await pause(5);
  }
  assert.fail(what);
}

async function opened(reply: ReturnType<Overlay['open']>): Promise<Opened> {
  const outcome = await reply;
  assert.equal(typeof outcome, 'object', `open: ${String(outcome)}`);
  return outcome as Opened;
}

async function sizeOf(overlay: Overlay, node: number): Promise<number> {
  const reply = await overlay.getattr(node, undefined);
  assert.ok(typeof reply === 'object', `getattr: ${String(reply)}`);
  return reply.attributes.size;
}

/** Reads a directory three entries at a time; `between` runs after the first reply. */
async function listSlowly(overlay: Overlay, between: () => Promise<void>): Promise<Map<string, Entry>> {
  const directory = await overlay.opendir(1);
  assert.ok(typeof directory === 'object');
  const entries = new Map<string, Entry>();
  for (let offset = 0, round = 0; ; round++) {
    let taken = 0;
    const outcome = await overlay.readdir(1, directory.handle, offset, true, {
      add: (name, _ino, _type, next, entry) => {
        if (taken === 3) return false;
        taken++;
        offset = next;
        if (entry !== undefined) entries.set(name, entry);
        return true;
      },
    });
    assert.equal(outcome, 0);
    if (taken === 0) break;
    if (round === 0) await between();
  }
  overlay.releasedir(1, directory.handle);
  return entries;
}

// S2.10
test('a listing that goes on after a file was written tells its new size', async () => {
  const { source, overlay, find } = await stage({ speed: 'pooled' });
  for (let i = 0; i < 20; i++) fs.writeFileSync(path.join(source, `f${i}`), 'old');
  const names = fs.readdirSync(source);
  // No order of the names is promised: all but those of the first reply are written.
  const entries = await listSlowly(overlay, async () => {
    for (const name of names) {
      const { node } = await find(name);
      const { handle } = await opened(overlay.open(node, O_WRONLY, false, CALLER));
      assert.equal(await overlay.write(node, handle, 0, Buffer.from('much longer'), false, CALLER), 11);
      overlay.release(node, handle);
    }
  });
  const stale = [...entries].filter(([, { attributes }]) => attributes.size !== 11);
  assert.ok(stale.length <= 3, `${stale.length} files listed with their old size`);
  for (const name of names) assert.equal(await sizeOf(overlay, (await find(name)).node), 11);
});

// S2.10
test('a listing that goes on after a file was removed does not bring it back', async () => {
  const { source, overlay } = await stage({ speed: 'pooled' });
  for (let i = 0; i < 20; i++) fs.writeFileSync(path.join(source, `f${i}`), 'old');
  const names = fs.readdirSync(source);
  let removed = false;
  const directory = await overlay.opendir(1);
  assert.ok(typeof directory === 'object');
  const after: string[] = [];
  for (let offset = 0; ; ) {
    let taken = 0;
    await overlay.readdir(1, directory.handle, offset, true, {
      add: (name, _ino, _type, next, entry) => {
        if (taken === 3) return false;
        taken++;
        offset = next;
        if (entry !== undefined && removed) after.push(name);
        return true;
      },
    });
    if (taken === 0) break;
    if (!removed) for (const name of names) assert.equal(await overlay.unlink(1, name), 0);
    removed = true;
  }
  assert.deepEqual(after, []);
});

// S2.10
test('attributes asked for before a truncation and told after it are not believed', async () => {
  const { source, overlay, gates, find } = await stage({ speed: 'pooled', attributesTtlMs: 50 });
  fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(100));
  const { node } = await find('a');
  await pause(60);
  gates.hold('attributes');
  const asked = overlay.getattr(node, undefined);
  await until('the store was asked', () => gates.waiting('attributes') === 1);
  assert.ok(typeof (await overlay.setattr(node, { size: 7 }, undefined)) === 'object');
  gates.letGo('attributes');
  await asked;
  assert.equal(await sizeOf(overlay, node), 7);
});

test('a file that is being truncated by an open is not taken for replaced by others', async () => {
  const { source, overlay, gates, find } = await stage({
    speed: 'pooled',
    cached: true,
    passthrough: false,
    attributesTtlMs: 0,
  });
  fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(5000));
  await pause(5);
  const { node } = await find('a');
  await opened(overlay.open(node, O_RDONLY, false, CALLER)); // its reader holds a cached object
  gates.hold('attributes'); // asked for set-user-id bits: by then the file is empty
  const writer = overlay.open(node, O_WRONLY | O_TRUNC, true, CALLER);
  await until('truncated', () => gates.waiting('attributes') === 1);
  await pause(5);
  await find('a');
  gates.letGo('attributes');
  const { handle } = await opened(writer);
  assert.equal(overlay.snapshot().superseded, 0);
  await overlay.write(node, handle, 0, Buffer.from('new'), false, CALLER);
  assert.equal(await sizeOf(overlay, node), 3);
});

test('fstat of a file that is written to tells its size, though its name leads elsewhere now', async () => {
  for (const speed of ['inline', 'pooled'] as const) {
    const { source, overlay, find } = await stage({ speed, passthrough: false, attributesTtlMs: 0 });
    fs.writeFileSync(path.join(source, 'a'), 'old');
    const { node } = await find('a');
    const { handle } = await opened(overlay.open(node, O_RDWR, false, CALLER));
    fs.writeFileSync(path.join(source, 'b'), 'another file');
    fs.renameSync(path.join(source, 'b'), path.join(source, 'a'));
    assert.equal(await sizeOf(overlay, node), 3);
    await overlay.write(node, handle, 3, Buffer.from('er'), false, CALLER);
    assert.equal(await sizeOf(overlay, node), 5, speed);
    assert.notEqual((await find('a')).node, node);
    overlay.release(node, handle);
  }
});

for (const speed of ['inline', 'pooled'] as const) {
  test(`a writer that was sent back gets in, however quick readers are (${speed})`, async () => {
    const { source, overlay, kernel, find } = await stage({ speed, cached: true, attributesTtlMs: 0 });
    fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(50_000));
    await pause(5);
    let reader: KernelFile | undefined;
    for (let i = 0; i < 3000 && reader?.backingFd === undefined; i++) {
      if (reader !== undefined) kernel.close(reader);
      reader = (await kernel.open('/a', O_RDONLY)) as KernelFile;
      await kernel.read(reader, 0, 50_000);
      await pause(5);
    }
    assert.notEqual(reader?.backingFd, undefined, 'the reader has the cached object');
    const first = (await find('a')).node;
    assert.equal(await overlay.open(first, O_RDWR, false, CALLER), -Errno.ESTALE);
    const second = (await find('a')).node; // the kernel looks again
    await opened(overlay.open(second, O_RDONLY, false, CALLER)); // and so did a reader, which opens first
    const { handle } = await opened(overlay.open(second, O_RDWR, false, CALLER));
    overlay.release(second, handle);
    kernel.close(reader!);
  });
}

test('an open for appending is sent back to learn where the end is', async () => {
  const { source, overlay, kernel } = await stage({ speed: 'inline', passthrough: false });
  fs.writeFileSync(path.join(source, 'log'), '0123456789');
  await kernel.walk('/log');
  await pause(150);
  fs.appendFileSync(path.join(source, 'log'), 'OTHERS');
  const stale = overlay.snapshot().opensStale!;
  const file = (await kernel.open('/log', O_WRONLY | O_APPEND)) as KernelFile;
  assert.equal(typeof file, 'object');
  assert.equal(overlay.snapshot().opensStale, stale + 1);
  kernel.close(file);
});

// S2.4
test('with the writeback cache, which trusts its own sizes only, changed content gets a new node', async () => {
  const { source, find } = await stage({ speed: 'inline', passthrough: false, writeback: true, attributesTtlMs: 0 });
  fs.writeFileSync(path.join(source, 'a'), 'old');
  const before = await find('a');
  assert.equal((await find('a')).node, before.node);
  fs.chmodSync(path.join(source, 'a'), 0o600);
  assert.equal((await find('a')).node, before.node, 'not for attributes it does take');
  fs.writeFileSync(path.join(source, 'a'), 'longer');
  assert.notEqual((await find('a')).node, before.node);
});

test('a descriptor of the source that a fetch used last is closed when the kernel has forgotten the file', async () => {
  const { source, overlay, gates, find } = await stage({ speed: 'inline', cached: true, passthrough: false });
  fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(5000));
  await pause(5);
  const { node } = await find('a');
  const { handle } = await opened(overlay.open(node, O_RDONLY, false, CALLER));
  gates.hold('read');
  const read = overlay.read(node, handle, 0, 4096, Buffer.alloc(4096), CALLER);
  await until('the source is read', () => gates.waiting('read') === 1);
  overlay.release(node, handle); // its reader was killed
  overlay.forget(node, 1);
  gates.letGo('read');
  await read;
  await pause(20);
  assert.equal(overlay.snapshot().inodes, 1);
  assert.equal(overlay.snapshot().idleDescriptors, 0);
});

test('a look-up that a rename overtakes does not spoil the file for who opens it by its new name', async () => {
  const { source, overlay, gates, find } = await stage({ speed: 'pooled', passthrough: false });
  fs.writeFileSync(path.join(source, 'a'), 'content');
  const { node } = await find('a');
  gates.hold('lookup', 1);
  const found = overlay.lookup(1, 'a'); // as for a path whose lease has ended: without a lock on the directory
  await until('looked up', () => gates.waiting('lookup') === 1);
  assert.equal(await overlay.rename(1, 'a', 1, 'b', 0), 0);
  gates.letGo('lookup');
  await found;
  const { handle } = await opened(overlay.open(node, O_RDONLY, false, CALLER));
  overlay.release(node, handle);
  assert.equal(await overlay.unlink(1, 'b'), 0);
  const reply = await overlay.getattr(node, undefined);
  assert.ok(typeof reply === 'object', `getattr: ${String(reply)}`);
  assert.equal(reply.attributes.nlink, 0);
});

test('a read that ended where a growing file ended then is no error', async () => {
  const { source, overlay, gates, find } = await stage({ speed: 'pooled', passthrough: false, attributesTtlMs: 0 });
  fs.writeFileSync(path.join(source, 'a'), '');
  const { node } = await find('a');
  const reader = await opened(overlay.open(node, O_RDONLY, false, CALLER));
  gates.hold('read', 1);
  const read = overlay.read(node, reader.handle, 0, 4096, Buffer.alloc(4096), CALLER);
  await until('read', () => gates.waiting('read') === 1);
  fs.appendFileSync(path.join(source, 'a'), 'content');
  assert.equal(await sizeOf(overlay, node), 7);
  gates.letGo('read');
  const outcome = await read;
  assert.ok(typeof outcome === 'object', `read: ${String(outcome)}`);
  assert.equal(String(outcome.bytes), 'content');
  overlay.release(node, reader.handle);
});

test('the answer to a link that comes late does not take back what was written meanwhile', async () => {
  const { overlay, gates } = await stage({ speed: 'pooled', passthrough: false });
  const made = await overlay.create(1, 'a', 0o644, 0, O_RDWR, CALLER);
  assert.ok(typeof made === 'object');
  const { node } = made.entry;
  const { handle } = made.opened;
  gates.hold('makeLink', 1);
  const linked = overlay.link(node, 1, 'b');
  await until('linked', () => gates.waiting('makeLink') === 1);
  assert.equal(await overlay.write(node, handle, 0, Buffer.from('content'), false, CALLER), 7);
  gates.hold('attributes', 1);
  const asked = overlay.getattr(node, handle);
  await until('asked', () => gates.waiting('attributes') === 1);
  gates.letGo('makeLink');
  assert.equal(typeof (await linked), 'object');
  gates.letGo('attributes');
  const reply = await asked;
  assert.ok(typeof reply === 'object');
  assert.equal(reply.attributes.size, 7);
  overlay.release(node, handle);
});

test('a read that outlasts its handle gets its bytes', async () => {
  const { source, overlay, cache, gates, find, kernel } = await stage({
    speed: 'pooled',
    cached: true,
    passthrough: false,
  });
  fs.writeFileSync(path.join(source, 'a'), 'content');
  await pause(5);
  const warm = (await kernel.open('/a', O_RDONLY)) as KernelFile;
  assert.equal(String(await kernel.read(warm, 0, 10)), 'content');
  kernel.close(warm);
  await until('kept', () => cache?.snapshot().completeObjects === 1);
  const { node } = await find('a');
  const { handle } = await opened(overlay.open(node, O_RDONLY, false, CALLER)); // from the cache: no descriptor of its own
  const writer = await opened(overlay.open(node, O_WRONLY, false, CALLER)); // from here on the source serves it
  gates.hold('open');
  const read = overlay.read(node, handle, 0, 4096, Buffer.alloc(4096), CALLER);
  await until('the source is opened', () => gates.waiting('open') === 1);
  overlay.release(node, handle);
  gates.letGo('open');
  const outcome = await read;
  assert.ok(typeof outcome === 'object', `read: ${String(outcome)}`);
  assert.equal(String(outcome.bytes), 'content');
  overlay.release(node, writer.handle);
});

test('a file that got a second name from others while its first was removed is still asked about', async () => {
  const { source, overlay, gates, find, kernel } = await stage({ speed: 'pooled', attributesTtlMs: 0 });
  fs.writeFileSync(path.join(source, 'a'), 'one');
  const { node } = await find('a');
  gates.hold('lookup');
  const removal = overlay.unlink(1, 'a');
  await until('looked up', () => gates.waiting('lookup') === 1);
  fs.linkSync(path.join(source, 'a'), path.join(source, 'b'));
  gates.letGo('lookup');
  assert.equal(await removal, 0);
  assert.equal((await find('b')).node, node);
  fs.writeFileSync(path.join(source, 'c'), 'two');
  fs.renameSync(path.join(source, 'c'), path.join(source, 'b'));
  assert.equal(await overlay.open(node, O_RDONLY, false, CALLER), -Errno.ESTALE);
  const file = (await kernel.open('/b', O_RDONLY)) as KernelFile;
  assert.equal(String(await kernel.read(file, 0, 10)), 'two');
  kernel.close(file);
});

// S6.4
test('a writer of a set-user-id file is not let past the daemon by a reader who is', async () => {
  const { source, kernel, overlay } = await stage({ speed: 'inline' });
  fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(50_000));
  fs.chmodSync(path.join(source, 'a'), 0o4755);
  const reader = (await kernel.open('/a', O_RDONLY)) as KernelFile;
  assert.notEqual(reader.backingFd, undefined);
  const writer = (await kernel.open('/a', O_RDWR)) as KernelFile;
  assert.equal(writer.backingFd, undefined);
  assert.equal(await overlay.write(writer.node, writer.handle, 0, Buffer.from('y'), true, CALLER), 1);
  assert.equal(fs.statSync(path.join(source, 'a')).mode & 0o7777, 0o755);
  kernel.close(writer);
  kernel.close(reader);
});

test('a file made by an open is known by its attributes for the whole lease', async () => {
  const { overlay } = await stage({ speed: 'pooled', passthrough: false });
  const made = await overlay.create(1, 'a', 0o644, 0, O_WRONLY, CALLER);
  assert.ok(typeof made === 'object');
  assert.ok(made.entry.attributesTtlMs > 50_000);
});

test('a look-up that a write overtakes tells what the file was then, not what it was long ago', async () => {
  const { source, overlay, gates, find } = await stage({ speed: 'pooled', passthrough: false });
  fs.writeFileSync(path.join(source, 'a'), '');
  const { node } = await find('a');
  const { handle } = await opened(overlay.open(node, O_WRONLY, false, CALLER));
  await overlay.write(node, handle, 0, Buffer.from('0123456789'), false, CALLER);
  gates.hold('lookup');
  const found = find('a');
  await until('looked up', () => gates.waiting('lookup') === 1);
  await pause(2);
  const writing = overlay.write(node, handle, 0, Buffer.from('x'), false, CALLER);
  gates.letGo('lookup');
  const entry = await found;
  assert.equal(entry.attributes.size, 10);
  assert.equal(entry.attributesTtlMs, 0);
  await writing;
  overlay.release(node, handle);
});

for (const speed of ['inline', 'pooled'] as const) {
  // S2.10, S5.1
  test(`chmod of a file whose readers have the cached object shows at once (${speed})`, async () => {
    const { source, overlay, kernel, find } = await stage({ speed, cached: true });
    fs.writeFileSync(path.join(source, 'a'), 'x'.repeat(50_000));
    await pause(5);
    let reader: KernelFile | undefined;
    for (let i = 0; i < 3000 && reader?.backingFd === undefined; i++) {
      if (reader !== undefined) kernel.close(reader);
      reader = (await kernel.open('/a', O_RDONLY)) as KernelFile;
      await kernel.read(reader, 0, 50_000);
      await pause(5);
    }
    assert.notEqual(reader?.backingFd, undefined, 'the reader has the cached object');
    const { node } = reader!; // the name leads to it for a lease
    assert.ok(typeof (await overlay.setattr(node, { mode: 0o600 }, undefined)) === 'object');
    const reply = await overlay.getattr(node, undefined);
    assert.ok(typeof reply === 'object');
    assert.equal(reply.attributes.mode & 0o7777, 0o600);
    assert.equal(reply.attributes.size, 50_000);
    fs.appendFileSync(path.join(source, 'a'), 'more');
    await pause(1010);
    assert.equal(await sizeOf(overlay, node), 50_000, 'the size of the bytes its holders have');
    assert.equal((await find('a')).attributes.size, 50_004);
    kernel.close(reader!);
  });
}
