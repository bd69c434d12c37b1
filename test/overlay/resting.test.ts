/** Inodes at rest: that nothing of them is lost, and that nobody who has hold of one is left with something else. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import type { Caller, Entry, Opened } from '../../src/overlay/filesystem.ts';
import { Overlay, type OverlayOptions } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const CALLER: Caller = { uid: 0, gid: 0, pid: process.pid, supplementaryGroup: -1, askedMs: 0 };
const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-resting-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

class Stage {
  readonly source = path.join(workspace, String(serial++));
  readonly gates = new Gates();
  overlay!: Overlay;

  static async open(files: number, options: Partial<OverlayOptions> = {}): Promise<Stage> {
    const stage = new Stage();
    fs.mkdirSync(stage.source);
    for (let i = 0; i < files; i++) fs.writeFileSync(path.join(stage.source, `f${i}`), 'x'.repeat(i + 1));
    const store = await openPosixStore({ root: stage.source, speed: 'pooled', log: silentLog });
    stage.overlay = new Overlay({
      store: stage.gates.wrap(store),
      cache: undefined,
      log: silentLog,
      attributesTtlMs: 60_000,
      passthroughMinBytes: Number.POSITIVE_INFINITY,
      timestampGranularityMs: 0,
      awakeInodes: 0,
      ...options,
    });
    after(() => stage.overlay.stop());
    return stage;
  }

  async lookup(name: string): Promise<Entry> {
    const entry = await this.overlay.lookup(1, name, CALLER);
    assert.ok(typeof entry === 'object', `lookup of ${name}: ${String(entry)}`);
    return entry;
  }

  get resting(): number {
    return this.overlay.snapshot().restingInodes!;
  }

  async rested(count: number): Promise<void> {
    for (let tries = 0; tries < 2000 && this.resting !== count; tries++)
      await new Promise((resume) => setTimeout(resume, 5));
    assert.equal(this.resting, count, 'at rest');
    this.overlay.checkInvariants();
  }
}

test('what the kernel was told of a file is the same after a rest, and costs the store nothing', async () => {
  const stage = await Stage.open(3);
  const before = await Promise.all(['f0', 'f1', 'f2'].map((name) => stage.lookup(name)));
  await stage.rested(3);
  stage.gates.hold('attributes'); // whoever asks the store would wait
  for (const { node, attributes } of before) {
    const now = await stage.overlay.getattr(node, undefined, CALLER);
    assert.ok(typeof now === 'object');
    assert.deepEqual(now.attributes, attributes);
  }
  assert.equal(stage.overlay.snapshot().inodes, 4);
  const again = await stage.lookup('f1');
  assert.equal(again.node, before[1]!.node, 'the same nodeid');
});

test('lookups are counted on while an inode rests, and the last that is forgotten takes it away', async () => {
  const stage = await Stage.open(1);
  const { node } = await stage.lookup('f0');
  await stage.lookup('f0');
  await stage.lookup('f0');
  await stage.rested(1);
  await stage.overlay.getattr(node, undefined, CALLER); // awake, and at rest again
  await stage.rested(1);
  stage.overlay.forget(node, 2);
  await stage.rested(1);
  stage.overlay.forget(node, 1);
  assert.equal(stage.overlay.snapshot().inodes, 1);
  assert.equal(stage.overlay.snapshot().restingBytes, 0, 'its memory is free');
});

test('the kernel keeps the pages of a file that has rested', async () => {
  const stage = await Stage.open(1);
  const { node } = await stage.lookup('f0');
  const open = async (): Promise<Opened> => {
    const opened = await stage.overlay.open(node, fs.constants.O_RDONLY, false, CALLER);
    assert.ok(typeof opened === 'object');
    stage.overlay.release(node, opened.handle);
    return opened;
  };
  await open();
  const kept = (): number => stage.overlay.snapshot().opensKeptPages!;
  assert.equal(kept(), 0);
  await stage.rested(1);
  await open();
  assert.equal(kept(), 1);
});

test('an inode does not rest while it is open, nor while something that was asked of it is under way', async () => {
  const stage = await Stage.open(2, { attributesTtlMs: 0 });
  const [open, asked] = await Promise.all(['f0', 'f1'].map((name) => stage.lookup(name)));
  await stage.rested(2);
  const opened = await stage.overlay.open(open!.node, fs.constants.O_RDONLY, false, CALLER);
  assert.ok(typeof opened === 'object');
  stage.gates.hold('attributes');
  const answer = stage.overlay.getattr(asked!.node, undefined, CALLER);
  await new Promise((resume) => setTimeout(resume, 200));
  assert.equal(stage.resting, 0);
  // What the store says now goes to the inode that it was asked for, and is not lost.
  fs.chmodSync(path.join(stage.source, 'f1'), 0o600);
  stage.gates.letGo('attributes');
  await answer;
  await stage.rested(1);
  stage.overlay.release(open!.node, opened.handle);
  await stage.rested(2);
});

test('another file under the number of one that rests is another inode', async () => {
  const stage = await Stage.open(1, { attributesTtlMs: 0 });
  const { node } = await stage.lookup('f0');
  await stage.rested(1);
  const moved = path.join(stage.source, 'f0');
  fs.writeFileSync(`${moved}.new`, 'another');
  fs.renameSync(`${moved}.new`, moved);
  const now = await stage.lookup('f0');
  assert.notEqual(now.node, node);
  assert.equal(now.attributes.size, 7);
});

test('a thousand files rest, and each is what it was', async () => {
  const stage = await Stage.open(1000, { awakeInodes: 100 });
  const entries = await Promise.all(Array.from({ length: 1000 }, (_, i) => stage.lookup(`f${i}`)));
  await stage.rested(900);
  const bytes = stage.overlay.snapshot().restingBytes!;
  assert.ok(bytes < 900 * 400, `${bytes} bytes for 900`);
  for (const [i, { node }] of entries.entries()) {
    const now = await stage.overlay.getattr(node, undefined, CALLER);
    assert.ok(typeof now === 'object' && now.attributes.size === i + 1);
  }
  for (const { node } of entries) stage.overlay.forget(node, 1);
  assert.equal(stage.overlay.snapshot().inodes, 1);
});

test('files that were asked for once more do not keep each other awake', async () => {
  const files = 6000;
  const stage = await Stage.open(files, { awakeInodes: 100 });
  const pause = (): Promise<void> => new Promise((resume) => setTimeout(resume, 50));
  // Two that take long, one begun after the other: nothing can rest before both have ended.
  stage.gates.hold('change');
  stage.gates.hold('getXattr');
  const { node } = await stage.lookup('f0');
  const changed = stage.overlay.setattr(node, { mode: 0o600 }, undefined, CALLER);
  await pause();
  const entries = await Promise.all(Array.from({ length: files }, (_, i) => stage.lookup(`f${i}`)));
  const asked = stage.overlay.getxattr(node, 'user.x', CALLER);
  stage.gates.letGo('change');
  await changed;
  await new Promise((resume) => setTimeout(resume, 1000)); // until it looks seldom
  for (const entry of entries) await stage.overlay.getattr(entry.node, undefined, CALLER);
  assert.ok(stage.resting < files / 2, `${stage.resting} rest`);
  stage.gates.letGo('getXattr');
  await asked;
  const begunMs = performance.now();
  while (stage.resting < files - 200 && performance.now() - begunMs < 20_000) await pause();
  const ms = performance.now() - begunMs;
  assert.ok(ms < 3000, `after ${ms.toFixed(0)} ms ${stage.resting} rest`);
});
