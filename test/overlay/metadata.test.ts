/** What is known of names before the kernel asks: how often the store is asked, and that nothing is told for too long. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import type { Caller, Entry } from '../../src/overlay/filesystem.ts';
import { Overlay, type OverlayOptions } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { DirectoryEntry, Store } from '../../src/store/store.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const { O_RDONLY, O_WRONLY } = fs.constants;
const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const OTHER: Caller = { ...CALLER, pid: 1 };
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-metadata-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

class Stage {
  readonly source: string;
  readonly overlay: Overlay;
  readonly gates = new Gates();
  /** Names that the store was asked for. */
  readonly asked: string[] = [];
  lists = 0;

  private constructor(source: string, store: Store, options: Partial<OverlayOptions>) {
    this.source = source;
    this.overlay = new Overlay({
      store: this.gates.wrap(this.#counting(store)),
      cache: undefined,
      log: silentLog,
      attributesTtlMs: 60_000,
      passthroughMinBytes: Number.POSITIVE_INFINITY,
      timestampGranularityMs: 0,
      ...options,
    });
    after(() => this.overlay.stop());
  }

  static async open(
    files: number,
    options: Partial<OverlayOptions> = {},
    instead: (store: Store) => Partial<Store> = () => ({}),
  ): Promise<Stage> {
    const source = path.join(workspace, String(serial++));
    fs.mkdirSync(source);
    for (let i = 0; i < files; i++) fs.writeFileSync(path.join(source, `f${i}`), 'old');
    const store = await openPosixStore({ root: source, speed: 'pooled', log: silentLog });
    return new Stage(source, Object.assign(store, instead(store)), options);
  }

  #counting(store: Store): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          if (name === 'lookup') this.asked.push(args[1] as string);
          if (name === 'list') this.lists++;
          return member.apply(target, args) as unknown;
        };
      },
    });
  }

  async opendir(): Promise<number> {
    const opened = await this.overlay.opendir(1, CALLER);
    assert.ok(typeof opened === 'object', `opendir: ${String(opened)}`);
    return opened.handle;
  }

  /** Reads on from an offset; `most` entries, of which it returns those told with attributes. */
  async read(handle: number, offset = 0, most = Number.POSITIVE_INFINITY): Promise<Map<string, Entry | undefined>> {
    const entries = new Map<string, Entry | undefined>();
    const sink = {
      add: (name: string, _ino: bigint, _type: number, _next: number, entry: Entry | undefined): boolean => {
        if (entries.size === most) return false;
        entries.set(name, entry);
        return true;
      },
    };
    assert.equal(await this.overlay.readdir(1, handle, offset, true, sink, CALLER), 0);
    return entries;
  }

  /** Reads the root from end to end. */
  async list(): Promise<Map<string, Entry | undefined>> {
    const handle = await this.opendir();
    const entries = await this.read(handle);
    this.overlay.releasedir(1, handle);
    return entries;
  }

  async lookup(name: string, caller = CALLER): Promise<Entry> {
    const entry = await this.overlay.lookup(1, name, caller);
    assert.ok(typeof entry === 'object', `lookup of ${name}: ${String(entry)}`);
    return entry;
  }

  counted() {
    const counted = this.overlay.metadata();
    assert.ok(counted !== undefined);
    return counted;
  }

  /** Until every look-up that was made waits at its gate. */
  async allWait(): Promise<void> {
    await until('at the gate', () => this.gates.waiting('lookup') === this.asked.length);
  }

  /** Until everything was looked up that is looked up ahead of nobody. */
  async ahead(count: number): Promise<void> {
    await until(`${count} entries known`, () => this.counted().entries === count);
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (condition()) return;
    await pause(5);
  }
  assert.fail(what);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

test('a directory that is listed has all its entries asked for, each once, and look-ups meet that', async () => {
  const stage = await Stage.open(200);
  stage.gates.hold('lookup');
  const names = [...(await stage.list()).keys()].filter((name) => name.startsWith('f'));
  assert.equal(names.length, 200, 'names do not wait for look-ups');
  await until('many at once', () => stage.asked.length >= 16);
  const waiting = names.map((name) => stage.lookup(name)); // some of them under way, some not
  await stage.allWait();
  stage.gates.letGo('lookup');
  for (const entry of await Promise.all(waiting)) assert.equal(entry.attributes.size, 3);
  assert.deepEqual([...stage.asked].sort(), names.sort(), 'each was asked for once');
  const { hits, misses, aheadRequests, aheadUsed } = stage.counted();
  assert.equal(hits + misses, 200);
  assert.equal(aheadUsed, aheadRequests, 'nothing was looked up for nobody');
});

