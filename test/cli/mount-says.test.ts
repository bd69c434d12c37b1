/** What `mount` says when it went well: a line to a person, JSON to a program that asks, nothing to mount(8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oneLine } from '../../src/cli/mount.ts';
import { callDaemon } from '../../src/control/client.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

test('one line has what a person asks for', () => {
  const mount = { source: '/src', mountpoint: '/mnt', pid: 7, socket: '/s', log: '/l' };
  const sizeBytes = 100 * 2 ** 30;
  const cache = { directory: '/nvme', sizeBytes, tiers: [{ path: '/nvme', sizeBytes }] };
  assert.equal(oneLine({ ...mount, cache }), '/src on /mnt: cache 100 GiB in /nvme, pid 7');
  cache.tiers.unshift({ path: 'mem', sizeBytes: 2 ** 30 });
  assert.equal(oneLine({ ...mount, cache }), '/src on /mnt: cache 100 GiB in mem and /nvme, pid 7');
  assert.equal(oneLine({ ...mount, cache: 'none' }), '/src on /mnt: no cache, pid 7');
  assert.equal(oneLine({ ...mount, pid: null, cache: null }), '/src on /mnt: its daemon has ended');
});

/** Mounts by `words` in a terminal, or not in one, and returns what was printed. Unmounts by itself. */
async function mounts(words: readonly string[], terminal: boolean): Promise<string> {
  const quoted = [command, ...words].map((word) => `'${word}'`).join(' ');
  const done = terminal
    ? await run('script', ['-qec', quoted, '/dev/null'], { seconds: 30 })
    : await run(command, words, { seconds: 30 });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  return done.stdout;
}

test('a terminal gets the line; a pipe and mount(8) get nothing; --json says where the daemon is', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('source');
  // A mount that the harness knows, and takes away should this test fail, lends its place.
  const first: Mounted = await mountOverlay({ source, options: ['--cache', 'none'] });
  const { mountpoint } = first;
  await withWatchdog(first, 90, async () => {
    const ways: [string[], boolean, RegExp][] = [
      [['mount', source, mountpoint, '--cache', 'none'], true, /^\S+ on \S+: no cache, pid \d+\r\n$/],
      [['mount', source, mountpoint, '--cache', 'none'], false, /^$/],
      [[source, mountpoint, '-o', 'rw,cache=none'], true, /^$/],
      [['mount', source, mountpoint, '--cache', 'none', '--json'], false, /^\{\n/],
    ];
    for (const [words, terminal, said] of ways) {
      assert.equal((await run(command, ['umount', mountpoint])).status, 0);
      const printed = await mounts(words, terminal);
      assert.match(printed, said, words.join(' '));
      if (!words.includes('--json')) continue;
      const { pid, socket, log, ...rest } = JSON.parse(printed) as Record<string, unknown>;
      assert.deepEqual(rest, { source, mountpoint, cache: 'none' });
      const status = JSON.parse((await run(command, ['status', mountpoint, '--json'])).stdout) as Record<
        string,
        unknown
      >;
      assert.deepEqual([pid, log], [status.pid, status.log]);
      assert.equal((await callDaemon(String(socket), 'GET', '/ready')).ready, true);
    }
    assert.equal((await run(command, ['umount', mountpoint])).status, 0);
    for (const word of ['--all', '-f']) {
      const refused = await run(command, ['mount', source, mountpoint, '--json', word]);
      assert.match(refused.stderr, /^MLO_USAGE: mount: --json and /);
    }
  });
});
