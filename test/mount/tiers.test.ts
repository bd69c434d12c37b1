/** A cache of several tiers over a real mount: in memory and on disk, more data than memory has room for, and what the next mount finds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSlowStore } from '../../bench/slow-store/client.ts';
import { liveRecord } from '../../src/cli/live-record.ts';
import { callDaemon } from '../../src/control/client.ts';
import type { CacheStats, StatsDocument } from '../../src/telemetry/stats.ts';
import { ml, mlOk, statusOf } from '../cli/support.ts';
import {
  command,
  type Mounted,
  mountOverlay,
  noMounts,
  noUserMounts,
  ORDINARY_USER,
  temporaryDirectory,
} from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { detach, withWatchdog } from '../support/watchdog.ts';
import { makeFiles, verifyFiles } from './programs.ts';

const MIB = 2 ** 20;
const SECONDS = 120;
const small = { count: 80, size: 64_000 };
const large = { count: 3, size: 1_500_000 };

/** Asked without a command in between: it is asked again and again. */
async function cacheOf(mount: Mounted): Promise<CacheStats> {
  const { socket } = liveRecord(mount.mountpoint);
  return ((await callDaemon(socket, 'GET', '/stats', { timeoutMs: 60_000 })) as unknown as StatsDocument).cache;
}

async function until(mount: Mounted, what: string, done: (cache: CacheStats) => boolean): Promise<CacheStats> {
  let cache: CacheStats | undefined;
  for (let tries = 0; tries < 240; tries++) {
    cache = await cacheOf(mount);
    if (done(cache)) return cache;
    await sleep(250);
  }
  return assert.fail(`not within 60 s: ${what}: ${JSON.stringify(cache)}`);
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

/** Looks at the sizes again and again while `body` runs; the most that was seen of each tier, and on the disk. */
async function watched(
  mount: Mounted,
  disk: string,
  body: () => Promise<unknown>,
): Promise<{ most: number[]; onDisk: number }> {
  const most = { most: [0, 0], onDisk: 0 };
  let running = true;
  const work = body().finally(() => {
    running = false;
  });
  while (running) {
    const { tiers } = await cacheOf(mount);
    most.most = tiers.map(({ bytes }, at) => Math.max(bytes, most.most[at] ?? 0));
    most.onDisk = Math.max(most.onDisk, onDisk(disk));
    await sleep(50);
  }
  await work;
  return most;
}

test('memory and disk: all of it is kept, what memory has no room for below, and the next mount finds it', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('behind');
  await makeFiles(source, small);
  await makeFiles(join(source, 'large'), large);
  const store = await startSlowStore({ source, mountpoint: temporaryDirectory('slow'), latencyMs: 1 });
  const disk = temporaryDirectory('cache');
  const options = ['--cache', 'mem:2M', '--cache', `${disk}:64M`, '-o', 'disable=keep-cache,sample-opens=off'];
  try {
    const mount = await mountOverlay({ source: store.mountpoint, options });
    const all = async (flags: string[] = []): Promise<void> => {
      await verifyFiles(mount.mountpoint, small, flags);
      await verifyFiles(join(mount.mountpoint, 'large'), large, flags);
    };
    await withWatchdog(mount, SECONDS, async () => {
      const seen = await watched(mount, disk, () => all());
      assert.ok(seen.most[0]! <= 2 * MIB && seen.most[0]! > MIB, `memory had ${seen.most[0]} bytes`);
      assert.ok(seen.most[1]! <= 64 * MIB && seen.onDisk <= 65 * MIB, `the disk had ${seen.most[1]}, ${seen.onDisk}`);
      const total = small.count + large.count;
      const cache = await until(mount, 'all of it is on the disk', ({ tiers }) => tiers[1]!.objects === total);
      assert.deepEqual([cache.tiers.map(({ path }) => path), cache.objects], [['mem', disk], total]);
      assert.ok(cache.tiers[1]!.demotions > 0, 'what memory had was copied below');

      await store.reset();
      for (const flags of [[], ['--random']]) await all(flags);
      assert.equal((await store.counts()).bytesRead, 0, 'nothing was read of the source again');
      const { tiers, hits } = await cacheOf(mount);
      assert.ok(tiers.every((tier) => tier.hits > 0));
      assert.equal(hits, tiers[0]!.hits + tiers[1]!.hits);
    });
    await mount.unmount();

    const again = await mountOverlay({ source: store.mountpoint, options });
    await withWatchdog(again, SECONDS, async () => {
      await store.reset();
      await verifyFiles(again.mountpoint, small);
      assert.equal((await store.counts()).bytesRead, 0, 'the disk had all of it');
      await until(again, 'memory fills from below', ({ tiers }) => tiers[0]!.promotions > 10);
      await verifyFiles(again.mountpoint, small);
      assert.ok((await cacheOf(again)).tiers[0]!.hits > 10);
    });
    await again.unmount();
  } finally {
    await store.stop();
  }
});