test('what is known is told with the names, and the directory is listed once within the lease', async () => {
  const stage = await Stage.open(50);
  await stage.list();
  await stage.ahead(50);
  const again = await stage.list();
  for (let i = 0; i < 50; i++) assert.equal(again.get(`f${i}`)?.attributes.size, 3, `f${i}`);
  assert.equal(stage.lists, 1);
  assert.equal(stage.asked.length, 50);
});

// S2.2
test('a name that is made at the source while the names are under way is shown after the lease', async () => {
  const stage = await Stage.open(3, { attributesTtlMs: 100 });
  stage.gates.hold('list');
  const listing = stage.list();
  await until('the names read', () => stage.gates.waiting('list') === 1);
  fs.writeFileSync(path.join(stage.source, 'new'), 'new');
  await pause(120);
  await stage.overlay.getattr(1, undefined, CALLER); // tells of the directory as it is with the new name
  stage.gates.letGo('list');
  assert.equal((await listing).has('new'), false);
  await pause(120);
  assert.equal((await stage.list()).has('new'), true);
});

// S2.10
for (const [call, method, shown, change] of [
  ['mkdir', 'makeDirectory', ['f0', 'f1', 'new'], ({ overlay }) => overlay.mkdir(1, 'new', 0o755, 0, CALLER)],
  ['create', 'create', ['f0', 'f1', 'new'], ({ overlay }) => overlay.create(1, 'new', 0o644, 0, O_WRONLY, CALLER)],
  ['unlink', 'unlink', ['f1'], ({ overlay }) => overlay.unlink(1, 'f0', CALLER)],
  ['rename', 'rename', ['f0'], ({ overlay }) => overlay.rename(1, 'f1', 1, 'f0', 0, CALLER)],
  [
    'link',
    'makeLink',
    ['f0', 'f1', 'new'],
    async (stage) => stage.overlay.link((await stage.lookup('f0')).node, 1, 'new', CALLER),
  ],
] as [string, keyof Store, string[], (stage: Stage) => unknown][]) {
  test(`${call}: a change that was made ends what is remembered, though it was answered with an error`, async () => {
    const stage = await Stage.open(2, {}, (store) => {
      const make = (store[method] as (...args: unknown[]) => unknown).bind(store);
      const failing = async (...args: unknown[]): Promise<number> => {
        await make(...args);
        return -Errno.EIO;
      };
      return { [method]: failing };
    });
    await stage.list();
    await stage.ahead(2);
    assert.equal(await change(stage), -Errno.EIO);
    const names = [...(await stage.list()).keys()].filter((name) => !name.startsWith('.'));
    assert.deepEqual(names.sort(), shown);
  });
}

test('a change that the source refuses has nothing asked again', async () => {
  const stage = await Stage.open(2);
  await stage.list();
  await stage.ahead(2);
  assert.equal(await stage.overlay.mkdir(1, 'f0', 0o755, 0, CALLER), -Errno.EEXIST);
  assert.equal((await stage.list()).size, 4);
  assert.equal(stage.lists, 1);
});

test('a directory that is only opened has nothing looked up', async () => {
  const stage = await Stage.open(20);
  stage.overlay.releasedir(1, await stage.opendir());
  await pause(50);
  assert.deepEqual(stage.asked, []);
});

test('a directory that is closed before its end has nothing more looked up', async () => {
  const stage = await Stage.open(300);
  stage.gates.hold('lookup');
  const handle = await stage.opendir();
  await stage.read(handle, 0, 5);
  await until('the first', () => stage.asked.length >= 4);
  stage.overlay.releasedir(1, handle);
  const before = stage.asked.length;
  await stage.allWait();
  stage.gates.letGo('lookup');
  await stage.ahead(before);
  await pause(50);
  assert.equal(stage.asked.length, before);
});

