/** Warming up without a mount: how much is under way at once, what is left known, and which files are left alone. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cache, openCache } from '../../src/cache/index.ts';
import { Core } from '../../src/overlay/core.ts';
import { Demand } from '../../src/overlay/demand.ts';
import type { Caller } from '../../src/overlay/filesystem.ts';
import { Overlay, ROOT, type WarmupProgress } from '../../src/overlay/index.ts';
import { Slots } from '../../src/overlay/slots.ts';
import type { Job } from '../../src/overlay/warmup/job.ts';
import { PATHS_MOST } from '../../src/overlay/warmup/walk.ts';
import { Warmups } from '../../src/overlay/warmup/warmups.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Store } from '../../src/store/store.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { Gates } from '../support/gated-store.ts';

const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };
const { O_RDONLY, O_WRONLY } = fs.constants;
const MIB = 1 << 20;
const UNSETTLED_MS = 60;

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-warmup-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

interface Stage {
  source: string;
  overlay: Overlay;
  cache: Cache;
  gates: Gates;
  store: Store;
}

interface StageOptions {
  files: Readonly<Record<string, number>>;
  speed?: 'inline' | 'pooled';
  requests?: number;
  sizeBytes?: number;
  rules?: { pin: string[]; neverCache: string[] };
}

async function onOverlay(options: StageOptions, body: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = path.join(workspace, String(serial++));
  const source = path.join(directory, 'source');
  for (const [name, size] of Object.entries(options.files)) {
    fs.mkdirSync(path.dirname(path.join(source, name)), { recursive: true });
    fs.writeFileSync(path.join(source, name), Buffer.alloc(size, name));
  }
  await sleep(UNSETTLED_MS);
  const gates = new Gates();
  const store = gates.wrap(
    await openPosixStore({ root: source, speed: options.speed ?? 'pooled', readOnly: false, log: silentLog }),
  );
  const cacheDirectory = path.join(directory, 'cache');
  fs.mkdirSync(cacheDirectory);
  const cache = await openCache({
    directory: cacheDirectory,
    sizeBytes: options.sizeBytes ?? 256 * MIB,
    reserveBytes: 0,
    storeId: store.id,
    log: silentLog,
    ...(options.rules && { rules: options.rules }),
  });
  const overlay = new Overlay({
    store,
    cache,
    log: silentLog,
    attributesTtlMs: 1000,
    passthroughMinBytes: MIB,
    warmupRequests: options.requests ?? 8,
  });
  try {
    await body({ source, overlay, cache, gates, store });
  } finally {
    await overlay.stop();
  }
}

function begin(
  { overlay, cache }: Stage,
  paths: readonly string[],
  action: 'fetch' | 'check' | 'evict' = 'fetch',
): Job {
  const job = overlay.warmups.begin(cache, action);
  assert.ok(job);
  assert.equal(job.add(paths), paths.length);
  job.end();
  return job;
}

async function done(stage: Stage, paths: readonly string[], action?: 'fetch' | 'check' | 'evict') {
  return ended(stage, begin(stage, paths, action));
}

/** Waits as the command does: a job that nobody asks for is cancelled. */
async function ended({ overlay }: Stage, job: Job): Promise<WarmupProgress> {
  for (; job.progress.state === 'running'; await sleep(20)) overlay.warmups.get(job.progress.id);
  await job.ended;
  return job.now();
}

async function open({ overlay }: Stage, name: string, flags: number): Promise<{ node: number; handle: number }> {
  const entry = await overlay.lookup(ROOT, name);
  assert.ok(typeof entry === 'object');
  const opened = await overlay.open(entry.node, flags, false, CALLER);
  assert.ok(typeof opened === 'object');
  return { node: entry.node, handle: opened.handle };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(5)) if (condition()) return;
  assert.fail(`not in time: ${what}`);
}

test('slots: in the order of arrival, so many at once, and so many bytes', async () => {
  let most = 3;
  const slots = new Slots(() => most, 100);
  const ended: (() => void)[] = [];
  const order: number[] = [];
  const work = (name: number, bytes: number): Promise<void> =>
    slots.run(bytes, () => {
      order.push(name);
      return new Promise<void>((resolve) => ended.push(resolve));
    });
  const end = async (): Promise<void> => {
    ended.shift()?.();
    await sleep(0);
  };
  const all = [work(0, 10), work(1, 10), work(2, 90), work(3, 1), work(4, 500), work(5, 1)];
  await sleep(0);
  assert.deepEqual(order, [0, 1], 'the third is too many bytes, and nobody overtakes it');
  await end();
  assert.deepEqual(order, [0, 1, 2]);
  await end();
  assert.deepEqual(order, [0, 1, 2, 3]);
  most = 1;
  await end();
  assert.equal(order.length, 4, 'there is one under way still');
  await end();
  assert.deepEqual(order, [0, 1, 2, 3, 4], 'one alone may be larger');
  await end();
  await end();
  await Promise.all(all);
  await assert.rejects(
    slots.run(1, () => Promise.reject(new Error('x'))),
    /x/,
  );
  assert.equal(slots.underWay, 0);
});

