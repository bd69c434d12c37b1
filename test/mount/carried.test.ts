/** Bytes that go from a file's pages to the kernel past the daemon (fuse/device-pipe.ts), over real mounts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, closeSync, openSync, readSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { command, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, verifyFiles } from './programs.ts';

const SECONDS = 60;
const served = ['-o', 'disable=passthrough', '-o', 'disable=keep-cache'];

async function readsOf(mountpoint: string): Promise<StatsDocument['reads']> {
  const { stdout, stderr, status } = await run(command, ['stats', mountpoint, '--json'], { seconds: 20 });
  assert.equal(status, 0, stderr);
  return (JSON.parse(stdout) as StatsDocument).reads;
}

for (const [name, cache] of [
  ['the source', () => 'none'],
  ['the cache', () => temporaryDirectory('cache')],
] as const) {
  for (const off of [false, true]) {
    test(`${name} is read right ${off ? 'without' : 'with'} splice`, { skip: noMounts }, async () => {
      const sets = [
        { count: 60, size: 50_000 },
        { count: 2, size: 5_000_001 },
      ];
      const source = temporaryDirectory('source');
      for (const [at, set] of sets.entries()) {
        execFileSync('mkdir', [join(source, `${at}`)]);
        await makeFiles(join(source, `${at}`), set);
      }
      const options = ['--cache', cache(), ...served, ...(off ? ['-o', 'disable=splice'] : [])];
      const mount = await mountOverlay({ source, options });
      await withWatchdog(mount, SECONDS, async () => {
        for (const [at, set] of sets.entries()) {
          for (const flags of [[], ['--random'], ['--mapped'], ['--processes', '4']]) {
            await verifyFiles(join(mount.mountpoint, `${at}`), set, flags);
          }
        }
        const { carried, count } = await readsOf(mount.mountpoint);
        if (off) assert.equal(carried, 0);
        else assert.ok(carried > 100 && carried < count, `${carried} of ${count} reads`);
      });
      await mount.unmount();
    });
  }
}

test('what is read on and on of a large file is carried', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  writeFileSync(join(source, 'large'), Buffer.alloc(16 << 20, 'large'));
  const mount = await mountOverlay({ source, options: ['--cache', 'none', ...served] });
  await withWatchdog(mount, SECONDS, async () => {
    execFileSync('cmp', [join(source, 'large'), join(mount.mountpoint, 'large')]);
    const { carried, count } = await readsOf(mount.mountpoint);
    assert.ok(carried >= 16 && carried >= count - 4, `${carried} of ${count}`); // the first are short
  });
  await mount.unmount();
});

test('a file that is longer or shorter than it was believed to be is read as it is', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  const size = 200_000;
  for (const name of ['grown', 'cut', 'same']) writeFileSync(join(source, name), Buffer.alloc(size, name));
  const mount = await mountOverlay({ source, options: ['--cache', 'none', ...served, '-o', 'disable=push-pages'] });
  await withWatchdog(mount, SECONDS, async () => {
    const into = Buffer.alloc(2 * size);
    for (const [name, change, length] of [
      ['same', () => {}, size],
      ['grown', () => appendFileSync(join(source, 'grown'), Buffer.alloc(100_000, 'more')), size],
      ['cut', () => truncateSync(join(source, 'cut'), 150_000), 150_000],
    ] as const) {
      const fd = openSync(join(mount.mountpoint, name), 'r');
      change();
      const count = readSync(fd, into, 0, into.length, 0);
      closeSync(fd);
      assert.ok(count >= length, `${name}: ${count} bytes`); // the kernel may go by the size it was told
      assert.ok(into.subarray(0, length).equals(Buffer.alloc(size, name).subarray(0, length)), name);
      const rest = Buffer.alloc(100_000, name === 'grown' ? 'more' : 0);
      if (count > length) assert.ok(into.subarray(length, count).equals(rest.subarray(0, count - length)), name);
      assert.equal(statSync(join(source, name)).size, name === 'grown' ? 300_000 : length);
    }
  });
  await mount.unmount();
});