// S2.2, S5.1
test('what has expired is asked again in bulk, when a directory that is opened again is asked about', async () => {
  const stage = await Stage.open(100, { attributesTtlMs: 500 });
  const handle = await stage.opendir();
  const names = [...(await stage.read(handle)).keys()].filter((name) => name.startsWith('f'));
  stage.overlay.releasedir(1, handle);
  await stage.ahead(100);
  await pause(600);
  for (const name of names) fs.writeFileSync(path.join(stage.source, name), 'changed');
  stage.asked.length = 0;
  stage.overlay.releasedir(1, await stage.opendir());
  assert.deepEqual(stage.asked, [], 'the kernel may have no need of it');
  assert.equal((await stage.lookup(names[3]!)).attributes.size, 7);
  await until('those after it', () => stage.asked.length >= 10);
  assert.equal(stage.lists, 1);
  assert.equal((await stage.lookup(names[4]!)).attributes.size, 7);
});

test('without a listing or an opening a look-up has nothing else asked', async () => {
  const stage = await Stage.open(100, { attributesTtlMs: 300 });
  await stage.list();
  await stage.ahead(100);
  await pause(400);
  stage.asked.length = 0;
  await stage.lookup('f7');
  await pause(50);
  assert.deepEqual(stage.asked, ['f7']);
});

// S2.10
test('a file that was written and then forgotten by the kernel is not told as it was before', async () => {
  const stage = await Stage.open(10);
  await stage.list();
  await stage.ahead(10);
  const { node } = await stage.lookup('f1');
  const opened = await stage.overlay.open(node, O_WRONLY, false, CALLER);
  assert.ok(typeof opened === 'object');
  assert.equal(await stage.overlay.write(node, opened.handle, 0, Buffer.from('longer'), false, CALLER), 6);
  stage.overlay.release(node, opened.handle);
  stage.overlay.forget(node, 1);
  assert.equal(stage.overlay.snapshot().inodes, 1, 'only the root is known');
  assert.equal((await stage.lookup('f1')).attributes.size, 6, 'when it was forgotten');
  assert.equal((await stage.list()).get('f1')?.attributes.size ?? 6, 6, 'in a listing');
});

// S3.6
test('a file that is open for writing is asked about each time: the kernel may write to it past the daemon', async () => {
  const stage = await Stage.open(10);
  await stage.list();
  await stage.ahead(10);
  const { node } = await stage.lookup('f1');
  const opened = await stage.overlay.open(node, O_WRONLY, false, CALLER);
  assert.ok(typeof opened === 'object');
  assert.equal((await stage.lookup('f1')).attributes.size, 3);
  fs.writeFileSync(path.join(stage.source, 'f1'), 'much longer');
  assert.equal((await stage.lookup('f1')).attributes.size, 11);
  stage.overlay.release(node, opened.handle);
});

// S2.10, S4.7
test('names that were changed through the mount are not told as they were before', async () => {
  const stage = await Stage.open(10);
  await stage.list();
  await stage.ahead(10);
  assert.equal(await stage.overlay.rename(1, 'f1', 1, 'f2', 0, CALLER), 0);
  assert.equal(await stage.overlay.lookup(1, 'f1', CALLER), -Errno.ENOENT);
  assert.equal(await stage.overlay.unlink(1, 'f3', CALLER), 0);
  assert.equal(await stage.overlay.lookup(1, 'f3', CALLER), -Errno.ENOENT);
  const names = [...(await stage.list()).keys()].filter((name) => name.startsWith('f'));
  assert.equal(names.length, 8);
});

test('a look-up under way is not told when the name was changed before it came', async () => {
  const stage = await Stage.open(3);
  stage.gates.hold('lookup', 3);
  await stage.list();
  await until('under way', () => stage.gates.waiting('lookup') === 3);
  assert.equal(await stage.overlay.unlink(1, 'f1', CALLER), 0);
  const found = stage.overlay.lookup(1, 'f1', CALLER);
  stage.gates.letGo('lookup');
  assert.equal(await found, -Errno.ENOENT);
});

test('the number of links is not told as it was before another name was made or removed', async () => {
  const stage = await Stage.open(2);
  fs.linkSync(path.join(stage.source, 'f1'), path.join(stage.source, 'other'));
  fs.mkdirSync(path.join(stage.source, 'below'));
  fs.linkSync(path.join(stage.source, 'f1'), path.join(stage.source, 'below/third'));
  await stage.list();
  await stage.ahead(4);
  const { node } = await stage.lookup('below');
  assert.equal(await stage.overlay.unlink(node, 'third', CALLER), 0); // nobody has looked the file up: no inode
  assert.equal((await stage.lookup('f1')).attributes.nlink, 2);
});

