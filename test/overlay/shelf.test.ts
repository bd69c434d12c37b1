/** Names that an earlier mount of an immutable source knew: what is asked of the source, and what the kernel is told. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { ShelfDatabase } from '../../src/cache/shelf-db.ts';
import type { Caller, Entry } from '../../src/overlay/filesystem.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Store } from '../../src/store/store.ts';
import { Errno, failed } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';

const ROOT = 1;
const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-shelf-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

function makeSource(files: number): string {
  const source = path.join(workspace, String(serial++));
  fs.mkdirSync(path.join(source, 'd'), { recursive: true });
  for (let i = 0; i < files; i++) fs.writeFileSync(path.join(source, 'd', `f${i}`), 'x'.repeat(i % 50));
  fs.writeFileSync(path.join(source, 'd', 'one name'), 'linked');
  fs.linkSync(path.join(source, 'd', 'one name'), path.join(source, 'd', 'another name'));
  return source;
}

/** What a store says without asking anybody. */
const SAYS_BY_ITSELF = new Set(['node', 'place', 'version', 'release', 'root']);

class Mount {
  readonly overlay: Overlay;
  readonly #shelf: ShelfDatabase;
  #killed = false;
  /** What the store was asked. */
  readonly asked: string[] = [];

  private constructor(source: string, store: Store, readOnly: boolean) {
    this.#shelf = ShelfDatabase.open({
      path: `${source}.sqlite`,
      identity: source,
      limitBytes: 2 ** 26,
      writable: !readOnly,
      bootId: 'boot',
      log: silentLog,
    });
    this.overlay = new Overlay({
      store: this.#counting(store),
      cache: undefined,
      log: silentLog,
      attributesTtlMs: 1000,
      immutable: true,
      readOnly,
      passthroughMinBytes: Number.POSITIVE_INFINITY,
      timestampGranularityMs: 0,
      awakeInodes: 0, // who is not told only, or used just now, rests
      shelf: this.#shelf,
    });
  }

  static async open(source: string, readOnly = true): Promise<Mount> {
    const mount = new Mount(source, await openPosixStore({ root: source, speed: 'pooled', log: silentLog }), readOnly);
    await mount.overlay.prepare();
    mount.asked.length = 0;
    return mount;
  }

  #counting(store: Store): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const member = Reflect.get(target, name, target) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          if (this.#killed && !SAYS_BY_ITSELF.has(String(name))) return -Errno.EIO;
          if (['lookup', 'list', 'attributes', 'revalidate', 'open'].includes(String(name)))
            this.asked.push(`${String(name)} ${typeof args[1] === 'string' ? args[1] : ''}`);
          return member.apply(target, args) as unknown;
        };
      },
    });
  }

  async lookup(parent: number, name: string): Promise<Entry> {
    const entry = await this.overlay.lookup(parent, name, CALLER);
    assert.ok(!failed(entry), `lookup of ${name}: ${String(entry)}`);
    return entry as Entry;
  }

  /** Reads a directory from end to end; `each`: how many entries a reply takes. */
  async list(node: number, each = Number.POSITIVE_INFINITY): Promise<Map<string, Entry | undefined>> {
    const opened = await this.overlay.opendir(node, CALLER);
    assert.ok(typeof opened === 'object');
    const entries = new Map<string, Entry | undefined>();
    for (let offset = 0, more = true; more; ) {
      let room = each;
      more = false;
      const sink = {
        add: (name: string, _ino: bigint, _type: number, next: number, entry: Entry | undefined): boolean => {
          if (room-- === 0) return false;
          if (name !== '.' && name !== '..') entries.set(name, entry);
          offset = next;
          more = true;
          return true;
        },
      };
      assert.equal(await this.overlay.readdir(node, opened.handle, offset, true, sink, CALLER), 0);
    }
    this.overlay.releasedir(node, opened.handle);
    return entries;
  }

  /** As kill -9 does: nothing more is written, and the store is asked for nothing; what it was asked it still does. */
  kill(): void {
    this.#killed = true;
    this.#shelf.draft = () => undefined;
    this.#shelf.changed = () => {};
  }

  async rested(count: number): Promise<void> {
    const resting = (): number => this.overlay.snapshot().restingInodes!;
    for (let i = 0; i < 2000 && resting() !== count; i++) await new Promise((r) => setTimeout(r, 5));
    assert.equal(resting(), count, 'at rest');
    this.overlay.checkInvariants();
  }

  counted() {
    return this.overlay.metadata()!;
  }

  /** Walks root and d, and waits until all of it is known. */
  async learn(entries: number): Promise<void> {
    await this.list(ROOT);
    const { node } = await this.lookup(ROOT, 'd');
    await this.list(node);
    for (let i = 0; i < 2000 && this.counted().entries < entries; i++) await new Promise((r) => setTimeout(r, 5));
    assert.equal(this.counted().entries, entries);
  }
}

