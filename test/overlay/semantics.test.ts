/** Sentences of docs/SEMANTICS.md that need no mount to be proven. Each test names its own. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { openCache } from '../../src/cache/index.ts';
import type { Caller } from '../../src/overlay/filesystem.ts';
import { Overlay, type OverlayOptions } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Store } from '../../src/store/store.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';
import { type KernelFile, KernelModel } from '../support/kernel-model.ts';

const { O_RDONLY, O_RDWR } = fs.constants;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const NOREPLACE = 1;
const EXCHANGE = 2;
const CALLER: Caller = {
  uid: process.getuid!(),
  gid: process.getgid!(),
  pid: process.pid,
  supplementaryGroup: -1,
  askedMs: 0,
};
const SPEEDS = ['inline', 'pooled'] as const;
/** Files of this size are handed to the kernel when they are cached whole. */
const LARGE = 20_000;
const SMALL = 5_000;
/** No file system tells holes more coarsely. */
const BLOCK = 65_536;

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-semantics-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

/** Answers in a store's place: what these return, or undefined for the store's own answer. */
type Instead = { [M in keyof Store]?: (...args: never[]) => unknown };

interface Stage {
  source: string;
  cacheDirectory: string;
  overlay: Overlay;
  kernel: KernelModel;
  gates: Gates;
  /** What the store answers now; empty it and it is itself again. */
  instead: Instead;
  /** Writes a file at the source, beside the mount, and waits until its time stamps are of the past. */
  put(name: string, text: string): Promise<void>;
  open(name: string, flags?: number): Promise<KernelFile>;
  /** What a handle reads of its whole file, or a negated errno. */
  text(file: KernelFile): Promise<string | number>;
  /** The same of a fresh open. */
  read(name: string): Promise<string | number>;
  /** Reads a file until all of it comes from the cache. */
  untilCached(name: string): Promise<void>;
}

interface Setting extends Partial<OverlayOptions> {
  speed: 'inline' | 'pooled';
  cached?: boolean;
}

async function stage({ speed, cached = false, ...options }: Setting): Promise<Stage> {
  const root = path.join(workspace, String(serial++));
  const source = path.join(root, 'source');
  const cacheDirectory = path.join(root, 'cache');
  fs.mkdirSync(source, { recursive: true });
  const store = await openPosixStore({ root: source, speed, log: silentLog });
  const cache = cached
    ? await openCache({ directory: cacheDirectory, sizeBytes: 64 << 20, storeId: store.id, log: silentLog })
    : undefined;
  const gates = new Gates();
  const instead: Instead = {};
  const overlay = new Overlay({
    store: gates.wrap(answering(store, instead)),
    cache,
    log: silentLog,
    attributesTtlMs: 0,
    passthroughMinBytes: 10_000,
    timestampGranularityMs: 0,
    ...options,
  });
  after(() => overlay.stop());
  const kernel = new KernelModel(overlay, true);
  const put = (name: string, text: string): Promise<void> => {
    fs.writeFileSync(path.join(source, name), text);
    return pause(5);
  };
  const open = async (name: string, flags: number = O_RDONLY): Promise<KernelFile> => {
    const file = await kernel.open(`/${name}`, flags);
    assert.ok(typeof file === 'object', `open of ${name}: ${String(file)}`);
    return file;
  };
  const text = async (file: KernelFile): Promise<string | number> => {
    const bytes = await kernel.read(file, 0, 1 << 20);
    return typeof bytes === 'number' ? bytes : bytes.toString('latin1');
  };
  const read = async (name: string): Promise<string | number> => {
    const file = await open(name);
    const outcome = await text(file);
    kernel.close(file);
    return outcome;
  };
  const untilCached = async (name: string): Promise<void> => {
    let asked = 0;
    instead.read = () => {
      asked++;
      return undefined;
    };
    // Also a fetch that has its bytes and is still being kept brings none from the source.
    const served = (): number => (cache?.snapshot().hits ?? 0) + overlay.snapshot().opensTierPassthrough!;
    let fromCache = false;
    for (let i = 0; i < 500 && !fromCache; i++) {
      asked = 0;
      const before = served();
      kernel.forgetPages();
      await read(name);
      fromCache = asked === 0 && served() > before;
      if (!fromCache) await pause(10);
    }
    delete instead.read;
    assert.ok(fromCache, `${name} is cached`);
  };
  return { source, cacheDirectory, overlay, kernel, gates, instead, put, open, text, read, untilCached };
}

