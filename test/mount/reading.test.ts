/**
 * Real readers over real mounts, every byte compared: PyTorch's DataLoader, plain and random reads, mappings, O_DIRECT,
 * and fio's own verification of what it writes.
 */
// time limit: 900 s
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, runProgram, verifyFiles } from './programs.ts';

/** Only what hangs takes as long. */
const SECONDS = 180;

/** `CACHE` stands for a directory of the mount's own. Small and large files take different ways. */
const ways: { name: string; options: string[] }[] = [
  { name: 'cached, with passthrough', options: ['--cache', 'CACHE'] },
  { name: 'cached, without passthrough', options: ['--cache', 'CACHE', '-o', 'disable=passthrough'] },
  { name: 'uncached', options: ['--cache', 'none'] },
  { name: 'from a source that may be slow', options: ['--cache', 'CACHE', '-o', 'store-speed=pooled'] },
];
const optionsOf = (way: { options: string[] }): string[] =>
  way.options.map((word) => (word === 'CACHE' ? temporaryDirectory('cache') : word));

const small = { count: 300, size: 110_000 };
const large = { count: 6, size: 6_000_000 };
const smallSource = temporaryDirectory('small');
const largeSource = temporaryDirectory('large');

test('the files are made', async () => {
  await makeFiles(smallSource, small);
  await makeFiles(largeSource, large);
});

for (const way of ways) {
  // S1.7
  test(`every way of reading gives every byte, ${way.name}`, { skip: noMounts }, async (t) => {
    for (const [what, source, set] of [
      ['small files', smallSource, small],
      ['large files', largeSource, large],
    ] as const) {
      const mount = await mountOverlay({ source, options: optionsOf(way) });
      await withWatchdog(mount, SECONDS, async () => {
        for (const flags of [[], ['--random'], ['--mapped'], ['--direct'], ['--processes', '4']]) {
          const name = `${what}, ${flags.join(' ') || 'plain'}`;
          await t.test(name, async () => {
            assert.ok((await verifyFiles(mount.mountpoint, set, flags)).bytes > 0);
          });
        }
      });
      await mount.unmount();
    }
  });

  // S1.7
  test(`what is read first with O_DIRECT or through a mapping is right too, ${way.name}`, {
    skip: noMounts,
  }, async () => {
    for (const flag of ['--direct', '--mapped', '--random']) {
      const mount = await mountOverlay({ source: largeSource, options: optionsOf(way) });
      await withWatchdog(mount, SECONDS, () => verifyFiles(mount.mountpoint, large, [flag]));
      await mount.unmount();
    }
  });
}

for (const way of [ways[0]!, ways[3]!]) {
  test(`a DataLoader with two workers sees every byte in each of three epochs, ${way.name}`, {
    skip: noMounts,
  }, async (t) => {
    const mount = await mountOverlay({ source: smallSource, options: optionsOf(way) });
    const words = [mount.mountpoint, small.count, small.size, 3];
    const done = await withWatchdog(mount, SECONDS, () =>
      runProgram('dataloader.py', words, { seconds: SECONDS - 10 }),
    );
    await mount.unmount();
    if (done.status === 3) return t.skip(`no PyTorch: ${done.stderr.trim()}`);
    assert.equal(done.status, 0, done.stderr);
    const epochs = done.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { items: number; wrong: string[] });
    assert.deepEqual(
      epochs.map(({ items, wrong }) => ({ items, wrong })),
      [1, 2, 3].map(() => ({ items: small.count, wrong: [] })),
    );
  });
}

const fio = existsSync('/usr/bin/fio') ? false : 'fio is not installed';

for (const way of ways) {
  test(`fio verifies what it wrote, ${way.name}`, { skip: noMounts || fio }, async (t) => {
    const mount = await mountOverlay({ source: temporaryDirectory('fio'), options: optionsOf(way) });
    await withWatchdog(mount, SECONDS, async () => {
      for (const direct of [0, 1]) {
        await t.test(direct ? 'direct' : 'buffered', async () => {
          const words = [
            '--name=verify',
            `--directory=${mount.mountpoint}`,
            `--direct=${direct}`,
            '--rw=randwrite',
            '--bsrange=4k-128k',
            '--size=12m',
            '--numjobs=2',
            '--ioengine=psync',
            '--verify=crc32c',
            '--verify_fatal=1',
            '--do_verify=1',
            '--randrepeat=0',
            '--group_reporting',
          ];
          const done = await run('/usr/bin/fio', words, { seconds: SECONDS, cwd: '/' });
          assert.equal(done.status, 0, `${done.stdout}${done.stderr}`);
          assert.doesNotMatch(done.stdout + done.stderr, /verify: bad|verify failed/);
        });
      }
    });
    await mount.unmount();
  });
}
