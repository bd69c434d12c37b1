/** Names that outlive a mount: what a remount asks a slow source for, and that nobody is told what is not so any more. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { detach, withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const DIRECTORIES = 4;
const FILES = 40;

/** Every name below a directory with what stat says of it; times to the nanosecond. */
const WALK = `
import json, os, sys
found = []
for at, directories, files in os.walk(sys.argv[1]):
    directories.sort()
    for name in sorted(directories + files):
        s = os.lstat(os.path.join(at, name))
        found.append([os.path.relpath(os.path.join(at, name), sys.argv[1]), s.st_mode, s.st_size, s.st_nlink, s.st_mtime_ns, s.st_ino])
print(json.dumps(found))
`;

/** Changes names and files below a directory until it is killed. */
const CHANGE = `
import os, random, sys
root, seed = sys.argv[1], random.Random(int(sys.argv[2]))
n = 0
while True:
    n += 1
    d = os.path.join(root, 'd%d' % seed.randrange(4))
    names = os.listdir(d)
    one = os.path.join(d, seed.choice(names)) if names else d
    new = os.path.join(d, 'new%d' % n)
    try:
        what = seed.randrange(8)
        if what == 0: open(new, 'w').write('n' * n)
        elif what == 1: os.unlink(one)
        elif what == 2: os.rename(one, new)
        elif what == 3: os.chmod(one, 0o600 + seed.randrange(64))
        elif what == 4: os.truncate(one, seed.randrange(9000))
        elif what == 5: os.link(one, new)
        elif what == 6: os.mkdir(new)
        elif what == 7: open(one, 'a').write('more')
    except OSError:
        pass
`;

async function walk(root: string): Promise<unknown[]> {
  const { status, stdout, stderr } = await run(python, ['-c', WALK, root], { seconds: 90 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as unknown[];
}

interface Stage {
  source: string;
  slow: SlowStore;
  /** Mounts, does something, and unmounts unless `body` did. */
  mounted(options: string, body: (mount: Mounted) => Promise<void>): Promise<void>;
  cache: string;
}

async function onSlowStore(body: (stage: Stage) => Promise<void>): Promise<void> {
  const source = temporaryDirectory('behind');
  for (let d = 0; d < DIRECTORIES; d++) {
    mkdirSync(join(source, `d${d}`));
    for (let i = 0; i < FILES; i++) writeFileSync(join(source, `d${d}/f${i}`), Buffer.alloc(i));
  }
  await sleep(100); // what has just changed proves nothing later
  const slow = await startSlowStore({ source, mountpoint: temporaryDirectory('slow'), latencyMs: 3, ttlMs: 0 });
  const cache = temporaryDirectory('cache');
  const mounted: Stage['mounted'] = async (options, doing) => {
    const mount = await mountOverlay({ source: slow.mountpoint, options: ['--cache', `${cache}:64M`, '-o', options] });
    await withWatchdog(mount, 120, () => doing(mount));
    await mount.unmount();
  };
  try {
    await body({ source, slow, mounted, cache });
  } finally {
    await slow.stop();
  }
}

function kill(mount: Mounted): void {
  for (const pid of mount.daemons()) process.kill(pid, 'SIGKILL');
}

// S2.12
test('after a remount with immutable a walk asks the source for nothing', { skip: noMounts }, async () => {
  await onSlowStore(async ({ slow, source, mounted }) => {
    await mounted('ro,immutable', async ({ mountpoint }) =>
      assert.deepEqual(await walk(mountpoint), await walk(source)),
    );
    await mounted('ro,immutable', async (mount) => {
      await slow.reset();
      assert.deepEqual(await walk(mount.mountpoint), await walk(source));
      assert.deepEqual((await slow.counts()).byKind, {});
      const { stdout } = await mount.command(['stats', mount.mountpoint, '--json'], 20);
      const { metadata } = JSON.parse(stdout) as StatsDocument;
      assert.equal(metadata?.shelf?.directories, DIRECTORIES + 1);
      assert.ok(metadata.shelf.recalled >= DIRECTORIES + 1);
    });
    // The daemon is killed: what it had brought to the disk is there.
    await mounted('ro,immutable', async (mount) => {
      kill(mount);
      detach(mount.mountpoint);
    }).catch(() => {});
    await mounted('ro,immutable', async ({ mountpoint }) => {
      await slow.reset();
      assert.deepEqual(await walk(mountpoint), await walk(source));
      assert.deepEqual((await slow.counts()).byKind, {});
    });
  });
});

// S2.13
test('a mount without immutable sees what changed since, and ends what was believed', { skip: noMounts }, async () => {
  await onSlowStore(async ({ source, mounted, cache }) => {
    const shelf = (): string[] => readdirSync(cache).filter((name) => existsSync(join(cache, name, 'names.sqlite')));
    await mounted('ro,immutable', async ({ mountpoint }) => void (await walk(mountpoint)));
    assert.equal(shelf().length, 1);
    writeFileSync(join(source, 'd0/f3'), 'something else');
    writeFileSync(join(source, 'd1/new'), 'new');
    await mounted('attr-ttl=0', async ({ mountpoint }) => assert.deepEqual(await walk(mountpoint), await walk(source)));
    assert.equal(shelf().length, 0);
    await mounted('ro,immutable', async ({ mountpoint }) =>
      assert.deepEqual(await walk(mountpoint), await walk(source)),
    );
    writeFileSync(join(source, 'd2/f3'), 'something else');
    await mounted('ro,immutable,metadata-disk=off', async ({ mountpoint }) => {
      assert.deepEqual(await walk(mountpoint), await walk(source));
    });
    assert.equal(shelf().length, 0);
  });
});

// S2.14
test('what is changed through an immutable mount is there after kill -9 and a remount', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async ({ source, mounted }) => {
    for (let round = 0; round < 4; round++) {
      await mounted('immutable', async ({ mountpoint }) => {
        assert.deepEqual(await walk(mountpoint), await walk(source), `round ${round}`);
      });
      await mounted('immutable', async (mount) => {
        await walk(mount.mountpoint);
        const changing = run(python, ['-c', CHANGE, mount.mountpoint, String(round)], { seconds: 1 + round / 2 });
        await sleep(500 + 400 * round);
        kill(mount);
        detach(mount.mountpoint);
        await changing.catch(() => {});
      }).catch(() => {});
    }
    await mounted('immutable', async ({ mountpoint }) => assert.deepEqual(await walk(mountpoint), await walk(source)));
  });
});

test('names are right whatever has become of their file', { skip: noMounts }, async () => {
  await onSlowStore(async ({ source, mounted, cache }) => {
    await mounted('ro,immutable', async ({ mountpoint }) => void (await walk(mountpoint)));
    const inner = readdirSync(cache).find((name) => existsSync(join(cache, name, 'names.sqlite')))!;
    writeFileSync(join(cache, inner, 'names.sqlite'), Buffer.alloc(8192, 'no database'));
    await mounted('ro,immutable', async ({ mountpoint }) =>
      assert.deepEqual(await walk(mountpoint), await walk(source)),
    );
  });
});