/** Everything the second mount does finds a source that is known. */
async function remounted(files: number, readOnly = true): Promise<{ source: string; mount: Mount }> {
  const source = makeSource(files);
  const first = await Mount.open(source, readOnly);
  await first.learn(files + 3);
  await first.overlay.stop();
  const mount = await Mount.open(source, readOnly);
  after(() => mount.overlay.stop());
  return { source, mount };
}

for (const [files, each] of [
  [300, 7],
  [2500, Number.POSITIVE_INFINITY],
] as const) {
  test(`a walk over ${files} files that an earlier mount knew asks the source for nothing`, async () => {
    const { source, mount } = await remounted(files);
    const root = await mount.list(ROOT);
    const entries = await mount.list(root.get('d')!.node, each);
    assert.equal(entries.size, files + 2);
    for (const [name, entry] of entries) {
      const is = fs.lstatSync(path.join(source, 'd', name), { bigint: true });
      assert.equal(entry?.attributes.size, Number(is.size), name);
      assert.equal(entry.attributes.ino, is.ino, name);
      assert.equal(entry.attributes.mode, Number(is.mode), name);
      assert.equal(BigInt(entry.attributes.mtimeSec) * 1_000_000_000n + BigInt(entry.attributes.mtimeNsec), is.mtimeNs);
    }
    for (const name of ['f1', 'f7'])
      assert.equal((await mount.lookup(root.get('d')!.node, name)).attributes.size, name === 'f1' ? 1 : 7);
    assert.deepEqual(mount.asked, []);
    assert.equal(mount.counted().shelf?.recalled, 3, 'root, d, and the look at the root when it began');
    mount.overlay.checkInvariants();
  });
}

test('a file has one nodeid, however it is come by, and it goes when the kernel has forgotten it', async () => {
  const { mount } = await remounted(50);
  const { node: d } = await mount.lookup(ROOT, 'd');
  const before = mount.overlay.snapshot().inodes!;
  const first = await mount.list(d);
  const again = await mount.list(d);
  for (const [name, entry] of first) {
    assert.equal(again.get(name)?.node, entry?.node, name);
    assert.equal((await mount.lookup(d, name)).node, entry?.node, name);
    const attributes = await mount.overlay.getattr(entry!.node, undefined, CALLER);
    assert.ok(typeof attributes === 'object' && attributes.attributes.ino === entry!.attributes.ino);
  }
  assert.equal(first.get('one name')?.node, first.get('another name')?.node);
  assert.equal(mount.overlay.snapshot().inodes, before + 51);
  for (const [, entry] of first) mount.overlay.forget(entry!.node, 2);
  assert.equal(mount.overlay.snapshot().inodes, before + 51, 'the look-ups above were not forgotten');
  for (const [, entry] of first) mount.overlay.forget(entry!.node, 1);
  assert.equal(mount.overlay.snapshot().inodes, before);
  const other = await mount.list(d);
  for (const [, entry] of other) mount.overlay.forget(entry!.node, 1);
  assert.equal(mount.overlay.snapshot().inodes, before, 'those that were only told go as well');
  mount.overlay.checkInvariants();
});