test('demand is there while somebody waits', async () => {
  const demand = new Demand();
  assert.equal(demand.present, false);
  demand.began();
  demand.began();
  demand.ended();
  await sleep(150);
  assert.equal(demand.present, true);
  demand.ended();
  await until('the end of demand', () => !demand.present);
});

for (const speed of ['inline', 'pooled'] as const) {
  test(`everything is whole afterwards, and nothing is left known or open: ${speed}`, async () => {
    const files: Record<string, number> = { 'a/empty': 0, 'a/b/deep': 5, large: 20 * MIB + 1, chunk: 256 * 1024 };
    for (let i = 0; i < 100; i++) files[`many/f${i}`] = 100 + i;
    await onOverlay({ files, speed }, async (stage) => {
      const { overlay, cache } = stage;
      const bytes = Object.values(files).reduce((sum, size) => sum + size, 0);
      const before = overlay.snapshot();
      const { state, files: counted, bytes: counts, listed } = await done(stage, ['']);
      assert.deepEqual([state, listed, counted.found, counted.fetched, counted.whole], ['done', true, 104, 103, 1]);
      assert.deepEqual([counts.found, counts.fetched], [bytes, bytes]);
      assert.deepEqual([overlay.snapshot().inodes, overlay.snapshot().openFiles], [before.inodes, before.openFiles]);
      overlay.checkInvariants();
      const snapshot = cache.snapshot();
      assert.deepEqual([snapshot.completeObjects, snapshot.usedBytes, snapshot.misses], [103, bytes, 0]);
      const { node, handle } = await open(stage, 'large', O_RDONLY);
      const into = Buffer.alloc(MIB);
      const read = await overlay.read(node, handle, 20 * MIB - 100, MIB, into, CALLER);
      const got = typeof read === 'number' ? into.subarray(0, read) : read.bytes;
      assert.deepEqual(Buffer.from(got), Buffer.alloc(files.large!, 'large').subarray(20 * MIB - 100));
      overlay.release(node, handle);
      const gone = await done(stage, ['many'], 'evict');
      assert.deepEqual([gone.files.evicted, cache.snapshot().completeObjects], [100, 3]);
      const check = await done(stage, ['many/f1', 'large', 'nothing'], 'check');
      assert.deepEqual(
        [check.files.none, check.files.whole, check.errors],
        [1, 1, [{ path: 'nothing', error: 'ENOENT' }]],
      );
    });
  });
}

test('the requests under way are as many as may be, and few beside a reader', async () => {
  const files: Record<string, number> = { wanted: 100 };
  for (let i = 0; i < 100; i++) files[`d/f${i}`] = 5000;
  await onOverlay({ files, requests: 16 }, async (stage) => {
    const { gates, overlay } = stage;
    gates.hold('read');
    const alone = begin(stage, ['d']);
    await until('16 reads', () => gates.waiting('read') === 16);
    await sleep(50);
    assert.equal(gates.waiting('read'), 16);
    gates.letGo('read');
    assert.equal((await ended(stage, alone)).files.fetched, 100);

    assert.equal((await done(stage, ['d'], 'evict')).files.evicted, 100);
    const { node, handle } = await open(stage, 'wanted', O_RDONLY);
    gates.hold('read');
    const answer = overlay.read(node, handle, 0, 100, Buffer.alloc(100), CALLER);
    const beside = begin(stage, ['d']);
    await until('the read of the reader, and an eighth of 16', () => gates.waiting('read') === 3);
    await sleep(50);
    assert.equal(gates.waiting('read'), 3);
    gates.letGo('read');
    assert.equal((await (answer as Promise<{ bytes: Uint8Array }>)).bytes.length, 100);
    assert.equal((await ended(stage, beside)).files.fetched, 100);
    overlay.release(node, handle);
  });
});

test('files that are written to, or have just changed, are not kept half', async () => {
  await onOverlay({ files: { written: 1000, other: 10, late: 4 * MIB } }, async (stage) => {
    const { source, overlay, cache, gates } = stage;
    const { node, handle } = await open(stage, 'written', O_WRONLY);
    const first = await done(stage, ['written', 'other']);
    assert.deepEqual([first.files.failed, first.files.fetched], [1, 1]);
    assert.deepEqual(first.errors, [{ path: 'written', error: 'EBUSY' }]);
    overlay.release(node, handle);

    gates.hold('read');
    const job = begin(stage, ['late']);
    await until('reads', () => gates.waiting('read') > 0);
    fs.writeFileSync(path.join(source, 'late'), Buffer.alloc(3 * MIB, 'new'));
    gates.letGo('read');
    const { files, state } = await ended(stage, job);
    assert.deepEqual([state, files.fetched, files.failed], ['done', 1, 0]);
    assert.equal(cache.snapshot().usedBytes, 10 + 3 * MIB, 'nothing is left of what it was');
  });
});

