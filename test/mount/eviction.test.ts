/**
 * A cache smaller than the data, over a real mount: what is hit from the second epoch on, what the store is asked for, that
 * the size is never overshot, and that a simulation of the recorded trace says the same. Sentences of docs/EVICTION.md.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSlowStore } from '../../bench/slow-store/client.ts';
import type { Simulation } from '../../src/cli/simulate-text.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { dice, shuffled } from '../cache/eviction/workloads.ts';
import { mlOk } from '../cli/support.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const CLASSES = 4;
const FILES = 96;
/** Whole blocks, so that the disk takes what the cache counts. */
const FILE = 64 * 1024;
const ALL = FILES * FILE;
const EPOCHS = 4;

/** Opens, reads and closes each file named on its standard input, and checks its every byte. */
const READER = `
import os, sys
for line in sys.stdin:
    number, path = line.split()
    fd = os.open(os.path.join(sys.argv[1], path), os.O_RDONLY)
    got = os.read(fd, ${FILE} + 1)
    os.close(fd)
    assert got == bytes([int(number)]) * ${FILE}, path
`;

const paths = Array.from({ length: FILES }, (_, at) => `train/c${at % CLASSES}/${at}.jpg`);

function makeSource(): string {
  const source = temporaryDirectory('behind');
  for (let at = 0; at < CLASSES; at++) mkdirSync(join(source, `train/c${at}`), { recursive: true });
  for (const [at, path] of paths.entries()) writeFileSync(join(source, path), Buffer.alloc(FILE, at + 1));
  return source;
}

async function readAll(mount: Mounted, order: readonly number[]): Promise<void> {
  const input = order.map((at) => `${at + 1} ${paths[at]}\n`).join('');
  const { status, stderr } = await run(python, ['-c', READER, mount.mountpoint], { input, seconds: 60 });
  assert.equal(status, 0, stderr);
}

/** Until nothing is under way any more: what was read is kept after its reader has it. */
async function settled(mount: Mounted): Promise<StatsDocument> {
  let last = '';
  for (let tries = 0; tries < 200; tries++) {
    const stats = JSON.parse(await mlOk(['stats', mount.mountpoint, '--json'])) as StatsDocument;
    const state = JSON.stringify([stats.store, stats.cache, stats.opens, stats.reads, stats.now]);
    if (stats.now.files === 0 && stats.cache.heldBytes === 0 && state === last) return stats;
    last = state;
    await sleep(30);
  }
  assert.fail('the mount did not come to rest');
}

/** What the disk has of objects, in bytes. */
function onDisk(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/^\d+$/.test(entry.name)) continue;
    bytes += (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

interface Epoch {
  hitRatio: number;
  storeBytes: number;
}

interface Run {
  epochs: Epoch[];
  simulation: Simulation;
  last: StatsDocument;
}

/** Epochs over a mount with a cache of that size, and what the simulator makes of their trace. */
async function epochs(order: 'fixed' | 'shuffled', sizeBytes: number, policy: string): Promise<Run> {
  const slow = await startSlowStore({
    source: makeSource(),
    mountpoint: temporaryDirectory('slow'),
    latencyMs: 1,
    bandwidth: 1e9,
    ttlMs: 600_000,
  });
  try {
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source: slow.mountpoint,
      options: [
        ...['--cache', `${cache}:${sizeBytes}`],
        ...['-o', `prefetch=off,cache-policy=${policy},disable=keep-cache,sample-opens=off`], // every read is to be seen
      ],
    });
    const found: Epoch[] = [];
    const file = join(temporaryDirectory('trace'), 'trace');
    let last: StatsDocument | undefined;
    await withWatchdog(mount, 120, async () => {
      const recording = launch(command, ['trace', 'record', mount.mountpoint, file]);
      const ended = finished(recording, 110);
      for (let tries = 0; !existsSync(file) || statSync(file).size === 0; tries++) {
        assert.ok(tries < 1000, 'the recording has begun');
        await sleep(20);
      }
      const random = dice(EPOCHS);
      const numbers = paths.map((_, at) => at);
      for (let epoch = 0; epoch < EPOCHS; epoch++) {
        const before = await settled(mount);
        await slow.reset();
        let reading = true;
        const watched = (async () => {
          for (; reading; await sleep(5)) {
            const bytes = onDisk(cache);
            assert.ok(bytes <= sizeBytes, `${bytes} on a disk of ${sizeBytes}`);
          }
        })();
        await readAll(mount, order === 'fixed' ? numbers : shuffled(numbers, random));
        reading = false;
        await watched;
        last = await settled(mount);
        assert.ok(last.cache.bytes <= sizeBytes);
        assert.ok(onDisk(cache) <= sizeBytes);
        const bytes = last.reads.bytes - before.reads.bytes;
        assert.equal(bytes, ALL, 'every byte is read through the daemon');
        const { bytesRead } = await slow.counts();
        found.push({
          hitRatio: (last.reads.fromCache!.bytes - before.reads.fromCache!.bytes) / bytes,
          storeBytes: bytesRead,
        });
      }
      recording.kill('SIGINT');
      assert.equal((await ended).status, 0);
    });
    await mount.unmount();
    const words = ['simulate', '--trace', file, '--cache', String(sizeBytes), '--policy', 'all', '--json'];
    return { epochs: found, simulation: JSON.parse(await mlOk(words)) as Simulation, last: last! };
  } finally {
    await slow.stop();
  }
}

function agree({ simulation, last }: Run, policy: string): void {
  const { recorded, results, compulsory, unknown, assumed } = simulation;
  assert.deepEqual([unknown, assumed], [0, 0]);
  assert.equal(recorded.readBytes, EPOCHS * ALL, 'the trace has every read');
  assert.equal(last.cache.policy, policy);
  const simulated = results.find((one) => one.policy === policy)!;
  const did = recorded.hitBytes / recorded.readBytes;
  assert.ok(Math.abs(simulated.byteHitRatio! - did) <= 0.02, `simulated ${simulated.byteHitRatio}, was ${did}`);
  assert.equal(compulsory.byteHitRatio, (EPOCHS - 1) / EPOCHS);
  const best = results.find((one) => one.policy === 'belady')!.byteHitRatio!;
  for (const { policy: name, byteHitRatio } of results) assert.ok(byteHitRatio! <= best + 1e-9, `${name} beats MIN`);
}

for (const order of ['fixed', 'shuffled'] as const) {
  for (const share of [0.25, 0.5, 0.75]) {
    test(`a cache of ${share} of the data, ${order} order: that share is hit from the second epoch`, {
      skip: noMounts,
    }, async () => {
      const done = await epochs(order, share * ALL, 'mix');
      for (const [at, { hitRatio, storeBytes }] of done.epochs.entries()) {
        if (at === 0) continue;
        assert.ok(hitRatio >= 0.95 * share, `epoch ${at + 1}: ${hitRatio} of bytes hit`);
        assert.ok(storeBytes <= 1.05 * (1 - share) * ALL, `epoch ${at + 1}: ${storeBytes} from the store`);
      }
      agree(done, 'mix');
    });
  }
}

for (const policy of ['epoch-keep', 'lru', 'cost-aware']) {
  test(`what ${policy} hits on a mount is what it hits simulated`, { skip: noMounts }, async () => {
    const done = await epochs('shuffled', ALL / 2, policy);
    agree(done, policy);
    const { evictions, evictedBytes } = done.last.cache;
    assert.equal(evictedBytes, evictions * FILE);
    assert.equal(evictions > 0, policy !== 'epoch-keep');
  });
}
