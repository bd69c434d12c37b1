/** `warmup` over a slow store: what it asks the store for, what readers are then served from, and how it goes wrong. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { WarmupProgress } from '../../src/overlay/index.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import {
  command,
  type Mounted,
  mountOverlay,
  noMounts,
  noUserMounts,
  ORDINARY_USER,
  temporaryDirectory,
} from '../support/mounts.ts';
import { type Finished, finished, launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const SECONDS = 120;
const DIRECTORIES = 3;
const FILES_EACH = 20;
const LARGE_BYTES = 9_500_000; // more than a file of which only some are brought at once, and no whole number of chunks
const FILES = DIRECTORIES * FILES_EACH + 2;

type Result = WarmupProgress & { mountpoint: string; why?: string };

interface Stage {
  source: string;
  slow: SlowStore;
  mount: Mounted;
  /** Runs warmup --json on a path below the mount. */
  warmup(words: readonly string[], status?: number): Promise<Result>;
  bytes: number;
}

/** Two directories deep: an empty file, many small ones, a large one; and links that lead outside. */
function dataSet(source: string): number {
  let bytes = 0;
  const put = (path: string, size: number): void => {
    writeFileSync(join(source, path), Buffer.alloc(size, path));
    bytes += size;
  };
  for (let d = 0; d < DIRECTORIES; d++) {
    mkdirSync(join(source, `data/d${d}`), { recursive: true });
    for (let f = 0; f < FILES_EACH; f++) put(`data/d${d}/f${f}`, 1000 + 7001 * f);
  }
  put('data/empty', 0);
  put('data/large', LARGE_BYTES);
  return bytes;
}

interface StageOptions {
  cache?: string;
  latencyMs?: number;
  bandwidth?: number;
  ttlMs?: number;
  options?: string;
}

/** `unmounts`: it is mounted still when the body has ended. */
async function onSlowStore(
  body: (stage: Stage) => Promise<void>,
  options: StageOptions = {},
  unmounts = true,
): Promise<void> {
  const source = temporaryDirectory('behind');
  const bytes = dataSet(source);
  const slow = await startSlowStore({
    source,
    mountpoint: temporaryDirectory('slow'),
    latencyMs: options.latencyMs ?? 1,
    bandwidth: options.bandwidth ?? 1e9,
    ttlMs: options.ttlMs ?? 0,
  });
  try {
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source: slow.mountpoint,
      options: [
        '--cache',
        options.cache === undefined ? cache : `${cache}:${options.cache}`,
        '-o',
        options.options ?? 'ro',
      ],
    });
    const warmup = async (words: readonly string[], status = 0): Promise<Result> => {
      const done = await mount.command(['warmup', '--json', ...words], SECONDS);
      assert.equal(done.status, status, `${words.join(' ')}: ${done.stdout}${done.stderr}`);
      return JSON.parse(done.stdout) as Result;
    };
    await withWatchdog(mount, SECONDS, () => body({ source, slow, mount, warmup, bytes }));
    if (unmounts) await mount.unmount();
  } finally {
    await slow.stop();
  }
}

async function statsOf(mount: Mounted): Promise<StatsDocument> {
  const { status, stdout, stderr } = await mount.command(['stats', mount.mountpoint, '--json'], 20);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as StatsDocument;
}

/** An epoch by a process of its own: every byte is compared with the source. */
async function epoch({ source, mount }: Pick<Stage, 'source' | 'mount'>, user?: number): Promise<void> {
  const words = ['-r', join(source, 'data'), join(mount.mountpoint, 'data')];
  const { status, stdout, stderr } = await run('diff', words, {
    seconds: SECONDS,
    ...(user !== undefined && { user }),
  });
  assert.equal(status, 0, stdout + stderr);
}

