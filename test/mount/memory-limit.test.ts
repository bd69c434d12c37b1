/** A daemon in a control group of 512 MiB, with 64 readers, all of which it serves itself. MLO_LIMIT_MIB makes the data more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryLimit, noMemoryLimit } from '../support/memory-limit.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { makeFiles, runProgram } from './programs.ts';

const LIMIT = 512 << 20;
const READERS = 64;
const FILE = 8 << 20;
const COUNT = Math.ceil(Number(process.env.MLO_LIMIT_MIB ?? 96) / 8);

// S1.1
test('64 readers do not make a daemon with 512 MiB too large, passthrough off', {
  skip: noMounts || noMemoryLimit(),
}, async (t) => {
  const limit = new MemoryLimit(LIMIT);
  try {
    const source = temporaryDirectory('source');
    await makeFiles(source, { count: COUNT, size: FILE });
    const mount = await mountOverlay({
      source,
      within: limit.shell,
      options: ['--cache', `${temporaryDirectory('cache')}:4G`, '-o', 'disable=passthrough,store-speed=pooled'],
    });
    const pids = mount.daemons();
    assert.deepEqual(limit.pids(), pids, 'the daemon is in the group');
    await withWatchdog(mount, 300, async () => {
      const words = [mount.mountpoint, COUNT, FILE, READERS];
      const done = await runProgram('readers.py', words, { seconds: 280 });
      assert.equal(done.status, 0, `${done.stdout}${done.stderr}`);
    });
    assert.deepEqual(mount.daemons(), pids, 'the daemon lives');
    assert.equal(limit.kills, 0);
    t.diagnostic(`${COUNT * 8} MiB, ${READERS} readers: ${limit.peakBytes >> 20} MiB at most, no kill`);
    await mount.unmount();
  } finally {
    limit.remove();
  }
});
