/** Walks over a slow store: how many requests they come to, and that a source which changes meanwhile is shown as it is. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const DIRECTORIES = 3;
const FILES = 100;

/** Lists each directory, then asks for the attributes of each name, as `find` and `ls -l` do; prints what it found. */
const WALK = `
import json, os, sys
root, rounds, found = sys.argv[1], int(sys.argv[2]), []
for _ in range(rounds):
    for d in sorted(os.listdir(root)):
        for name in os.listdir(os.path.join(root, d)):
            try:
                found.append([d + '/' + name, os.lstat(os.path.join(root, d, name)).st_size])
            except FileNotFoundError:
                pass
print(json.dumps(found))
`;

async function walk(root: string, rounds = 1): Promise<[string, number][]> {
  const { status, stdout, stderr } = await run(python, ['-c', WALK, root, String(rounds)], { seconds: 90 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as [string, number][];
}

interface Stage {
  source: string;
  slow: SlowStore;
  mount: Mounted;
}

async function onSlowStore(ttlMs: number, options: string, body: (stage: Stage) => Promise<void>): Promise<void> {
  const source = temporaryDirectory('behind');
  for (let d = 0; d < DIRECTORIES; d++) {
    mkdirSync(join(source, `d${d}`));
    for (let i = 0; i < FILES; i++) writeFileSync(join(source, `d${d}/f${i}`), Buffer.alloc(i));
  }
  const slow = await startSlowStore({ source, mountpoint: temporaryDirectory('slow'), latencyMs: 5, ttlMs });
  try {
    const mount = await mountOverlay({ source: slow.mountpoint, options: ['--cache', 'none', '-o', options] });
    await withWatchdog(mount, 240, () => body({ source, slow, mount }));
    await mount.unmount();
  } finally {
    await slow.stop();
  }
}

test('a walk asks for each name once, with many requests under way; the next asks for none', {
  skip: noMounts,
}, async () => {
  await onSlowStore(600_000, 'attr-ttl=600', async ({ slow, mount }) => {
    await slow.reset();
    assert.equal((await walk(mount.mountpoint)).length, DIRECTORIES * FILES);
    const { byKind, inFlightMost } = await slow.counts();
    assert.equal(byKind.lookup, DIRECTORIES * (FILES + 1));
    assert.equal(byKind.opendir, DIRECTORIES + 1);
    assert.ok(inFlightMost >= 8, `${inFlightMost} at once`);
    await slow.reset();
    assert.equal((await walk(mount.mountpoint)).length, DIRECTORIES * FILES);
    assert.deepEqual((await slow.counts()).byKind, {});
    const { status, stdout, stderr } = await mount.command(['stats', mount.mountpoint, '--json'], 20);
    assert.equal(status, 0, stderr);
    const { metadata } = JSON.parse(stdout) as StatsDocument;
    assert.equal(metadata?.entries, DIRECTORIES * (FILES + 1));
    assert.equal(metadata?.aheadUnused, 0);
  });
});

test('walks over a source that changes show what was there, and after the lease what is there', {
  skip: noMounts,
}, async () => {
  await onSlowStore(0, 'attr-ttl=1', async ({ source, mount }) => {
    const walking = walk(mount.mountpoint, 4);
    const gone = temporaryDirectory('gone');
    let moved = 0;
    let ended = false;
    void walking.finally(() => {
      ended = true;
    });
    // The size of a file says which it is, whatever its version: i, or i and a number of hundreds.
    for (let version = 1; !ended && version < 50; version++) {
      for (let i = version % 3; i < FILES; i += 3) {
        const at = join(source, `d${version % DIRECTORIES}/f${i}`);
        const kind = (i + version) % 4;
        // Nothing is ever removed for good: a FUSE source cannot tell a file from one that had its number before.
        if (kind !== 1 && existsSync(at)) renameSync(at, join(gone, String(moved++)));
        if (kind === 0) continue;
        if (kind === 1 && existsSync(at)) truncateSync(at, i + version * 100);
        else {
          writeFileSync(`${at}.new`, Buffer.alloc(i + version * 100));
          renameSync(`${at}.new`, at);
        }
        await sleep(1);
      }
    }
    for (const [path, size] of await walking) {
      const i = Number(/f(\d+)/.exec(path)?.[1]);
      assert.equal(size % 100, path.endsWith('.new') ? size % 100 : i, `${path}: ${size} bytes`);
    }
    await sleep(1500);
    const expected = (await walk(source)).sort();
    assert.ok(expected.length > 0);
    assert.deepEqual((await walk(mount.mountpoint)).sort(), expected);
  });
});