test('after it an epoch costs the store no byte, and it costs each byte once', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup, bytes } = stage;
    const { mountpoint } = mount;
    await slow.reset();
    const first = await warmup([join(mountpoint, 'data')]);
    assert.deepEqual([first.state, first.listed, first.mountpoint], ['done', true, mountpoint]);
    assert.deepEqual(first.bytes, { found: bytes, cached: 0, fetched: bytes, evicted: 0 });
    const { found, done, fetched, whole, failed, skipped } = first.files;
    assert.deepEqual(
      { found, done, fetched, whole, failed, skipped },
      {
        found: FILES,
        done: FILES,
        fetched: FILES - 1,
        whole: 1, // the empty one
        failed: 0,
        skipped: 0,
      },
    );
    const cold = await slow.counts();
    assert.equal(cold.bytesRead, bytes);
    assert.equal(cold.byKind.open, FILES - 1, 'each file is opened once');

    await slow.reset();
    await epoch(stage);
    const warm = await slow.counts();
    assert.deepEqual([warm.bytesRead, warm.byKind.open ?? 0, warm.byKind.read ?? 0], [0, 0, 0]);
    const { opens, cache, warmups } = await statsOf(mount);
    assert.equal(cache.misses, 0, 'no reader missed');
    assert.ok(cache.completeObjects >= FILES - 1);
    assert.equal(opens.byWay.source, 0);
    assert.ok(opens.byWay.tierPassthrough >= 1 || opens.byWay.tier >= FILES - 1, 'large ones by the kernel, if it can');
    assert.deepEqual([warmups.jobs, warmups.files, warmups.bytes, warmups.errors], [1, FILES - 1, bytes, 0]);

    await slow.reset();
    const second = await warmup([mountpoint]);
    assert.deepEqual([second.files.whole, second.files.fetched, second.bytes.cached], [FILES, 0, bytes]);
    assert.equal((await slow.counts()).bytesRead, 0);
    assert.match(
      (await mount.command(['warmup', mountpoint], SECONDS)).stdout,
      new RegExp(`^${FILES} files, 13 MiB: ${FILES} were cached, 0 brought`),
    );
  });
});

/** Has the command begin, with the large file held back, and waits until all others are there. */
async function begun({ slow, mount, bytes }: Stage): Promise<{ child: ChildProcess; ended: Promise<Finished> }> {
  await slow.hang({ path: 'data/large', kinds: ['read'] });
  const child = launch(command, ['warmup', mount.mountpoint, '--parallel', '4'], { env: mount.environment });
  const ended = finished(child, SECONDS);
  for (let tries = 0; (await statsOf(mount)).warmups.bytes < bytes - LARGE_BYTES; tries++) {
    assert.ok(tries < 200, 'the other files do not come');
    await sleep(50);
  }
  return { child, ended };
}

async function atRest(mount: Mounted): Promise<StatsDocument> {
  for (let last = ''; ; await sleep(50)) {
    const stats = await statsOf(mount);
    const state = JSON.stringify([stats.store, stats.cache, stats.warmups]);
    if (state === last) return stats;
    last = state;
  }
}

test('interrupted it ends with 130; the next goes on without asking again for what is there', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup, bytes } = stage;
    await slow.reset();
    const { child, ended } = await begun(stage);
    child.kill('SIGINT');
    const { status, stderr } = await ended;
    assert.equal(status, 130, stderr);
    assert.match(stderr, /interrupted; what is cached stays/);
    await slow.release();
    const { running, bytes: there } = (await atRest(mount)).warmups;
    assert.equal(running, 0);
    assert.ok(there < bytes, 'it was interrupted before its end');
    const again = await warmup([mount.mountpoint]);
    assert.deepEqual([again.state, again.bytes.cached, again.bytes.fetched], ['done', there, bytes - there]);
    assert.equal((await slow.counts()).bytesRead, bytes, 'nothing was read twice');
    await epoch(stage);
  });
});

test('what has changed is brought anew, and nothing else', { skip: noMounts }, async () => {
  await onSlowStore(async (stage) => {
    const { source, slow, mount, warmup } = stage;
    await warmup([mount.mountpoint]);
    writeFileSync(join(source, 'data/d1/f3'), Buffer.alloc(5000, 'new'));
    const old = readFileSync(join(source, 'data/d2/f4'));
    writeFileSync(join(source, 'data/d2/f4'), Buffer.alloc(old.length, 'same size'));
    utimesSync(join(source, 'data/d2/f4'), 1, 1);
    await slow.reset();
    const again = await warmup([mount.mountpoint]);
    assert.deepEqual([again.files.fetched, again.bytes.fetched], [2, 5000 + old.length]);
    assert.equal((await slow.counts()).bytesRead, 5000 + old.length);
    await epoch(stage);
  });
});

