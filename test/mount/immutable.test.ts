/** `-o ro,immutable`: the kernel opens files by itself, and reads them through standing handles. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusJson } from '../cli/support.ts';
import { command, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, verifyFiles } from './programs.ts';

const set = { count: 60, size: 300_000 };
const ways: [string, string[]][] = [
  ['of a local source', ['--cache', 'none']],
  ['of a source that may be slow, with a cache', ['--cache', temporaryDirectory('cache'), '-o', 'store-speed=pooled']],
  ['of a source that may be slow, without one', ['--cache', 'none', '-o', 'store-speed=pooled']],
];

for (const [name, options] of ways) {
  test(`an immutable mount ${name} reads right without an OPEN a file`, { skip: noMounts }, async () => {
    const source = temporaryDirectory('source');
    await makeFiles(source, set);
    const mount = await mountOverlay({ source, options: [...options, '-o', 'ro,immutable'] });
    await withWatchdog(mount, 60, async () => {
      for (const flags of [[], ['--mapped'], ['--random'], ['--direct']])
        await verifyFiles(mount.mountpoint, set, flags);
      const done = await run('/bin/sh', ['-c', 'echo x > "$1/new" || echo refused', 'sh', mount.mountpoint]);
      assert.match(done.stdout, /refused/);
      const status = await run(command, ['status', mount.mountpoint, '--json']);
      // Those of the first moment come side by side; once one is answered there is no other.
      const { stats } = JSON.parse(status.stdout) as StatusJson;
      const opens = stats.operations.OPEN?.count ?? 0;
      assert.ok(opens >= 1 && opens < set.count / 4, `${opens} OPENs`);
      // The kernel forgets, and what was kept for the files with it.
      await run('/bin/sh', ['-c', 'echo 2 > /proc/sys/vm/drop_caches']);
      await verifyFiles(mount.mountpoint, set, ['--random']);
    });
    await mount.unmount();
  });
}
