/** Readers that are killed, a daemon that is killed, and what is left of a mount after each. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, kill, launch, run } from '../support/run.ts';
import { detach, mountedAt, withWatchdog } from '../support/watchdog.ts';
import { launchProgram, makeFiles, python, verifyFiles } from './programs.ts';

const set = { count: 60, size: 400_000 };
const source = temporaryDirectory('source');

test('the files are made', () => makeFiles(source, set));

for (const [name, extra] of [
  ['', []],
  [' from a source that may be slow', ['-o', 'store-speed=pooled']],
  [' without passthrough', ['-o', 'disable=passthrough']],
] as const) {
  // S9.3
  test(`readers killed in the middle of reads disturb nobody${name}`, { skip: noMounts }, async () => {
    const mount = await mountOverlay({ source, options: ['--cache', temporaryDirectory('cache'), ...extra] });
    await withWatchdog(mount, 90, async () => {
      for (let round = 0; round < 8; round++) {
        const words = ['verify', mount.mountpoint, set.count, set.size, '--processes', 4];
        const readers = ['--random', '--mapped', '--direct'].map((flag) => launchProgram('files.py', [...words, flag]));
        await sleep(100 + round * 40);
        for (const reader of readers) kill(reader, 'SIGKILL');
        await Promise.all(readers.map((reader) => finished(reader, 20)));
      }
      await verifyFiles(mount.mountpoint, set, ['--processes', '4']);
    });
    await mount.unmount();
  });
}

// S9.4
test('after the daemon was killed clients get ENOTCONN, and the directory can be mounted again', {
  skip: noMounts,
}, async () => {
  const cache = temporaryDirectory('cache');
  const options = ['--cache', cache];
  const mount = await mountOverlay({ source, options });
  await withWatchdog(mount, 60, async () => {
    await verifyFiles(mount.mountpoint, set);
    const client = holder(mount.mountpoint);
    await client.ready;
    const pids = mount.pids();
    assert.ok(pids.length > 0 && mount.daemons().length > 0, 'the daemon is known');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    const lines = await client.answers;
    assert.deepEqual(lines, { open: 'ENOTCONN', stat: 'ENOTCONN', listdir: 'ENOTCONN' });
  });
  // No daemon, but a mount that is in the way until someone takes it out.
  detach(mount.mountpoint);
  assert.equal(mountedAt(mount.mountpoint), undefined, 'the dead mount can be detached');
  const again = await mountOverlay({ source, mountpoint: mount.mountpoint, options });
  await withWatchdog(again, 60, () => verifyFiles(again.mountpoint, set));
  await again.unmount();
});

test('umount takes out a mount whose daemon was killed', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source, options: ['--cache', 'none'] });
  for (const pid of mount.pids()) process.kill(pid, 'SIGKILL');
  await mount.unmount();
});

test('umount --force ends a daemon that hangs', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source, options: ['--cache', 'none'] });
  for (const pid of mount.daemons()) process.kill(pid, 'SIGSTOP');
  const stuck = run('stat', [`${mount.mountpoint}/000001`], { seconds: 40 });
  await sleep(300);
  const forced = await mount.command(['umount', mount.mountpoint, '--force'], 30);
  assert.equal(forced.status, 0, forced.stdout + forced.stderr);
  assert.equal(mountedAt(mount.mountpoint), undefined, 'it is unmounted');
  assert.notEqual((await stuck).status, 124, 'whoever waited got an answer');
  const deadline = Date.now() + 5000;
  while (mount.pids().length > 0 && Date.now() < deadline) await sleep(50);
  assert.deepEqual(mount.pids(), [], 'the daemon has gone');
});

/** A client that opens what is there, waits until the daemon is gone, and tells what its calls say then. */
function holder(mountpoint: string): { ready: Promise<void>; answers: Promise<Record<string, string>> } {
  const program = `
import errno, json, os, sys, time
os.chdir(sys.argv[1])
def name(f, *a):
    try: f(*a)
    except OSError as e: return errno.errorcode[e.errno]
    return 'ok'
print('ready', flush=True)
calls = {'open': lambda: os.close(os.open('000001', os.O_RDONLY)), 'stat': lambda: os.stat('000002'), 'listdir': lambda: os.listdir('.')}
end = time.monotonic() + 10
while time.monotonic() < end and name(calls['open']) == 'ok': time.sleep(0.02)
print(json.dumps({key: name(call) for key, call in calls.items()}), flush=True)
`;
  const client = launch(python, ['-c', program, mountpoint]);
  const ready = new Promise<void>((resolve) => {
    client.stdout?.once('data', () => resolve());
    client.once('exit', () => resolve()); // `answers` says why
  });
  return {
    ready,
    answers: finished(client, 30).then((result) => {
      assert.equal(result.status, 0, result.stderr);
      return JSON.parse(result.stdout.split('\n')[1] ?? '{}') as Record<string, string>;
    }),
  };
}