test('what is read more often than the rest moves up, and what it pushes out moves down', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, small);
  const disk = temporaryDirectory('cache');
  const fast = temporaryDirectory('fast');
  const options = ['--cache', `${fast}:1M`, '--cache', `${disk}:64M`, '-o', 'cache-policy=lru,disable=keep-cache'];
  const mount = await mountOverlay({ source, options });
  await withWatchdog(mount, SECONDS, async () => {
    const seen = await watched(mount, fast, async () => {
      for (let turn = 0; turn < 3; turn++) await verifyFiles(mount.mountpoint, small);
      await until(mount, 'both ways', ({ tiers }) => tiers[0]!.promotions > 5 && tiers[1]!.demotions > 5);
    });
    assert.ok(seen.most[0]! <= MIB && seen.onDisk <= MIB + small.count * 4096, JSON.stringify(seen));
    const text = await mlOk(['status', mount.mountpoint]);
    assert.match(text, /cache +2 tiers: /);
    assert.match(text, new RegExp(`tier +${fast}: .* moved up to it .*; ok`));
    assert.match(text, new RegExp(`tier +${disk}: .* moved down to it .*; ok`));
    assert.match(await mlOk(['stats', mount.mountpoint]), new RegExp(`${fast}: .* moved up to it`));
  });
  await mount.unmount();
  assert.match(await mlOk(['cache', 'check', fast]), /nothing is damaged/);
  assert.match(await mlOk(['cache', 'check', disk]), /nothing is damaged/);
});

test('warm-ups fill, tell of and empty all tiers', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, small);
  const disk = temporaryDirectory('cache');
  const mount = await mountOverlay({ source, options: ['--cache', 'mem:1M', '--cache', `${disk}:64M`] });
  await withWatchdog(mount, SECONDS, async () => {
    await mlOk(['warmup', mount.mountpoint]);
    const { objects, tiers } = await cacheOf(mount);
    assert.equal(objects, small.count);
    assert.ok(tiers[0]!.bytes > MIB / 2, `memory has ${tiers[0]!.bytes}`);
    const check = JSON.parse(await mlOk(['warmup', '--check', '--json', mount.mountpoint])) as Record<string, unknown>;
    assert.match(JSON.stringify(check), new RegExp(`"(whole|cached)":${small.count}\\b`));
    await mlOk(['warmup', '--evict', mount.mountpoint]);
    await until(mount, 'all tiers are empty', (cache) => cache.bytes === 0);
  });
  await mount.unmount();
});