test('links are not followed, wherever they lead; other names are told apart', { skip: noMounts }, async () => {
  await onSlowStore(async ({ source, mount, warmup, bytes }) => {
    const outside = temporaryDirectory('outside');
    writeFileSync(join(outside, 'secret'), 'not of the source');
    symlinkSync(outside, join(source, 'data/out'));
    symlinkSync(join(outside, 'secret'), join(source, 'data/d0/secret'));
    symlinkSync('d0', join(source, 'data/in'));
    await run('mkfifo', [join(source, 'data/pipe')]);
    const { mountpoint } = mount;
    const all = await warmup([mountpoint]);
    assert.deepEqual([all.files.found, all.bytes.found, all.files.skipped, all.files.failed], [FILES, bytes, 4, 0]);
    const named = await warmup(
      ['data/out', 'data/out/secret', 'data/pipe', 'data/none'].map((at) => join(mountpoint, at)),
      1,
    );
    assert.deepEqual(
      named.errors.sort((a, b) => (a.path < b.path ? -1 : 1)),
      [
        { path: join(mountpoint, 'data/none'), error: 'ENOENT' },
        { path: join(mountpoint, 'data/out'), error: 'ELOOP' },
        { path: join(mountpoint, 'data/out/secret'), error: 'ELOOP' },
        { path: join(mountpoint, 'data/pipe'), error: 'EINVAL' },
      ],
    );
    const link = join(temporaryDirectory('link'), 'to');
    symlinkSync(join(mountpoint, 'data'), link);
    assert.equal((await warmup([join(link, 'd1/f1'), '--check'])).files.whole, 1, 'a link that leads into the mount');
    const { status, stderr } = await mount.command(['warmup', outside], 20);
    assert.deepEqual([status, /^MLO_NOT_MOUNTED: no ml-overlay is mounted above /.test(stderr)], [32, true]);
  });
});

test('a file that the source cannot read is told of, and the others are brought', { skip: noMounts }, async () => {
  await onSlowStore(async ({ slow, mount, warmup, bytes }) => {
    const { mountpoint } = mount;
    await slow.fail({ path: 'data/d1/f7', kinds: ['read'], errno: 'EIO' });
    await slow.fail({ path: 'data/d2', kinds: ['opendir'], errno: 'EACCES' });
    const done = await warmup([mountpoint], 1);
    assert.deepEqual([done.state, done.files.failed, done.files.fetched], ['done', 2, FILES - 2 - FILES_EACH]);
    assert.deepEqual(
      done.errors.sort((a, b) => (a.path < b.path ? -1 : 1)),
      [
        { path: join(mountpoint, 'data/d1/f7'), error: 'EIO' },
        { path: join(mountpoint, 'data/d2'), error: 'EACCES' },
      ],
    );
    const { stderr } = await mount.command(['warmup', join(mountpoint, 'data/d1')], SECONDS);
    assert.match(stderr, /data\/d1\/f7: EIO: the source could not read it/);
    await slow.clear();
    const again = await warmup([mountpoint]);
    assert.deepEqual([again.files.failed, again.bytes.cached + again.bytes.fetched], [0, bytes]);
  });
});

test('a cache that is full ends it, and says what to do', { skip: noMounts }, async () => {
  await onSlowStore(
    async (stage) => {
      const { slow, mount, warmup, bytes } = stage;
      await slow.reset();
      const { status, stdout, stderr } = await mount.command(['warmup', mount.mountpoint], SECONDS);
      assert.equal(status, 1, stderr);
      assert.match(stdout, /^\d+ files, /);
      assert.match(stderr, /^MLO_FULL: the cache of .* takes no more .*: give it more \(ml-overlay set /m);
      assert.ok((await slow.counts()).bytesRead < bytes, 'it stops early');
      const { state, why, bytes: counted } = await warmup([mount.mountpoint], 1);
      assert.equal(state, 'full');
      assert.match(why ?? '', /^\d+ of 4194304 bytes are in use$/);
      assert.ok(counted.cached + counted.fetched <= 4 << 20);
      await epoch(stage);
    },
    { cache: '4M' },
  );
});

test('what is cached is told without bringing anything, and dropped but for open files', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, warmup } = stage;
    const { mountpoint } = mount;
    const counts = async (path = ''): Promise<number[]> => {
      const { files, bytes: counted } = await warmup(['--check', join(mountpoint, path)]);
      return [files.whole, files.partly, files.none, counted.cached];
    };
    await slow.reset();
    assert.deepEqual(await counts(), [1, 0, FILES - 1, 0]);
    assert.equal((await slow.counts()).bytesRead, 0);
    await run('dd', [`if=${join(mountpoint, 'data/large')}`, 'of=/dev/null', 'bs=64K', 'count=1', 'iflag=direct']);
    let part = await counts('data/large');
    for (let tries = 0; tries < 100 && part[3] === 0; tries++) part = await counts('data/large');
    assert.deepEqual(part, [0, 1, 0, 262_144]);
    const list = ['d0/f1', 'd0/f2', 'd1'].map((path) => join(mountpoint, 'data', path)).join('\n');
    const listed = await run(command, ['warmup', '--from-file', '-', '--parallel', '1', '--json'], {
      input: `${list}\n`,
      env: mount.environment,
    });
    assert.equal(listed.status, 0, listed.stderr);
    assert.equal((JSON.parse(listed.stdout) as Result).files.fetched, 2 + FILES_EACH);
    assert.deepEqual((await counts('data/d0')).slice(0, 3), [2, 0, FILES_EACH - 2]);
    const shown = await mount.command(['warmup', '--check', join(mountpoint, 'data/d1')], 30);
    assert.match(shown.stdout, /^20 files, 1.3 MiB: 1.3 MiB cached \(100 %\), 20 whole, 0 partly, 0 not$/m);

    await warmup([mountpoint]);
    const reader = launch('sh', ['-c', 'exec 3<"$0"; echo open; exec sleep 1000', join(mountpoint, 'data/d0/f1')]);
    await new Promise((resolve) => reader.stdout?.once('data', resolve));
    const evicted = await warmup(['--evict', mountpoint]);
    assert.deepEqual([evicted.files.evicted, evicted.files.inUse], [FILES - 2, 1]);
    reader.kill('SIGKILL');
    assert.deepEqual((await counts()).slice(0, 3), [2, 0, FILES - 2]);
    const { cache } = await statsOf(mount);
    assert.equal(cache.bytes, 8001, 'the file that was open');
    await epoch(stage);
  });
});

