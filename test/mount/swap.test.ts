/**
 * Directories of the source become symbolic links and directories again while others work in the mount: nothing outside
 * the source is ever reached (programs/swap.py). MLO_SWAP_SECONDS=60 for the long run.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { kill, launch, run } from '../support/run.ts';
import { abortConnection, detach, mountedAt, withWatchdog } from '../support/watchdog.ts';
import { runProgram } from './programs.ts';

const seconds = Number(process.env.MLO_SWAP_SECONDS ?? 10);
const USER = 61001;

interface Report {
  done: Record<string, number>;
  wrong: string[];
  wrongs: number;
}

async function prepared(): Promise<string> {
  const top = temporaryDirectory('swap');
  const done = await runProgram('swap.py', ['prepare', join(top, 'tree'), USER]);
  assert.equal(done.status, 0, done.stderr);
  return join(top, 'tree');
}

/** Undefined: the programs did not come to an end. */
async function attacked(top: string, mountpoint: string, length: number, grace: number): Promise<Report | undefined> {
  const done = await runProgram('swap.py', ['attack', top, mountpoint, length, USER], { seconds: length + grace });
  if (done.status === 124) return undefined;
  assert.ok(done.stdout.startsWith('{'), `status ${done.status}: ${done.stdout}${done.stderr}`);
  return JSON.parse(done.stdout) as Report;
}

async function attack(top: string, mountpoint: string, length: number): Promise<Report> {
  const report = await attacked(top, mountpoint, length, 30);
  assert.ok(report, `no end of the attack within ${length + 30} s`);
  return report;
}

for (const [name, options, length] of [
  ['with a cache', ['--cache', 'CACHE', '--attr-ttl', '0'], seconds],
  ['without a cache', ['--cache', 'none'], seconds / 2],
  ['from a source that may be slow', ['--cache', 'CACHE', '--attr-ttl', '0', '-o', 'store-speed=pooled'], seconds / 2],
] as const) {
  // S6.6, S6.1
  test(`swapping directories for links never leads outside, and denied users stay denied, ${name}`, {
    skip: noMounts,
  }, async (t) => {
    const top = await prepared();
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source: join(top, 'source'),
      options: options.map((word) => (word === 'CACHE' ? cache : word)),
    });
    const report = await withWatchdog(mount, length + 40, () => attack(top, mount.mountpoint, length));
    t.diagnostic(JSON.stringify(report.done));
    assert.deepEqual(report.wrong, [], `${report.wrongs} things wrong`);
    for (const what of ['swaps', 'read', 'list', 'stat', 'change']) {
      assert.ok((report.done[what] ?? 0) > 0, `nothing of: ${what}`);
    }
    await mount.unmount();
  });
}

/** bindfs hands paths to the kernel as they are, as root: what the attack is made for. */
const bindfs = existsSync('/usr/bin/bindfs') ? false : 'bindfs is not installed';

test('the same attack leads a naive resolver outside', { skip: noMounts || bindfs }, async (t) => {
  // Now and then bindfs hangs under this attack, which proves nothing either way: a fresh one is attacked then.
  for (let attempt = 1; attempt <= 3; attempt++) {
    const top = await prepared();
    const mountpoint = join(top, 'naive');
    mkdirSync(mountpoint);
    const words = ['-f', '-o', 'allow_other,default_permissions', join(top, 'source'), mountpoint];
    const naive = launch('/usr/bin/bindfs', words); // in front, so that it can be ended when it hangs
    try {
      for (let tries = 0; mountedAt(mountpoint) === undefined && tries < 100; tries++) await sleep(50);
      const report = await withWatchdog({ mountpoint }, 40, () => attacked(top, mountpoint, 4, 10));
      if (report === undefined) continue;
      const text = report.wrong.join('\n');
      assert.match(text, /outside/, `only this was found wrong: ${text}`);
      return;
    } finally {
      await run('umount', [mountpoint], { seconds: 5 });
      abortConnection(mountpoint); // where it hangs: its users end then, and bindfs itself
      detach(mountpoint);
      kill(naive);
    }
  }
  t.skip('bindfs hung three times');
});