test('what does not fit ends it early, before anything is pushed out', async () => {
  const files: Record<string, number> = {};
  for (let i = 0; i < 40; i++) files[`f${i}`] = 100_000;
  await onOverlay({ files, sizeBytes: 2 * MIB }, async (stage) => {
    const { state, files: counted } = await done(stage, ['']);
    assert.equal(state, 'full');
    assert.ok(counted.fetched <= 20 && counted.fetched >= 10, `${counted.fetched}`);
    assert.ok(stage.cache.snapshot().usedBytes <= 2 * MIB);
    const again = await done(stage, ['']);
    assert.deepEqual([again.state, again.bytes.cached > 0], ['full', true]);
  });
});

test('what is never cached is left out, and said to be so when it is named; what is pinned stays', async () => {
  const files = { 'kept/a': 100_000, 'kept/b': 100_000, 'never/a': 100_000, 'other/a': 100_000 };
  const rules = { pin: ['kept'], neverCache: ['never'] };
  await onOverlay({ files, rules }, async (stage) => {
    const all = await done(stage, ['']);
    assert.deepEqual([all.state, all.files.fetched, all.files.skipped, all.files.failed], ['done', 3, 1, 0]);
    assert.equal(all.files.found, 3);
    assert.equal(stage.cache.snapshot().usedBytes, 300_000);
    assert.equal(stage.cache.snapshot().pinnedBytes, 200_000);
    const named = await done(stage, ['never/a', 'other/a']);
    assert.deepEqual([named.state, named.files.whole, named.files.failed], ['done', 1, 1]);
    assert.deepEqual(named.errors, [{ path: 'never/a', error: 'EPERM' }]);
  });
});

test('a job that is cancelled, and one that ends with the mount, hold nothing', async () => {
  const files: Record<string, number> = {};
  for (let i = 0; i < 50; i++) files[`d${i % 5}/f${i}`] = 100;
  await onOverlay({ files }, async (stage) => {
    const { gates, overlay } = stage;
    gates.hold('read');
    const job = begin(stage, ['']);
    await until('reads', () => gates.waiting('read') === 8);
    job.cancel();
    assert.equal(job.now().state, 'cancelled');
    assert.equal(job.add(['d1']), 0, 'it takes nothing more');
    gates.letGo('read');
    await job.ended;
    assert.equal(overlay.snapshot().inodes, 1);
    overlay.checkInvariants();
    const { files: counted } = job.now();
    assert.ok(counted.fetched <= 8);
    assert.equal(overlay.warmups.totals().running, 0);
  });
});

test('paths are taken as they are worked through; jobs have an end', async () => {
  await onOverlay({ files: { f: 1 }, requests: 1 }, async (stage) => {
    const { gates, overlay, cache } = stage;
    gates.hold('lookup');
    const job = overlay.warmups.begin(cache, 'check')!;
    const paths = Array.from({ length: PATHS_MOST + 1000 }, () => 'd/f');
    const taken = job.add(paths);
    assert.ok(taken >= PATHS_MOST && taken < paths.length, `${taken}`);
    for (let i = 0; i < 3; i++) assert.ok(overlay.warmups.begin(cache, 'check'));
    assert.equal(overlay.warmups.begin(cache, 'check'), undefined, 'four at once');
    gates.letGo('lookup');
    job.end();
    assert.equal((await ended(stage, job)).files.failed, taken);
    assert.equal(job.now().errors.length, 10);
    assert.equal(overlay.warmups.totals().errors, taken);
  });
});

test('a job that nobody asks for any more is cancelled, one that is asked for is not', async () => {
  await onOverlay({ files: { f: 1 } }, async ({ store, cache }) => {
    const core = new Core({ store, cache, log: silentLog, attributesTtlMs: 1000, passthroughMinBytes: MIB });
    const warmups = new Warmups(core, 4, (node) => core.forget(node, 1), 1000);
    const wanted = warmups.begin(cache, 'check')!;
    const forgotten = warmups.begin(cache, 'check')!;
    await until('the end of it', () => {
      warmups.get(wanted.progress.id);
      return forgotten.progress.state === 'cancelled';
    });
    await forgotten.ended;
    assert.equal(wanted.progress.state, 'running');
    await warmups.stop();
    assert.equal(wanted.progress.state, 'cancelled');
  });
});

test('the kernel does not go on by a size that a look-up of ours has found to be old', async () => {
  await onOverlay({ files: { grown: 1000, same: 1000 } }, async (stage) => {
    const { overlay, source } = stage;
    const invalidated: number[] = [];
    overlay.start({
      passthrough: false,
      registerBacking: () => -1,
      unregisterBacking: () => {},
      pages: new Uint8Array(0),
      pushPages: () => -1,
      invalidateAttributes: (node) => invalidated.push(node),
      invalidateData: async () => {},
      invalidateEntry: async () => {},
    });
    const grown = await overlay.lookup(ROOT, 'grown');
    const same = await overlay.lookup(ROOT, 'same');
    assert.ok(typeof grown === 'object' && typeof same === 'object');
    fs.appendFileSync(path.join(source, 'grown'), 'more');
    await sleep(UNSETTLED_MS);
    await done(stage, ['']);
    assert.deepEqual(invalidated, [grown.node]);
  });
});