test('a file that was only told is read and asked about as any other', async () => {
  const { source, mount } = await remounted(50);
  const { node: d } = await mount.lookup(ROOT, 'd');
  const { node } = (await mount.list(d)).get('f49')!;
  const opened = await mount.overlay.open(node, fs.constants.O_RDONLY, false, CALLER);
  assert.ok(typeof opened === 'object', String(opened));
  const into = Buffer.alloc(100);
  const count = await mount.overlay.read(node, opened.handle, 0, 100, into, CALLER);
  assert.equal(typeof count === 'number' ? count : count.bytes.length, fs.statSync(path.join(source, 'd/f49')).size);
  mount.overlay.release(node, opened.handle);
});

test('a file is told, made, at rest and awake again by one nodeid, and its lookups are counted through all of it', async () => {
  const { mount } = await remounted(50);
  const { overlay } = mount;
  const { node: d } = await mount.lookup(ROOT, 'd');
  const inodes = overlay.snapshot().inodes!;
  const told = await mount.list(d);
  const nodes = (entries: Map<string, Entry | undefined>): (number | undefined)[] =>
    [...entries.values()].map((entry) => entry?.node);
  for (const node of nodes(told)) await overlay.getattr(node!, undefined, CALLER); // made now
  await mount.rested(50); // all but the one with two names
  assert.deepEqual(nodes(await mount.list(d)), nodes(told), 'those at rest are not told anew');
  overlay.checkInvariants();
  assert.equal(overlay.snapshot().inodes, inodes + 51);
  await mount.rested(50);
  for (const node of nodes(told)) overlay.forget(node!, 1);
  assert.equal(overlay.snapshot().restingInodes, 50, 'the second list counted');
  for (const node of nodes(told)) overlay.forget(node!, 1);
  assert.equal(overlay.snapshot().inodes, inodes);
  assert.deepEqual(mount.asked, []);
  overlay.checkInvariants();
});

test('a name that was only looked up is known to the next mount', async () => {
  const source = makeSource(5);
  const first = await Mount.open(source);
  await first.lookup((await first.lookup(ROOT, 'd')).node, 'f3');
  await first.overlay.stop();
  const mount = await Mount.open(source);
  after(() => mount.overlay.stop());
  const { node } = await mount.lookup(ROOT, 'd');
  assert.equal((await mount.lookup(node, 'f3')).attributes.size, 3);
  assert.deepEqual(mount.asked, []);
  assert.equal((await mount.list(node)).size, 7, 'which says nothing of other names');
});

test('a source that was made anew between two mounts is asked anew', async () => {
  const source = makeSource(30);
  const first = await Mount.open(source);
  await first.learn(33);
  await first.overlay.stop();
  for (let i = 0; i < 30; i++) fs.writeFileSync(path.join(source, 'd', `f${i}`), 'y'.repeat(100));
  fs.writeFileSync(path.join(source, 'd', 'one name'), 'other');
  const mount = await Mount.open(source);
  after(() => mount.overlay.stop());
  const { node } = await mount.lookup(ROOT, 'd');
  await mount.list(node);
  for (let i = 0; i < 30; i++) assert.equal((await mount.lookup(node, `f${i}`)).attributes.size, 100);
});

test('a name that comes after the names were listed is not hidden from the next mount', async () => {
  const source = makeSource(5);
  const first = await Mount.open(source);
  await first.learn(8);
  const { node: d } = await first.lookup(ROOT, 'd');
  const { node: f3 } = await first.lookup(d, 'f3');
  fs.rmSync(path.join(source, 'd', 'f3'));
  fs.writeFileSync(path.join(source, 'd', 'late'), 'late');
  assert.equal(await first.overlay.open(f3, fs.constants.O_RDONLY, false, CALLER), -Errno.ESTALE);
  first.asked.length = 0;
  await first.lookup(ROOT, 'd'); // who met that walks its path again, past what is known
  assert.deepEqual(first.asked, ['lookup d']);
  await first.overlay.stop();
  const mount = await Mount.open(source);
  after(() => mount.overlay.stop());
  const names = await mount.list((await mount.lookup(ROOT, 'd')).node);
  assert.ok(names.has('late'));
});

