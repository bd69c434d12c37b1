/**
 * Small files whose bytes go to the kernel with the answer to OPEN (overlay/push.ts), over a real mount: right bytes while
 * many open, map, drop and replace the same files, no hang, and nothing pushed to those who read only the beginning.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, runProgram, verifyFiles } from './programs.ts';

const SECONDS = 60;
const served = ['--cache', 'none', '-o', 'disable=passthrough', '-o', 'disable=keep-cache'];

async function pushed(mountpoint: string): Promise<number> {
  const { stdout } = await run(command, ['status', mountpoint, '--json'], { seconds: 20 });
  const found = /"(?:opensPushed|pushed)": (\d+)/.exec(stdout);
  assert.ok(found, stdout);
  return Number(found[1]);
}

test('the bytes of small files come with their OPEN, and are right', { skip: noMounts }, async () => {
  const set = { count: 100, size: 50_000 };
  const source = temporaryDirectory('source');
  await makeFiles(source, set);
  const mount = await mountOverlay({ source, options: served });
  await withWatchdog(mount, SECONDS, async () => {
    for (const flags of [[], ['--random'], ['--mapped'], ['--processes', '4']]) {
      await verifyFiles(mount.mountpoint, set, flags);
    }
    assert.ok((await pushed(mount.mountpoint)) > 100, `only ${await pushed(mount.mountpoint)} were pushed`);
  });
  await mount.unmount();
});

test('nothing is pushed where it is switched off', { skip: noMounts }, async () => {
  const set = { count: 60, size: 50_000 };
  const source = temporaryDirectory('source');
  await makeFiles(source, set);
  const mount = await mountOverlay({ source, options: [...served, '-o', 'disable=push-pages'] });
  await withWatchdog(mount, SECONDS, async () => {
    await verifyFiles(mount.mountpoint, set, []);
    assert.equal(await pushed(mount.mountpoint), 0);
  });
  await mount.unmount();
});

test('files of which only the beginning is read are not pushed', { skip: noMounts }, async () => {
  const set = { count: 200, size: 200_000 };
  const source = temporaryDirectory('source');
  await makeFiles(source, set);
  const mount = await mountOverlay({ source, options: served });
  await withWatchdog(mount, SECONDS, async () => {
    const heads =
      'import os,sys\nfor d,_,n in os.walk(sys.argv[1]):\n for f in n:\n  fd=os.open(d+"/"+f,os.O_RDONLY)\n' +
      '  os.posix_fadvise(fd,0,0,os.POSIX_FADV_RANDOM)\n  os.read(fd,100)\n  os.close(fd)\n';
    const done = await run('/usr/bin/python3', ['-c', heads, mount.mountpoint], { seconds: 30 });
    assert.equal(done.status, 0, done.stderr);
    assert.equal(await pushed(mount.mountpoint), 0);
  });
  await mount.unmount();
});

test('many who open, map, drop and replace the same small files never hang, and never see a mixture', {
  skip: noMounts,
}, async () => {
  const source = temporaryDirectory('source');
  const mount = await mountOverlay({ source, options: [...served, '--attr-ttl', '0'] });
  await withWatchdog(mount, SECONDS, async () => {
    const done = await runProgram('push.py', [source, mount.mountpoint, 6], { seconds: 50 });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.ok((await pushed(mount.mountpoint)) > 100);
  });
  await mount.unmount();
});
