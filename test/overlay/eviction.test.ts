/**
 * Overlay and cache in one process, the cache smaller than the data: right bytes whatever goes, what waits for its next open
 * gives way, and the hit ratio of epochs. (Over a real mount: test/mount/eviction.test.ts.)
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cache, type CacheOptions, openCache } from '../../src/cache/index.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import type { Store } from '../../src/store/store.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { dice, shuffled } from '../cache/eviction/workloads.ts';
import { KernelModel } from '../support/kernel-model.ts';

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-evicting-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));

const FILES = 64;
const FILE = 64 * 1024;
const ALL = FILES * FILE;

class Stage {
  readonly root: string;
  readonly store: Store;
  readonly cache: Cache;
  readonly overlay: Overlay;
  readonly kernel: KernelModel;

  private constructor(root: string, store: Store, cache: Cache, passthroughMinBytes: number) {
    this.root = root;
    this.store = store;
    this.cache = cache;
    const keepCache = false; // each read is to come to the cache
    this.overlay = new Overlay({
      store,
      cache,
      log: silentLog,
      attributesTtlMs: 60_000,
      passthroughMinBytes,
      keepCache,
      pushPages: false,
    });
    this.kernel = new KernelModel(this.overlay, true);
  }

  static async open(options: Partial<CacheOptions> & { sizeBytes: number }, passthroughMin: number): Promise<Stage> {
    const root = fs.mkdtempSync(path.join(workspace, 'stage-'));
    const source = path.join(root, 'source');
    for (let at = 0; at < FILES; at++) {
      const file = path.join(source, `c${at % 4}`, `${at}.jpg`);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, Buffer.alloc(FILE, at + 1));
      fs.utimesSync(file, 1_700_000_000, 1_700_000_000);
    }
    await sleep(100); // what was changed just now is not cached
    const store = await openPosixStore({ root: source, speed: 'pooled', log: silentLog });
    const directory = path.join(root, 'cache');
    const cache = await openCache({ directory, storeId: store.id, log: silentLog, ...options });
    return new Stage(root, store, cache, passthroughMin);
  }

  /** Opens a file, checks its every byte, closes it, and waits until it is kept or refused. */
  async read(at: number): Promise<void> {
    const outcome = (): string => {
      const { completeObjects, evictions, refused } = this.cache.snapshot();
      return JSON.stringify([completeObjects + evictions, refused]); // the sum: of all that were kept
    };
    const [before, askedBefore] = [outcome(), this.store.counts().bytes];
    const file = await this.kernel.open(`/c${at % 4}/${at}.jpg`, fs.constants.O_RDONLY);
    assert.ok(typeof file === 'object', String(file));
    const bytes = await this.kernel.read(file, 0, FILE);
    assert.ok(Buffer.isBuffer(bytes) && bytes.equals(Buffer.alloc(FILE, at + 1)), `file ${at}`);
    // On a busy machine its way to the disk can look like rest.
    const missed = this.store.counts().bytes > askedBefore;
    for (let tries = 0; missed && tries < 400 && outcome() === before; tries++) await sleep(5);
    this.kernel.close(file);
    await this.settled();
    assert.ok(this.cache.snapshot().usedBytes <= this.cache.snapshot().sizeBytes, 'the size is never overshot');
  }

  async settled(): Promise<void> {
    let last = '';
    for (let tries = 0, same = 0; tries < 2000; tries++) {
      const { usedBytes, heldBytes, completeObjects, refused } = this.cache.snapshot();
      const state = JSON.stringify([usedBytes, completeObjects, refused, this.store.counts().requests]);
      same = state === last && heldBytes === 0 ? same + 1 : 0;
      if (same === 4) return;
      last = state;
      await sleep(3);
    }
    assert.fail('the overlay did not come to rest');
  }

  async stop(): Promise<void> {
    this.kernel.forgetAll();
    this.overlay.checkInvariants();
    await this.overlay.stop();
  }

  /** Descriptors of objects without a name: their space is not free. */
  nameless(): string[] {
    return fs.readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const target = fs.readlinkSync(`/proc/self/fd/${fd}`);
        return target.startsWith(this.root) && target.endsWith(' (deleted)') ? [target] : [];
      } catch {
        return [];
      }
    });
  }
}

test('objects that only wait for their next open in passthrough give way, and their space is free', async () => {
  const stage = await Stage.open({ sizeBytes: ALL / 4, policy: 'lru' }, FILE);
  for (let epoch = 0; epoch < 2; epoch++) for (let at = 0; at < FILES; at++) await stage.read(at);
  await stage.read(FILES - 1); // once more: from the object
  const { opensTierPassthrough = 0 } = stage.overlay.snapshot();
  assert.ok(opensTierPassthrough > 0, 'some were handed to the kernel');
  const { evictions, usedBytes, objects, heldBytes } = stage.cache.snapshot();
  assert.equal(evictions, 2 * FILES - FILES / 4);
  assert.deepEqual([usedBytes, objects, heldBytes], [ALL / 4, FILES / 4, 0]);
  // Each handed to the kernel, then all of them pushed out.
  for (let at = FILES - FILES / 4; at < FILES; at++) await stage.read(at);
  assert.equal(stage.overlay.snapshot().idleBackings, FILES / 4);
  for (let at = 0; at < FILES / 4; at++) await stage.read(at);
  assert.equal(stage.overlay.snapshot().idleBackings, 0);
  assert.equal(stage.cache.snapshot().evictions, evictions + FILES / 4);
  assert.equal(stage.cache.snapshot().usedBytes, ALL / 4);
  assert.deepEqual(stage.nameless(), []);
  await stage.stop();
});

test('an open object in passthrough stays, however much else is read', async () => {
  const stage = await Stage.open({ sizeBytes: ALL / 4, policy: 'lru' }, FILE);
  await stage.read(0);
  const held = await stage.kernel.open('/c0/0.jpg', fs.constants.O_RDONLY);
  assert.ok(typeof held === 'object' && held.backingFd !== undefined, 'the kernel has the object');
  for (let at = 1; at < FILES; at++) await stage.read(at);
  assert.deepEqual(stage.nameless(), []);
  const bytes = await stage.kernel.read(held, 0, FILE);
  assert.ok(Buffer.isBuffer(bytes) && bytes.equals(Buffer.alloc(FILE, 1)));
  stage.kernel.close(held);
  await stage.read(0);
  await stage.stop();
});

for (const order of ['fixed', 'shuffled'] as const) {
  for (const share of [0.25, 0.5, 0.75]) {
    test(`epochs, ${order}, with ${share} of the data: that share is hit, and the rest asked of the store`, async () => {
      const stage = await Stage.open({ sizeBytes: share * ALL }, 2 * FILE);
      const random = dice(9);
      const files = Array.from({ length: FILES }, (_, at) => at);
      for (let epoch = 0; epoch < 4; epoch++) {
        const before = { ...stage.cache.snapshot(), bytes: stage.store.counts().bytes };
        for (const at of order === 'fixed' ? files : shuffled(files, random)) await stage.read(at);
        if (epoch === 0) continue;
        const hit = (stage.cache.snapshot().hitBytes - before.hitBytes) / ALL;
        const asked = stage.store.counts().bytes - before.bytes;
        assert.ok(hit >= 0.95 * share, `epoch ${epoch + 1}: ${hit} hit`);
        assert.ok(asked <= 1.05 * (1 - share) * ALL, `epoch ${epoch + 1}: ${asked} asked`);
      }
      assert.equal(stage.cache.snapshot().evictions, 0, 'nothing is exchanged for what is worth the same');
      await stage.stop();
    });
  }
}