test('what is changed through a mount is asked for by the next, and all else is not', async () => {
  const { source, mount } = await remounted(40, false);
  const { node: d } = await mount.lookup(ROOT, 'd');
  await mount.list(d);
  const { node } = await mount.lookup(d, 'f5');
  await mount.rested(40); // and what it is changed by when it has awoken is noted all the same
  const changed = await mount.overlay.setattr(node, { size: 1234 }, undefined, CALLER);
  assert.ok(typeof changed === 'object');
  // Without an end: as after kill -9.
  const next = await Mount.open(source, false);
  after(() => next.overlay.stop());
  const { node: again } = await next.lookup(ROOT, 'd');
  await next.list(again);
  assert.equal((await next.lookup(again, 'f5')).attributes.size, 1234);
  assert.deepEqual([...new Set(next.asked)], ['lookup f5']);
  await next.lookup(again, 'f6');
  assert.deepEqual([...new Set(next.asked)], ['lookup f5']);
});

// S2.14
test('rounds of changes through a mount, and kill -9: the next mount shows what is there', async () => {
  const source = makeSource(30);
  for (let d = 0; d < 3; d++) fs.mkdirSync(path.join(source, `e${d}`));
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let round = 0; round < 5; round++) {
    const first = await Mount.open(source, false);
    await compare(first, source, `round ${round}, learning`);
    await first.overlay.stop();
    const second = await Mount.open(source, false);
    await compare(second, source, `round ${round}, changing`);
    const unanswered: Promise<unknown>[] = [];
    for (let i = 0; i < 14; i++) {
      const change = changeSomething(second, random, `${round}-${i}`);
      if (i < 11) await change;
      else unanswered.push(change.catch(() => {})); // killed in the middle
    }
    second.kill();
    await Promise.all(unanswered);
    const third = await Mount.open(source, false);
    await compare(third, source, `round ${round}, after the kill`);
    await third.overlay.stop();
  }
});

/** One change of a name or a file in a directory, by chance. */
async function changeSomething(mount: Mount, random: (below: number) => number, label: string): Promise<void> {
  const { overlay } = mount;
  const directories = ['d', 'e0', 'e1', 'e2'];
  const { node: from } = await mount.lookup(ROOT, directories[random(4)]!);
  const { node: to } = await mount.lookup(ROOT, directories[random(4)]!);
  const names = [...(await mount.list(from)).keys()];
  const name = names[random(names.length)];
  const what = random(8);
  if (what === 0 || name === undefined) {
    const made = await overlay.create(from, `new ${label}`, 0o644, 0, fs.constants.O_WRONLY, CALLER);
    if (typeof made !== 'object') return;
    await overlay.write(made.entry.node, made.opened.handle, 0, Buffer.alloc(1 + random(5000)), false, CALLER);
    overlay.release(made.entry.node, made.opened.handle);
    return;
  }
  const found = await overlay.lookup(from, name, CALLER);
  if (typeof found !== 'object') return;
  const { node } = found;
  if (what === 1) await overlay.unlink(from, name, CALLER);
  else if (what === 2) await overlay.rename(from, name, to, `moved ${label}`, 0, CALLER);
  else if (what === 3) await overlay.rename(from, name, to, 'f1', 0, CALLER);
  else if (what === 4) await overlay.link(node, to, `link ${label}`, CALLER);
  else if (what === 5) await overlay.setattr(node, { mode: 0o600 + random(64) }, undefined, CALLER);
  else if (what === 6) await overlay.setattr(node, { size: random(9000) }, undefined, CALLER);
  else await overlay.mkdir(from, `made ${label}`, 0o755, 0, CALLER);
}

/** Walks a mount and holds all of it against the source. */
async function compare(mount: Mount, source: string, when: string, node = ROOT, at = ''): Promise<void> {
  const names = [...(await mount.list(node)).keys()].sort();
  assert.deepEqual(names, fs.readdirSync(path.join(source, at)).sort(), `${when}: names in "${at}"`);
  for (const name of names) {
    const inner = path.join(at, name);
    const { node: found, attributes } = await mount.lookup(node, name);
    const is = fs.lstatSync(path.join(source, inner));
    const { mode, nlink, size, ino } = attributes;
    const expected = { mode: is.mode, nlink: is.nlink, size: is.size, ino: BigInt(is.ino) };
    assert.deepEqual({ mode, nlink, size, ino }, expected, `${when}: ${inner}`);
    if (is.isDirectory()) await compare(mount, source, when, found, inner);
  }
}