test('memory alone: the kernel reads large files of it by itself, no one else sees it, and set makes it smaller', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('source');
  await makeFiles(source, large);
  const before = tmpfsMounts('self');
  const mount = await mountOverlay({ source, options: ['--cache', 'mem:32M', '-o', 'sample-opens=off'] });
  await withWatchdog(mount, SECONDS, async () => {
    for (const flags of [[], ['--random'], ['--mapped'], ['--direct']])
      await verifyFiles(mount.mountpoint, large, flags);
    const { stats, effective } = await statusOf(mount.mountpoint);
    assert.deepEqual(effective.cache, {
      directory: 'mem',
      sizeBytes: 32 * MIB,
      tiers: [{ path: 'mem', sizeBytes: 32 * MIB }],
    });
    assert.ok(stats.opens.byWay.tierPassthrough >= 2 * large.count, JSON.stringify(stats.opens));
    assert.equal(stats.cache.completeObjects, large.count);
    assert.equal(tmpfsMounts('self'), before, 'it is mounted nowhere');
    for (const pid of mount.daemons()) assert.equal(tmpfsMounts(String(pid)), before);

    await mlOk(['set', mount.mountpoint, 'cache=mem:4M']);
    await until(mount, 'it is smaller', ({ bytes, sizeBytes }) => sizeBytes === 4 * MIB && bytes <= 4 * MIB);
    await verifyFiles(mount.mountpoint, large);
    const { status, stderr } = await ml(['set', mount.mountpoint, 'cache=mem:900G']);
    assert.equal(status === 0, false);
    assert.match(stderr, /MLO_CACHE: 900 GiB of cache do not fit the memory: .* give mem:\d+M at most/);
    const other = await ml(['set', mount.mountpoint, 'cache=/elsewhere:8M']);
    assert.match(other.stderr, /only its size can change while mounted: ml-overlay set MOUNTPOINT cache=mem:SIZE/);
  });
  await mount.unmount();
});

function tmpfsMounts(process: string): number {
  return readFileSync(`/proc/${process}/mountinfo`, 'utf8')
    .split('\n')
    .filter((line) => / - tmpfs /.test(line)).length;
}

test('an ordinary user’s memory is that of their own tmpfs, and nothing of it stays', {
  skip: noUserMounts,
}, async () => {
  const source = temporaryDirectory('source', ORDINARY_USER);
  await makeFiles(source, { count: 20, size: 50_000 });
  const mountpoint = temporaryDirectory('mnt', ORDINARY_USER);
  const runtime = temporaryDirectory('runtime', ORDINARY_USER);
  const home = temporaryDirectory('home', ORDINARY_USER);
  const env = { PATH: process.env.PATH ?? '', HOME: home, XDG_RUNTIME_DIR: runtime };
  const user = ORDINARY_USER;
  const words = ['mount', source, mountpoint, '--cache', 'mem:8M'];
  const refused = await run(command, words, { env, user, seconds: 30 });
  assert.match(refused.stderr, /MLO_CACHE: .*no tmpfs can be made .*XDG_RUNTIME_DIR is none: mount as root, or leave/);

  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=16m,uid=${user},mode=0700`, 'runtime', runtime]);
  try {
    const tooMuch = await run(command, [...words.slice(0, -1), 'mem:17M'], { env, user, seconds: 30 });
    assert.match(tooMuch.stderr, /has 16 MiB free, less than .*17 MiB: give mem:SIZE less than/);
    const mounted = await run(command, words, { env, user, seconds: 30 });
    assert.equal(mounted.status, 0, mounted.stderr);
    try {
      await withWatchdog({ mountpoint }, 60, async () => {
        const verify = ['-c', `cd ${mountpoint} && for f in *; do cmp "$f" "${source}/$f" || exit 1; done`];
        for (let turn = 0; turn < 2; turn++) {
          assert.equal((await run('/bin/sh', verify, { env, user, seconds: 30 })).status, 0);
        }
        const stats = await run(command, ['stats', mountpoint, '--json'], { env, user, seconds: 30 });
        assert.ok((JSON.parse(stats.stdout) as StatsDocument).cache.tiers[0]!.objects === 20, stats.stdout);
      });
    } finally {
      await run(command, ['umount', mountpoint], { env, user, seconds: 30 });
    }
    assert.deepEqual(readdirSync(join(runtime, 'ml-overlay-mem')), []);
  } finally {
    detach(mountpoint);
    detach(runtime);
  }
});