test('who was sent back by ESTALE is led to what is there now, and so are others after it', async () => {
  const stage = await Stage.open(3);
  await stage.list();
  await stage.ahead(3);
  const { node, attributes } = await stage.lookup('f1');
  fs.writeFileSync(path.join(stage.source, 'new'), 'replaced');
  fs.renameSync(path.join(stage.source, 'new'), path.join(stage.source, 'f1'));
  assert.equal(await stage.overlay.open(node, O_RDONLY, false, CALLER), -Errno.ESTALE);
  const found = await stage.lookup('f1');
  assert.notEqual(found.attributes.ino, attributes.ino);
  assert.equal(found.attributes.size, 8);
  assert.equal((await stage.lookup('f1', OTHER)).attributes.size, 8);
});

test('what a newer answer by another name has shown to be over is not told', async () => {
  const stage = await Stage.open(2);
  const at = (name: string): string => path.join(stage.source, name);
  fs.linkSync(at('f1'), at('other'));
  await stage.list();
  await stage.ahead(3);
  const { node } = await stage.lookup('f0');
  fs.unlinkSync(at('other'));
  fs.writeFileSync(at('f1'), 'longer');
  fs.unlinkSync(at('f0'));
  assert.equal(await stage.overlay.open(node, O_RDONLY, false, CALLER), -Errno.ESTALE);
  assert.equal((await stage.lookup('f1')).attributes.size, 6); // asked anew, by who was sent back
  assert.equal(await stage.overlay.lookup(1, 'other', OTHER), -Errno.ENOENT);
});

test('with a lease of 0 every look-up asks', async () => {
  const stage = await Stage.open(5, { attributesTtlMs: 0 });
  await stage.list();
  for (let i = 0; i < 3; i++) await stage.lookup('f1');
  assert.deepEqual(stage.asked, ['f1', 'f1', 'f1']);
});

test('the lease of a name runs from when the store was asked', async () => {
  const stage = await Stage.open(2);
  await stage.list();
  await stage.ahead(2);
  await pause(60);
  const { entryTtlMs, attributesTtlMs } = await stage.lookup('f1');
  assert.ok(entryTtlMs <= 59_950 && attributesTtlMs <= 59_950, `${entryTtlMs}, ${attributesTtlMs}`);
});

test('the budget is kept: listings used longest ago go first', async () => {
  const stage = await Stage.open(0, { metadataBytes: 30_000 });
  for (let d = 0; d < 20; d++) {
    fs.mkdirSync(path.join(stage.source, `d${d}`));
    for (let i = 0; i < 10; i++) fs.writeFileSync(path.join(stage.source, `d${d}/f${i}`), '');
  }
  for (let d = 0; d < 20; d++) {
    const { node } = await stage.lookup(`d${d}`);
    const opened = await stage.overlay.opendir(node, CALLER);
    assert.ok(typeof opened === 'object');
    assert.equal(await stage.overlay.readdir(node, opened.handle, 0, true, { add: () => true }, CALLER), 0);
    for (let i = 0; i < 10; i++) assert.ok(typeof (await stage.overlay.lookup(node, `f${i}`, CALLER)) === 'object');
    stage.overlay.releasedir(node, opened.handle);
    assert.ok(stage.counted().bytes <= 30_000);
  }
  const { directories, aheadUnused } = stage.counted();
  assert.ok(directories > 0 && directories < 20, `${directories} listings`);
  assert.equal(aheadUnused, 0);
});

test('of a huge directory no more is looked up ahead than was earned, and the loop goes on meanwhile', async () => {
  const entries: DirectoryEntry[] = Array.from({ length: 100_000 }, (_, i) => ({
    name: `f${i}`,
    type: 8,
    ino: BigInt(i),
  }));
  const stage = await Stage.open(1, {}, () => ({ list: () => Promise.resolve(entries) }));
  let longestMs = 0;
  let lastMs = performance.now();
  const clock = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 1);
  assert.equal((await stage.list()).size, 100_002);
  await until('the look-ups that need no earning', () => stage.asked.length >= 4096);
  await pause(50);
  clearInterval(clock);
  assert.equal(stage.asked.length, 4096);
  assert.ok(longestMs < 2000, `a pause of ${longestMs} ms`); // 50 on a machine that has time
});

test('off, each name is asked for when it is wanted', async () => {
  const stage = await Stage.open(5, { metadataBytes: 0 });
  await stage.list();
  await pause(20);
  assert.deepEqual(stage.asked, []);
  await stage.lookup('f1');
  assert.equal(stage.overlay.metadata(), undefined);
});
