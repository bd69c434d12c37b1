/** kill -9 in the middle of other things than serving, and what two daemons do with one cache directory. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { ml, mlOk } from '../cli/support.ts';
import { LoopDisk, noLoopDisk } from '../support/loop-disk.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, kill, launch } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, verifyFiles } from './programs.ts';

const ROUNDS = Number(process.env.MLO_ENDING_ROUNDS ?? 2);
const SECONDS = 120;
const small = { count: 300, size: 20_000 };
const large = { count: 4, size: 3_000_000 };

async function cacheOf(mount: Mounted): Promise<StatsDocument['cache']> {
  return (JSON.parse(await mlOk(['stats', mount.mountpoint, '--json'])) as StatsDocument).cache;
}

async function makeSource(): Promise<string> {
  const source = temporaryDirectory('source');
  await makeFiles(source, small);
  return source;
}

/** Mounts, compares every byte, and unmounts. */
async function throughCache(
  source: string,
  cache: string,
  more: readonly string[] = [],
): Promise<StatsDocument['cache']> {
  const mount = await mountOverlay({ source, options: ['--cache', cache, ...more] });
  const found = await withWatchdog(mount, SECONDS, async () => {
    await verifyFiles(mount.mountpoint, small);
    return cacheOf(mount);
  });
  await mount.unmount();
  return found;
}

// S9.4
test('a cache clear that is killed leaves a cache that can be used, and cleared', { skip: noMounts }, async () => {
  const source = await makeSource();
  for (let round = 0; round < ROUNDS; round++) {
    const cache = temporaryDirectory('cache');
    await throughCache(source, cache);
    const clearing = launch(command, ['cache', 'clear', cache]);
    const ended = finished(clearing, 60);
    await sleep(Math.random() * 600);
    kill(clearing);
    await ended;
    await throughCache(source, cache);
    await throughCache(source, cache);
    await mlOk(['cache', 'clear', cache]);
  }
});

// S9.4
test('a scrub that is killed leaves all as it was', { skip: noMounts || noLoopDisk }, async () => {
  const source = await makeSource();
  const disk = new LoopDisk(64 << 20); // nobody else reads there, which would keep the scrub from it
  try {
    // Unmounted, so that all is synced: the scrub takes nothing else. Twice, for one that did not get to it in its time.
    for (let i = 0; i < 2; i++) await throughCache(source, disk.directory);
    const mount = await mountOverlay({ source, options: ['--cache', disk.directory, '-o', 'scrub=400K'] });
    await withWatchdog(mount, SECONDS, async () => {
      for (let tries = 0; ((await cacheOf(mount)).scrub?.checkedBytes ?? 0) === 0; tries++) {
        assert.ok(tries < 300, 'the scrub begins');
        await sleep(100);
      }
      await mount.killDaemon();
    });
    const { damagedChunks, missBytes } = await throughCache(source, disk.directory, ['-o', 'scrub=1G']);
    assert.deepEqual([damagedChunks, missBytes], [0, 0], 'all is there and right');
    await mount.command(['umount', mount.mountpoint], 30);
  } finally {
    disk.remove();
  }
});

test('a second daemon for the same source and cache directory is refused, by name; the first goes on', {
  skip: noMounts,
}, async () => {
  const source = await makeSource();
  const cache = temporaryDirectory('cache');
  const first = await mountOverlay({ source, options: ['--cache', cache] });
  await withWatchdog(first, SECONDS, async () => {
    const [pid] = first.daemons();
    const second = await ml(['mount', source, temporaryDirectory('mnt'), '--cache', cache]);
    assert.equal(second.status, 32);
    assert.match(second.stderr, new RegExp(`^MLO_CACHE: .* is in use for this source by process ${pid}: .*--cache`));
    await verifyFiles(first.mountpoint, small);
    await first.killDaemon();
  });
  const third = await mountOverlay({ source, options: ['--cache', cache] }); // a lock ends with its daemon
  await withWatchdog(third, SECONDS, () => verifyFiles(third.mountpoint, small));
  await third.unmount();
});

test('daemons for other sources share a cache directory, one killed or not', { skip: noMounts }, async () => {
  const cache = temporaryDirectory('cache');
  const source = await makeSource();
  const other = temporaryDirectory('source');
  cpSync(source, other, { recursive: true });
  await makeFiles(other, large); // its first files have other bytes
  const mount = await mountOverlay({ source, options: ['--cache', cache] });
  const beside = await mountOverlay({ source: other, options: ['--cache', cache] });
  await withWatchdog(beside, SECONDS, async () => {
    await Promise.all([verifyFiles(mount.mountpoint, small), verifyFiles(beside.mountpoint, large)]);
    await mount.killDaemon();
    await verifyFiles(beside.mountpoint, large);
  });
  const again = await mountOverlay({ source, mountpoint: mount.mountpoint, options: ['--cache', cache] });
  await withWatchdog(again, SECONDS, () => verifyFiles(again.mountpoint, small));
  await again.unmount();
  await beside.unmount();
});
