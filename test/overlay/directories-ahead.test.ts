/** Directories that are listed before their reader comes: for walks, and for nobody else. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import type { Caller, Entry } from '../../src/overlay/filesystem.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const ROOT = 1;
const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-ahead-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

class Stage {
  readonly source: string;
  readonly gates = new Gates();
  readonly overlay: Overlay;
  /** Directories that the store listed. */
  lists = 0;

  private constructor(source: string, store: Awaited<ReturnType<typeof openPosixStore>>) {
    this.source = source;
    const list = store.list.bind(store);
    store.list = (node) => {
      this.lists++;
      return list(node);
    };
    this.overlay = new Overlay({
      store: this.gates.wrap(store),
      cache: undefined,
      log: silentLog,
      attributesTtlMs: 60_000,
      passthroughMinBytes: Number.POSITIVE_INFINITY,
      timestampGranularityMs: 0,
    });
    after(() => this.overlay.stop());
  }

  static async open(directories: number): Promise<Stage> {
    const source = path.join(workspace, String(serial++));
    fs.mkdirSync(source);
    for (let d = 0; d < directories; d++) {
      fs.mkdirSync(path.join(source, `d${d}`));
      for (let i = 0; i < 5; i++) fs.writeFileSync(path.join(source, `d${d}/f${i}`), 'x');
    }
    return new Stage(source, await openPosixStore({ root: source, speed: 'pooled', log: silentLog }));
  }

  async lookup(parent: number, name: string): Promise<Entry> {
    const entry = await this.overlay.lookup(parent, name, CALLER);
    assert.ok(typeof entry === 'object', `lookup of ${name}: ${String(entry)}`);
    return entry;
  }

  async list(node: number): Promise<string[]> {
    const opened = await this.overlay.opendir(node, CALLER);
    assert.ok(typeof opened === 'object');
    const names: string[] = [];
    const sink = { add: (name: string) => names.push(name) > 0 };
    assert.equal(await this.overlay.readdir(node, opened.handle, 0, true, sink, CALLER), 0);
    this.overlay.releasedir(node, opened.handle);
    return names.filter((name) => !name.startsWith('.'));
  }

  /** As `find` does: the names of a directory, and what each is. */
  async visit(name: string): Promise<void> {
    const { node } = await this.lookup(ROOT, name);
    const names = await this.list(node);
    assert.deepEqual(names.sort(), ['f0', 'f1', 'f2', 'f3', 'f4'], name);
    for (const one of names) this.overlay.forget((await this.lookup(node, one)).node, 1);
    this.overlay.forget(node, 1);
  }

  counted() {
    return this.overlay.metadata()!;
  }
}

async function settled(stage: Stage): Promise<void> {
  for (let before = -1; before !== stage.lists; await new Promise((r) => setTimeout(r, 40))) before = stage.lists;
}

for (const [order, sort] of [
  ['in the order of the listing', (names: string[]) => names],
  ['by name', (names: string[]) => names.sort()],
  ['backwards by name', (names: string[]) => names.sort().reverse()],
] as const) {
  test(`a walk ${order} finds directories that are listed, each once`, async () => {
    const stage = await Stage.open(30);
    const names = sort(await stage.list(ROOT));
    for (const name of names) {
      await stage.visit(name);
      await settled(stage);
    }
    const { aheadListings, aheadListingsUsed } = stage.counted();
    assert.equal(stage.lists, 31);
    if (!order.startsWith('backwards')) assert.ok(aheadListings >= 10, `${aheadListings} ahead`);
    assert.ok(aheadListings - aheadListingsUsed <= 1, `${aheadListings} ahead, ${aheadListingsUsed} used`);
    stage.overlay.checkInvariants();
  });
}

test('who looks into a directory or two has little listed for nobody', async () => {
  const stage = await Stage.open(60);
  const names = await stage.list(ROOT);
  await stage.visit(names[5]!);
  await settled(stage);
  assert.equal(stage.lists, 2);
  await stage.visit(names[40]!);
  await settled(stage);
  assert.ok(stage.lists <= 5, `${stage.lists} lists`);
  assert.ok(stage.counted().aheadListings <= 2);
});

test('a reader who comes while its directory is listed waits for that, and an error there is not its own', async () => {
  const stage = await Stage.open(12);
  const names = await stage.list(ROOT);
  await stage.visit(names[0]!);
  await settled(stage);
  stage.gates.hold('list');
  const second = stage.visit(names[1]!);
  await until(() => stage.gates.waiting('list') === 1);
  stage.gates.letGo('list');
  await second;
  stage.gates.hold('list');
  await settled(stage);
  const before = stage.lists;
  const third = stage.visit(names[2]!);
  await new Promise((r) => setTimeout(r, 50));
  stage.gates.letGo('list');
  await third;
  await settled(stage);
  assert.ok(stage.lists >= before);
  for (const name of names.slice(3)) await stage.visit(name);
  await settled(stage);
  assert.ok(stage.lists <= 13 + 2, `${stage.lists} lists of 13 directories`);
});

test('what is changed in a directory that was listed ahead is seen', async () => {
  const stage = await Stage.open(20);
  const names = await stage.list(ROOT);
  await stage.visit(names[0]!);
  await stage.visit(names[1]!);
  await settled(stage);
  assert.ok(stage.counted().aheadListings > 0);
  const { node } = await stage.lookup(ROOT, names[2]!);
  assert.equal(await stage.overlay.unlink(node, 'f3', CALLER), 0);
  assert.deepEqual((await stage.list(node)).sort(), ['f0', 'f1', 'f2', 'f4']);
  stage.overlay.checkInvariants();
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((r) => setTimeout(r, 5));
  assert.ok(condition());
}