function answering(store: Store, instead: Instead): Store {
  return new Proxy(store, {
    get: (target, name) => {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function') return member;
      return (...args: never[]): unknown => {
        const answer = instead[name as keyof Store]?.(...args);
        return answer ?? member.apply(target, args);
      };
    },
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function answeredYet(reply: unknown): Promise<boolean> {
  if (!(reply instanceof Promise)) return true;
  return Promise.race([reply.then(() => true), pause(20).then(() => false)]);
}

for (const cached of [true, false]) {
  const how = cached ? 'cached' : 'not cached';

  test(`S1.2 a read that a slow store cuts short where its file goes on is EIO, not a short file (${how})`, async () => {
    const { instead, put, read } = await stage({ speed: 'pooled', cached });
    await put('a', 'x'.repeat(SMALL));
    instead.readNow = () => -Errno.EAGAIN;
    instead.read = () => 1000;
    assert.equal(await read('a'), -Errno.EIO);
    delete instead.read;
    assert.equal(await read('a'), 'x'.repeat(SMALL));
  });

  for (const speed of SPEEDS) {
    test(`S1.3 the reader gets the error that the source gave, and nothing of it stays (${how}, ${speed})`, async () => {
      const { instead, put, read } = await stage({ speed, cached });
      await put('a', 'x'.repeat(SMALL));
      for (const errno of [Errno.EIO, Errno.ESTALE, Errno.EACCES]) {
        instead.readNow = () => -Errno.EAGAIN;
        instead.read = (_file: never, into: Uint8Array) => {
          into.fill(0x21); // what a failing read may leave behind
          return -errno;
        };
        assert.equal(await read('a'), -errno);
      }
      delete instead.read;
      delete instead.readNow;
      for (let i = 0; i < 2; i++) assert.equal(await read('a'), 'x'.repeat(SMALL));
    });
  }
}

test('S1.1 S2.5 a handle never shows bytes of the file that took the place of its own, also where it must fail', async () => {
  const { source, cacheDirectory, kernel, put, open, text, untilCached } = await stage({
    speed: 'pooled',
    cached: true,
  });
  const replace = async (name: string): Promise<void> => {
    await put('new', 'n'.repeat(SMALL));
    fs.renameSync(path.join(source, 'new'), path.join(source, name));
  };
  for (const name of ['lost', 'written', 'kept']) {
    await put(name, 'o'.repeat(SMALL));
    await untilCached(name);
  }
  kernel.forgetPages();
  const [lost, written, kept] = [await open('lost'), await open('written'), await open('kept')];
  const writer = await open('written', O_RDWR); // ends the use of the cached object
  for (const name of ['lost', 'written', 'kept']) await replace(name);
  assert.equal(await text(kept), 'o'.repeat(SMALL), 'the cache has the old bytes');
  assert.equal(await text(written), -Errno.ESTALE, 'nobody has them');
  for (const object of objectsIn(cacheDirectory)) fs.truncateSync(object, 0);
  kernel.forgetPages();
  assert.equal(await text(lost), -Errno.ESTALE, 'nobody has them any more');
  for (const file of [lost, written, kept, writer]) kernel.close(file);
});

function objectsIn(cacheDirectory: string): string[] {
  const all = fs.readdirSync(cacheDirectory, { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => entry.isFile() && entry.parentPath.includes('/objects'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

for (const speed of SPEEDS) {
  test(`S9.2 objects of the cache that were cut are read from the source instead (${speed})`, async () => {
    const { cacheDirectory, kernel, put, open, text, read, untilCached } = await stage({ speed, cached: true });
    await put('a', 'x'.repeat(SMALL));
    await untilCached('a');
    kernel.forgetPages();
    const held = await open('a');
    const objects = objectsIn(cacheDirectory);
    assert.equal(objects.length, 1);
    for (const object of objects) fs.truncateSync(object, 10);
    assert.equal(await text(held), 'x'.repeat(SMALL));
    assert.equal(await read('a'), 'x'.repeat(SMALL));
    kernel.close(held);
  });

  test(`S1.4 what was read so soon after a change that its time stamp proves nothing is not kept (${speed})`, async () => {
    const { overlay, kernel, put, read } = await stage({ speed, cached: true, timestampGranularityMs: 60_000 });
    await put('a', 'one');
    for (let i = 0; i < 3; i++) assert.equal(await read('a'), 'one');
    const { opensKeptPages, opensTier, opensTierPassthrough } = overlay.snapshot();
    assert.deepEqual([opensKeptPages, opensTier, opensTierPassthrough], [0, 0, 0]);
    kernel.forgetAll();
  });

  test(`S1.6 a hole reads as zeros and is found, from the source and from the cache (${speed})`, async () => {
    for (const cached of [false, true]) {
      const { source, overlay, kernel, open, text, untilCached } = await stage({ speed, cached });
      const fd = fs.openSync(path.join(source, 'a'), 'w');
      fs.writeSync(fd, 'x'.repeat(BLOCK), BLOCK);
      fs.ftruncateSync(fd, 4 * BLOCK);
      fs.closeSync(fd);
      await pause(5);
      if (cached) await untilCached('a');
      const file = await open('a');
      assert.equal(await text(file), '\0'.repeat(BLOCK) + 'x'.repeat(BLOCK) + '\0'.repeat(2 * BLOCK));
      assert.equal(await overlay.lseek(file.node, file.handle, 0, SEEK_DATA), BLOCK);
      assert.equal(await overlay.lseek(file.node, file.handle, BLOCK, SEEK_HOLE), 2 * BLOCK);
      assert.equal(await overlay.lseek(file.node, file.handle, 2 * BLOCK, SEEK_DATA), -Errno.ENXIO);
      kernel.close(file);
    }
  });

  test(`S2.2 S2.4 after the lease an open shows the new size, times and bytes, whatever was kept (${speed})`, async () => {
    for (const cached of [false, true]) {
      const { source, kernel, put, open, text, read } = await stage({ speed, cached, attributesTtlMs: 30 });
      for (const content of ['first', 'second, and longer', '3rd']) {
        await put('a', content);
        await pause(40);
        const file = await open('a');
        const attributes = await kernel.getattr(file.node);
        const { size, mtimeNs, ctimeNs } = fs.statSync(path.join(source, 'a'), { bigint: true });
        assert.ok(typeof attributes === 'object');
        const ns = (sec: number, nsec: number): bigint => BigInt(sec) * 1_000_000_000n + BigInt(nsec);
        assert.equal(attributes.size, Number(size));
        assert.equal(ns(attributes.mtimeSec, attributes.mtimeNsec), mtimeNs);
        assert.equal(ns(attributes.ctimeSec, attributes.ctimeNsec), ctimeNs);
        assert.equal(await text(file), content);
        kernel.close(file);
        assert.equal(await read('a'), content);
      }
    }
  });

  test(`S2.7 content that changed under its readers gets another node and keeps its st_ino (${speed})`, async () => {
    const { source, kernel, put, open, text, untilCached } = await stage({ speed, cached: true });
    await put('a', 'o'.repeat(LARGE));
    await untilCached('a');
    const before = await open('a');
    assert.notEqual(before.backingFd, undefined);
    await put('a', 'n'.repeat(LARGE + 1));
    const now = await open('a');
    assert.notEqual(now.node, before.node);
    const { ino } = fs.statSync(path.join(source, 'a'), { bigint: true });
    for (const { node } of [before, now]) {
      const attributes = await kernel.getattr(node);
      assert.ok(typeof attributes === 'object');
      assert.equal(attributes.ino, ino);
    }
    assert.equal(await text(before), 'o'.repeat(LARGE));
    assert.equal(await text(now), 'n'.repeat(LARGE + 1));
    kernel.close(before);
    kernel.close(now);
  });

  test(`S2.8 a missing name is told to be missing for as long as configured, and not at all without (${speed})`, async () => {
    const remembering = await stage({ speed, negativeTtlMs: 700 });
    const entry = await remembering.overlay.lookup(1, 'none');
    assert.ok(typeof entry === 'object');
    assert.deepEqual([entry.node, entry.entryTtlMs], [0, 700]);
    await remembering.put('none', 'here');
    assert.equal(await remembering.read('none'), 'here', 'whoever asks again is told');
    const { overlay } = await stage({ speed, negativeTtlMs: 0 });
    assert.equal(await overlay.lookup(1, 'none'), -Errno.ENOENT);
  });

  test(`S2.9 an immutable source is asked once, and gives what it had then (${speed})`, async () => {
    const { overlay, kernel, put, read, untilCached } = await stage({ speed, cached: true, immutable: true });
    await put('a', 'one');
    await untilCached('a');
    await put('a', 'two');
    kernel.forgetPages();
    assert.equal(await read('a'), 'one');
    assert.equal(overlay.snapshot().validations, 0);
    const entry = await overlay.lookup(1, 'a');
    assert.ok(typeof entry === 'object' && entry.entryTtlMs > 30 * 86_400_000);
  });

  test(`S3.1 what a write was answered for is at the source, before fsync and close (${speed})`, async () => {
    for (const cached of [false, true]) {
      const { source, overlay, kernel, gates, put, open } = await stage({ speed, cached, passthroughMinBytes: 1e9 });
      await put('a', 'old');
      const writer = await open('a', O_RDWR);
      assert.equal(await overlay.write(writer.node, writer.handle, 3, Buffer.from(' and new'), false, CALLER), 8);
      assert.equal(fs.readFileSync(path.join(source, 'a'), 'latin1'), 'old and new');
      gates.hold('write');
      const reply = overlay.write(writer.node, writer.handle, 0, Buffer.from('O'), false, CALLER);
      assert.equal(await answeredYet(reply), false, 'not before the source has answered');
      gates.letGo('write');
      assert.equal(await reply, 1);
      kernel.close(writer);
    }
  });

  test(`S3.2 fsync waits for the source's and has its result, for writers and readers (${speed})`, async () => {
    const { overlay, kernel, gates, instead, put, open } = await stage({ speed });
    await put('a', 'x');
    for (const flags of [O_RDONLY, O_RDWR]) {
      const file = await open('a', flags);
      gates.hold('sync');
      const reply = overlay.fsync(file.node, file.handle, false);
      assert.equal(await answeredYet(reply), false);
      gates.letGo('sync');
      assert.equal(await reply, 0);
      const asked: unknown[] = [];
      instead.sync = (_file: never, dataOnly: boolean) => {
        asked.push(dataOnly);
        return -Errno.EIO;
      };
      assert.equal(await overlay.fsync(file.node, file.handle, false), -Errno.EIO);
      assert.equal(await overlay.fsync(file.node, file.handle, true), -Errno.EIO);
      assert.deepEqual(asked, [false, true]);
      delete instead.sync;
      kernel.close(file);
    }
    instead.syncDirectory = () => -Errno.EIO;
    assert.equal(await overlay.fsyncdir(1), -Errno.EIO);
  });

  test(`S3.3 an error that the source tells at close is told at close (${speed})`, async () => {
    const { overlay, kernel, instead, put, open } = await stage({ speed });
    await put('a', 'x');
    instead.delaysErrors = () => true;
    const writer = await open('a', O_RDWR);
    for (const errno of [Errno.ENOSPC, Errno.EDQUOT, Errno.EIO]) {
      instead.flush = () => -errno;
      assert.equal(await overlay.flush(writer.node, writer.handle), -errno);
    }
    delete instead.flush;
    assert.equal(await overlay.flush(writer.node, writer.handle), 0);
    kernel.close(writer);
    const again = await overlay.open(writer.node, O_RDWR, false, CALLER);
    assert.ok(typeof again === 'object' && !again.noFlush, 'the kernel is not told to leave the question out');
    overlay.release(writer.node, again.handle);
    instead.delaysErrors = () => false;
    const toldAtOnce = await overlay.open(writer.node, O_RDWR, false, CALLER);
    assert.ok(typeof toldAtOnce === 'object');
    assert.equal(toldAtOnce.noFlush, toldAtOnce.backingId > 0, 'nobody is asked who has nothing to tell');
    overlay.release(writer.node, toldAtOnce.handle);
  });

  test(`S3.6 a reader from the cache sees what a later writer writes, but for one of a large file (${speed})`, async () => {
    const { source, kernel, put, open, text, untilCached } = await stage({ speed, cached: true });
    for (const [name, size, old] of [
      ['small', SMALL, false],
      ['large', LARGE, true],
    ] as const) {
      await put(name, 'o'.repeat(size));
      await untilCached(name);
      const before = await open(name);
      const writer = await open(name, O_RDWR);
      const beside = await open(name);
      await kernel.write(writer, 0, Buffer.from('new'));
      const now = `new${'o'.repeat(size - 3)}`;
      assert.equal(fs.readFileSync(path.join(source, name), 'latin1'), now);
      assert.equal(await text(before), old ? 'o'.repeat(size) : now, `opened before the writer, ${name}`);
      assert.equal(await text(beside), now, `opened beside the writer, ${name}`);
      // Another node is another file to the kernel's locks (S7.1).
      assert.equal(before.node !== writer.node, old);
      assert.equal(beside.node, writer.node);
      for (const file of [before, writer, beside]) kernel.close(file);
    }
  });

  test(`S4.2 NOREPLACE and EXCHANGE are one call of the source, and refused where it refuses (${speed})`, async () => {
    const { overlay, instead, put } = await stage({ speed });
    await put('a', 'one');
    await put('b', 'two');
    for (const flags of [NOREPLACE, EXCHANGE]) {
      const asked: unknown[] = [];
      instead.rename = (_parent: never, _name: never, _newParent: never, _newName: never, given: number) => {
        asked.push(given);
        return -Errno.EINVAL;
      };
      assert.equal(await overlay.rename(1, 'a', 1, 'b', flags), -Errno.EINVAL);
      assert.deepEqual(asked, [flags]);
    }
    delete instead.rename;
    assert.equal(await overlay.rename(1, 'a', 1, 'b', NOREPLACE), -Errno.EEXIST);
  });

  test(`S4.7 a directory that is rewound, or opened after the lease, is listed anew (${speed})`, async () => {
    const { source, overlay, put } = await stage({ speed });
    await put('a', '');
    const listed = async (handle: number): Promise<string[]> => {
      const names: string[] = [];
      const outcome = await overlay.readdir(1, handle, 0, false, { add: (name) => names.push(name) > 0 });
      assert.equal(outcome, 0);
      return names.filter((name) => !name.startsWith('.')).sort();
    };
    const first = await overlay.opendir(1);
    assert.ok(typeof first === 'object');
    assert.deepEqual(await listed(first.handle), ['a']);
    await put('b', '');
    fs.unlinkSync(path.join(source, 'a'));
    assert.deepEqual(await listed(first.handle), ['b']);
    overlay.releasedir(1, first.handle);
    await pause(5);
    for (const keepCache of [false, true]) {
      const again = await overlay.opendir(1);
      assert.ok(typeof again === 'object');
      assert.equal(again.keepCache, keepCache, 'what the kernel remembers of a listing is kept while it is right');
      overlay.releasedir(1, again.handle);
    }
  });

  test(`S4.4 a file removed beside the mount is read to its close by who has it open (${speed})`, async () => {
    for (const cached of [false, true]) {
      const { source, kernel, put, open, text, untilCached } = await stage({ speed, cached });
      for (const [name, size] of [
        ['small', SMALL],
        ['large', LARGE],
      ] as const) {
        await put(name, 'x'.repeat(size));
        if (cached) await untilCached(name);
        kernel.forgetPages();
        const file = await open(name);
        fs.unlinkSync(path.join(source, name));
        assert.equal(await text(file), 'x'.repeat(size));
        const attributes = await kernel.getattr(file.node);
        assert.ok(typeof attributes === 'object');
        assert.deepEqual([attributes.size, attributes.nlink], [size, 0]);
        kernel.close(file);
      }
    }
  });

  test(`S5.2 S6.5 what the source refuses the daemon is refused, with the source's error (${speed})`, async () => {
    const { overlay, instead, put } = await stage({ speed });
    await put('a', 'x');
    const found = await overlay.lookup(1, 'a');
    assert.ok(typeof found === 'object');
    instead.change = instead.create = instead.makeDirectory = instead.unlink = instead.setXattr = () => -Errno.EPERM;
    for (const reply of [
      overlay.setattr(found.node, { mode: 0o600 }, undefined),
      overlay.setattr(found.node, { uid: 1 }, undefined),
      overlay.setattr(found.node, { mtime: 'now' }, undefined),
      overlay.create(1, 'b', 0o644, 0, O_RDWR, CALLER),
      overlay.mkdir(1, 'd', 0o755, 0, CALLER),
      overlay.unlink(1, 'a'),
      overlay.setxattr(found.node, 'user.a', Buffer.from('x'), 0),
    ]) {
      assert.equal(await reply, -Errno.EPERM);
    }
  });
}

test('S5.1 within the lease stat tells what was so when the source was asked, after it what is', async () => {
  const { source, overlay, kernel, put } = await stage({ speed: 'pooled', attributesTtlMs: 300 });
  await put('a', 'x');
  const node = await kernel.walk('/a');
  const modeOf = async (): Promise<number> => {
    const reply = await overlay.getattr(node, undefined);
    assert.ok(typeof reply === 'object' && reply.ttlMs <= 300);
    return reply.attributes.mode & 0o777;
  };
  const before = await modeOf();
  fs.chmodSync(path.join(source, 'a'), 0o600);
  assert.equal(await modeOf(), before);
  await pause(310);
  assert.equal(await modeOf(), 0o600);
});

test('S9.1 while the source hangs, what is cached is opened and read within the lease', async () => {
  const { kernel, gates, put, open, text, read, untilCached } = await stage({
    speed: 'pooled',
    cached: true,
    attributesTtlMs: 60_000,
  });
  await put('a', 'x'.repeat(SMALL));
  await put('b', 'y'.repeat(SMALL));
  await untilCached('a');
  kernel.forgetPages();
  const waiting = await open('b');
  for (const method of ['read', 'open', 'attributes', 'revalidate', 'lookup'] as const) gates.hold(method);
  const stuck = text(waiting);
  assert.equal(await read('a'), 'x'.repeat(SMALL));
  assert.equal(await answeredYet(stuck), false);
  for (const method of ['read', 'open', 'attributes', 'revalidate', 'lookup'] as const) gates.letGo(method);
  assert.equal(await stuck, 'y'.repeat(SMALL));
  kernel.close(waiting);
});
