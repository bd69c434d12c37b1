/** With calls through an io_uring and without one, allowed or not: the same bytes, and `status` tells which it is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { beginIoUring } from '../../src/sys/uring-calls.ts';
import { needsRoot } from '../cli/support.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const filter = join(import.meta.dirname, 'programs/without_uring.py');
const FILES = 40;
const filtered = ['-c', `exec python3 -B ${filter} "$0" "$@"`];

interface Variant {
  name: string;
  options: string;
  within?: string[];
  /** Undefined: it is on. */
  off?: RegExp;
  skip?: string | false;
}

const variants: Variant[] = [
  { name: 'with an io_uring', options: 'ro', skip: beginIoUring(1) ?? false },
  { name: 'without one, by option', options: 'ro,disable=io-uring', off: /disabled by option/ },
  // no_new_privs, which a filter needs, takes the rights of fusermount3
  { name: 'where it is not permitted', options: 'ro', within: filtered, off: /not permitted/, skip: needsRoot },
];

for (const { name, options, within, off, skip } of variants) {
  test(`${name} every byte is right, cold and from the cache`, { skip: noMounts || skip || false }, async () => {
    const source = temporaryDirectory('source');
    mkdirSync(join(source, 'inner'));
    const contents = Array.from({ length: FILES }, (_, index) => randomBytes(1000 + 40_000 * (index % 5)));
    for (const [index, content] of contents.entries()) writeFileSync(join(source, 'inner', String(index)), content);
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source,
      options: ['--cache', cache, '-o', `store-speed=pooled,disable=keep-cache,${options}`],
      ...(within && { within }),
    });
    await withWatchdog(mount, 60, async () => {
      const warmed = await mount.command(['warmup', join(mount.mountpoint, 'inner')], 60);
      assert.match(warmed.stdout, /40 brought/, warmed.stderr);
      for (const [index, content] of contents.entries()) {
        assert.ok(readFileSync(join(mount.mountpoint, 'inner', String(index))).equals(content), String(index));
      }
      const status = JSON.parse((await mount.command(['status', mount.mountpoint, '--json'], 60)).stdout);
      assert.equal(status.stats.cache.missBytes, 0); // all of it came from the cache
      if (off === undefined)
        assert.ok(status.capabilities.on.includes('io-uring'), status.capabilities.off['io-uring']);
      else assert.match(status.capabilities.off['io-uring'], off);
    });
    await mount.unmount();
  });
}

test('doctor says why there is none', { skip: noMounts || needsRoot }, async () => {
  const ml = join(import.meta.dirname, '../../bin/ml-overlay');
  const { stdout } = await run('python3', ['-B', filter, ml, 'doctor'], { seconds: 60 });
  assert.match(stdout, /note +io_uring +not permitted/);
});