test('a reader of what is on its way waits for the same fetch, and others do not wait', {
  skip: noMounts,
}, async () => {
  await onSlowStore(async (stage) => {
    const { slow, mount, source, bytes } = stage;
    const { mountpoint } = mount;
    await slow.reset();
    writeFileSync(join(source, 'data/wanted'), Buffer.alloc(100_000, 'wanted'));
    const { ended } = await begun(stage);
    const sum = async (path: string): Promise<string> => {
      const { status, stdout, stderr } = await run('sha256sum', [path], { seconds: SECONDS });
      assert.equal(status, 0, stderr);
      return stdout.split(' ')[0] ?? '';
    };
    assert.equal(await sum(join(mountpoint, 'data/wanted')), await sum(join(source, 'data/wanted')));
    const large = sum(join(mountpoint, 'data/large'));
    await sleep(200);
    await slow.release();
    assert.equal(await large, await sum(join(source, 'data/large')));
    assert.equal((await ended).status, 0);
    assert.equal((await slow.counts()).bytesRead, bytes + 100_000, 'each byte once');
  });
});

test('unmounting ends it', { skip: noMounts }, async () => {
  await onSlowStore(
    async (stage) => {
      const { slow, mount } = stage;
      const { ended } = await begun(stage);
      setTimeout(() => void slow.release(), 500);
      const { status, stderr } = await mount.command(['umount', mount.mountpoint], 60);
      assert.equal(status, 0, stderr);
      assert.match((await ended).stderr, /^MLO_(UNREACHABLE|WARMUP): /m);
    },
    {},
    false,
  );
});

test('the mount of an ordinary user', { skip: noUserMounts }, async () => {
  const user = ORDINARY_USER;
  const source = temporaryDirectory('source', user);
  mkdirSync(join(source, 'data'));
  for (let i = 0; i < 20; i++) writeFileSync(join(source, 'data', `f${i}`), Buffer.alloc(3000 + i, i));
  const cache = temporaryDirectory('cache', user);
  const mount = await mountOverlay({ source, user, options: ['--cache', cache] });
  await withWatchdog(mount, SECONDS, async () => {
    await sleep(100); // what was written this moment is not settled
    const { status, stdout, stderr } = await mount.command(
      ['warmup', '--json', join(mount.mountpoint, 'data')],
      SECONDS,
    );
    assert.equal(status, 0, stderr);
    assert.deepEqual((JSON.parse(stdout) as Result).files.fetched, 20);
    await epoch({ source, mount }, user);
    const none = await mount.command(['warmup', '--check', join(mount.mountpoint, 'data')], SECONDS);
    assert.match(none.stdout, /20 whole, 0 partly, 0 not/);
    await mount.unmount();
  });
});

test('without a cache there is nothing to warm', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
  await withWatchdog(mount, SECONDS, async () => {
    const { status, stderr } = await mount.command(['warmup', mount.mountpoint], 20);
    assert.deepEqual(
      [status, stderr],
      [2, `MLO_WARMUP: ${mount.mountpoint} has no cache: mount it with --cache DIR:SIZE\n`],
    );
    await mount.unmount();
  });
});
