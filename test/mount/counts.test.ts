/**
 * What `stats` counts, against what a reader did and what the slow store was asked: equal, not about equal. And what the
 * kernel reads by itself, estimated. Sentences of docs/COUNTS.md.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Counts, type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import { carriedRequestBytes } from '../../src/fuse/device-pipe.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const READER = join(import.meta.dirname, 'programs/reader.py');
const FILES = 24;
const BIG_BYTES = 6_000_000;
const CHUNK = 64 * 1024;
const FOREVER_MS = 600_000;
/** An estimate is further off than that once in 16,000 times, by chance. */
const STANDARD_ERRORS_MOST = 4;
/** Of readers of parts: four standard errors are a tenth then. */
const SAMPLES_FOR_A_TENTH = 700;

type Work = { op: string; [key: string]: unknown };

/** What the reader did. */
interface Did {
  opens: number;
  reads: number;
  bytes: number;
  lists: number;
  stats: number;
}

/** What has come to be counted by a piece of work. */
interface Counted {
  did: Did;
  ours: { store: Partial<Record<string, number>>; bytes: number; requests: number; opens: number };
  served: { count: number; bytes: number; fromCache: number; fromStore: number };
  slow: Counts;
}

interface Stage {
  mount: Mounted;
  slow: SlowStore;
  sizes: ReadonlyMap<string, number>;
  paths: readonly string[];
  /** Has a reader do it, and says what was counted by that. */
  count(work: readonly Work[]): Promise<Counted>;
}

function statsOf(mount: Mounted): Promise<StatsDocument> {
  return mount.command(['stats', mount.mountpoint, '--json'], 15).then(({ status, stdout, stderr }) => {
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as StatsDocument;
  });
}

async function read(mount: Mounted, work: readonly Work[]): Promise<Did> {
  const input = work.map((one) => JSON.stringify(one)).join('\n');
  const { status, stdout, stderr } = await run(python, [READER, mount.mountpoint], { input, seconds: 60 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Did;
}

/** Until nothing is under way any more: files are closed, and cached, after their readers have their bytes. */
async function settled(mount: Mounted): Promise<StatsDocument> {
  let last = '';
  for (let tries = 0; tries < 100; tries++) {
    const stats = await statsOf(mount);
    const state = JSON.stringify([stats.store, stats.cache, stats.opens, stats.reads, stats.now]);
    if (stats.now.files === 0 && state === last) return stats;
    last = state;
    await sleep(30);
  }
  assert.fail('the mount did not come to rest');
}

interface StageOptions {
  cache: boolean;
  /** How long the kernel may believe what the slow store said. */
  ttlMs?: number;
  options?: string;
}

async function onSlowStore(options: StageOptions, body: (stage: Stage) => Promise<void>): Promise<void> {
  const source = temporaryDirectory('behind');
  mkdirSync(join(source, 'd'));
  const sizes = new Map<string, number>();
  const put = (path: string, size: number): void => {
    writeFileSync(join(source, path), Buffer.alloc(size, path));
    sizes.set(path, size);
  };
  for (let i = 0; i < FILES; i++) put(`d/f${i}`, i === 0 ? 0 : i === 1 ? 8192 : 997 + i * 9973);
  put('d/big', BIG_BYTES);
  const paths = [...sizes.keys()].filter((path) => path.startsWith('d/f'));
  const slow = await startSlowStore({
    source,
    mountpoint: temporaryDirectory('slow'),
    latencyMs: 1,
    bandwidth: 1e9,
    ttlMs: options.ttlMs ?? FOREVER_MS,
  });
  try {
    const mount = await mountOverlay({
      source: slow.mountpoint,
      options: [
        ...['--cache', options.cache ? temporaryDirectory('cache') : 'none'],
        ...['-o', 'prefetch=off'], // what is asked for readers, and nothing else
        ...['-o', options.options ?? 'disable=passthrough,disable=push-pages,sample-opens=off'],
      ],
    });
    const count = async (work: readonly Work[]): Promise<Counted> => {
      const before = await settled(mount);
      await slow.reset();
      const did = await read(mount, work);
      const after = await settled(mount);
      const store: Partial<Record<string, number>> = {};
      for (const [kind, value] of Object.entries(after.store.byKind)) {
        const more = value - (before.store.byKind[kind] ?? 0);
        if (more > 0) store[kind] = more;
      }
      assert.equal(
        Object.values(after.store.byKind).reduce((sum, value) => sum + value, 0),
        after.store.requests,
        'requests are the sum of the kinds',
      );
      const difference = (of: (stats: StatsDocument) => number): number => of(after) - of(before);
      return {
        did,
        ours: {
          store,
          bytes: difference((stats) => stats.store.bytes),
          requests: difference((stats) => stats.store.requests),
          opens: difference((stats) => stats.opens.count),
        },
        served: {
          count: difference((stats) => stats.reads.count),
          bytes: difference((stats) => stats.reads.bytes),
          fromCache: difference((stats) => stats.reads.fromCache?.bytes ?? 0),
          fromStore: difference((stats) => stats.reads.fromStore?.bytes ?? 0),
        },
        slow: await slow.counts(),
      };
    };
    await withWatchdog(mount, 120, () => body({ mount, slow, sizes, paths, count }));
    await mount.unmount();
  } finally {
    await slow.stop();
  }
}

/** What both ends of the way to the store must count alike, whatever is kept between them. */
function agree({ did, ours, served, slow }: Counted, what: string): void {
  assert.equal(ours.opens, did.opens, `${what}: opens`);
  assert.equal(ours.store.read ?? 0, slow.byKind.read ?? 0, `${what}: reads of the store`);
  assert.equal(ours.bytes, slow.bytesRead, `${what}: bytes of the store`);
  assert.equal(ours.store.open ?? 0, slow.byKind.open ?? 0, `${what}: opens at the store`);
  assert.equal(ours.store.openDirectory ?? 0, slow.byKind.opendir ?? 0, `${what}: directories opened at the store`);
  assert.equal(ours.store.list ?? 0, slow.byKind.readdir ?? 0, `${what}: listings of the store`);
  assert.equal(served.fromCache + served.fromStore, served.bytes, `${what}: each byte served is from somewhere`);
}

const whole = (paths: readonly string[]): Work[] => paths.map((path) => ({ op: 'whole', path }));

test('without a cache every read, byte and open is counted as the reader made it', { skip: noMounts }, async () => {
  await onSlowStore({ cache: false }, async ({ count, paths, sizes }) => {
    const files = paths.length;
    const all = paths.reduce((sum, path) => sum + sizes.get(path)!, 0);

    const first = await count(whole(paths));
    agree(first, 'first epoch');
    assert.deepEqual(first.did, { opens: files, reads: files, bytes: all, lists: 0, stats: 0 });
    assert.deepEqual(
      [first.served.count, first.served.bytes, first.served.fromStore],
      [files - 1, all, all],
      'the empty file needs no READ',
    );
    assert.deepEqual(first.ours.store, { lookup: files + 1, open: files, read: files - 1 });
    assert.deepEqual(first.slow.byKind, { lookup: files + 1, open: files, read: files - 1 });
    assert.equal(first.ours.requests, first.slow.requests);

    const second = await count(whole(paths));
    agree(second, 'second epoch');
    assert.deepEqual([second.served.count, second.ours.store], [0, { open: files }], 'pages are kept; each open asks');
    assert.equal(second.ours.requests, second.slow.requests);

    const big = await count(whole(['d/big']));
    agree(big, 'a large file');
    assert.deepEqual([big.served.bytes, big.ours.bytes], [BIG_BYTES, BIG_BYTES]);
    assert.equal(big.ours.requests, big.slow.requests);

    const at = [
      [4096 * 400, 8192],
      [4096 * 900, 4096],
      [0, 4096],
      [BIG_BYTES - 1000, 1000],
    ];
    // The pages it has of the file are the kernel's; a reader with O_DIRECT goes past them.
    const direct = await count([{ op: 'pieces', path: 'd/big', direct: true, at }]);
    agree(direct, 'O_DIRECT');
    assert.deepEqual([direct.served.count, direct.served.bytes], [direct.did.reads, direct.did.bytes]);
    assert.deepEqual([direct.ours.store.read, direct.ours.bytes], [direct.did.reads, direct.did.bytes]);
    assert.equal(direct.ours.requests, direct.slow.requests);
    const twice = await count([{ op: 'pieces', path: 'd/big', direct: true, at: [...at, ...at] }]);
    agree(twice, 'O_DIRECT, everything twice');
    assert.deepEqual([twice.ours.store.read, twice.ours.bytes], [8, 2 * direct.did.bytes]);
    const odd = await count([
      {
        op: 'pieces',
        path: 'd/big',
        direct: true,
        at: [
          [4096, 513],
          [5000, 1],
        ].slice(0, 1),
      },
    ]);
    agree(odd, 'O_DIRECT, not whole pages');
    assert.deepEqual([odd.served.bytes, odd.ours.bytes], [513, 513]);
  });
});

test('random reads bring the pages they lie in, from the store too', { skip: noMounts }, async () => {
  await onSlowStore({ cache: false }, async ({ count }) => {
    const at = [5, 90, 41, 17, 3, 66].map((part) => [part * 65536 + 100, 3000]);
    const random = await count([{ op: 'pieces', path: 'd/big', random: true, at }]);
    agree(random, 'random');
    assert.deepEqual([random.served.count, random.served.bytes], [6, 6 * 4096]);
    const again = await count([{ op: 'pieces', path: 'd/big', random: true, at }]);
    agree(again, 'random, again');
    assert.equal(again.served.count, 0, 'pages are kept');
    // Mapped, a fault brings a window of pages around it: how many is the kernel's business, but both ends count it.
    agree(
      await count([
        {
          op: 'pieces',
          path: 'd/big',
          mapped: true,
          at: [
            [0, 100],
            [3_000_000, 100],
          ],
        },
      ]),
      'mapped',
    );
  });
});

test('with a cache the store is asked for each byte once', { skip: noMounts }, async () => {
  await onSlowStore({ cache: true }, async ({ count, paths, sizes }) => {
    const files = paths.length;
    const all = paths.reduce((sum, path) => sum + sizes.get(path)!, 0);
    const first = await count(whole(paths));
    agree(first, 'first epoch');
    assert.deepEqual([first.served.count, first.served.bytes, first.ours.bytes], [files - 1, all, all]);
    // The empty file is complete as it is. Of each other one it is asked, after its bytes came, whether it is the same.
    const asked = { lookup: files + 1, open: files - 1, read: files - 1 };
    assert.deepEqual(first.ours.store, { ...asked, attributes: files - 1 });
    assert.deepEqual(first.slow.byKind, { ...asked, getattr: files - 1 });
    assert.equal(first.ours.requests, first.slow.requests);

    const second = await count(whole(paths));
    agree(second, 'second epoch');
    assert.deepEqual([second.ours.requests, second.slow.requests, second.served.count], [0, 0, 0]);

    const piece = [{ op: 'pieces', path: 'd/big', random: true, at: [[16 * CHUNK + 5000, 100]] }];
    const chunk = await count(piece);
    agree(chunk, 'a piece of a large file');
    assert.deepEqual([chunk.served.bytes, chunk.ours.store.read, chunk.ours.bytes], [4096, 1, CHUNK]);
    const beside = await count([{ op: 'pieces', path: 'd/big', random: true, at: [[16 * CHUNK + 50_000, 100]] }]);
    agree(beside, 'a piece of the same chunk');
    assert.deepEqual([beside.served.fromCache, beside.ours.bytes], [4096, 0]);
    const rest = await count([
      {
        op: 'pieces',
        path: 'd/big',
        direct: true,
        at: [
          [0, 1 << 20],
          [20 * CHUNK, 1 << 20], // not on and on, which would be read ahead of
        ],
      },
    ]);
    agree(rest, 'with O_DIRECT');
    assert.deepEqual([rest.served.count, rest.ours.bytes], [(2 << 20) / carriedRequestBytes(1 << 20), 2 << 20]);
    const end = await count(whole(['d/big']));
    agree(end, 'the rest');
    assert.equal(end.ours.bytes, BIG_BYTES - CHUNK - (2 << 20));
  });
});

test('a walk over the tree: listings and lookups', { skip: noMounts }, async () => {
  await onSlowStore({ cache: false }, async ({ count, sizes }) => {
    const cold = await count([{ op: 'find', path: '.' }]);
    agree(cold, 'cold');
    assert.deepEqual([cold.did.lists, cold.did.stats], [2, sizes.size]);
    // Each name is looked up once; what the store's listing does not say is asked name by name.
    assert.deepEqual(cold.ours.store, { lookup: sizes.size + 1, openDirectory: 2, list: 4 });
    assert.deepEqual(cold.slow.byKind, { lookup: sizes.size + 1, opendir: 2, readdir: 4 });
    assert.equal(cold.ours.requests, cold.slow.requests);
  });
});

test('a source whose names and attributes nobody keeps: what the kernel adds has a rule', {
  skip: noMounts,
}, async () => {
  await onSlowStore({ cache: true, ttlMs: 0 }, async ({ count, paths, mount }) => {
    const before = (await settled(mount)).store.walks;
    const first = await count(whole(paths));
    agree(first, 'first epoch');
    const walks = (await settled(mount)).store.walks - before;
    const { lookup = 0, attributes = 0, open = 0, read: reads = 0 } = first.ours.store;
    const named = lookup + walks + open;
    assert.equal(first.slow.byKind.lookup, named, 'each use of a name looks it up');
    // The kernel asks for attributes that were asked for; of the directory and of the file for the right to look a name up
    // and to open; and of a file to be read for its size.
    assert.equal(first.slow.byKind.getattr, lookup + attributes + named + open + reads);
  });
});

test('with passthrough and kept pages, opens and the store are counted exactly', { skip: noMounts }, async () => {
  await onSlowStore({ cache: true, options: 'passthrough-min=64K' }, async ({ count, paths, sizes, mount }) => {
    const all = paths.reduce((sum, path) => sum + sizes.get(path)!, 0);
    const first = await count(whole(paths));
    agree(first, 'first epoch');
    assert.equal(first.ours.bytes, all);
    for (let epoch = 2; epoch < 12; epoch++) {
      const later = await count(whole(paths));
      agree(later, `epoch ${epoch}`);
      assert.deepEqual([later.ours.requests, later.slow.requests], [0, 0]);
    }
    const { opens, reads } = await settled(mount);
    assert.equal(opens.count, 11 * paths.length);
    const ways = Object.values(opens.byWay).reduce((sum, count_) => sum + count_, 0);
    assert.equal(ways, opens.count, 'each open has one way');
    assert.ok(opens.byWay.tierPassthrough > 0 && opens.keptPages > 0);
    assert.equal(reads.hidden.opens, opens.byWay.tierPassthrough + opens.keptPages);
    assert.ok(reads.hidden.sampledOpens > 0);
  });
});

for (const [way, minimum] of [
  ['keptPages', '1G'],
  ['sourcePassthrough', '1'],
] as const) {
  test(`what the kernel hides is estimated as closely as is told: ${way}`, { skip: noMounts }, async () => {
    const source = temporaryDirectory('behind');
    const paths: string[] = [];
    for (let i = 0; i < 200; i++) {
      paths.push(`f${i}`);
      writeFileSync(join(source, `f${i}`), Buffer.alloc(1 + ((i * 7919) % 1000) * 1000, i));
    }
    const mount = await mountOverlay({
      source,
      options: ['--cache', 'none', '-o', `passthrough-min=${minimum},sample-opens=16`],
    });
    await withWatchdog(mount, 120, async () => {
      await sleep(100); // files are kept when their times are of the past
      if (way === 'keptPages') await read(mount, whole(paths));
      const before = await settled(mount);
      const did = await read(mount, [{ op: 'sample', paths, opens: 12_000, seed: 42, part: 0.3 }]);
      const { opens, reads } = await settled(mount);
      assert.equal(opens.count - before.opens.count, did.opens);
      assert.equal(reads.hidden.opens! + reads.hidden.sampledOpens, did.opens);
      assert.ok(reads.hidden.sampledOpens < did.opens / 6);
      // What samples read is counted; the rest of what the reader did was hidden.
      const hiddenReads = did.reads - (reads.count - before.reads.count);
      const hiddenBytes = did.bytes - (reads.bytes - before.reads.bytes);
      const hidden = reads.hidden.byWay[way]!;
      // How many samples there are depends on how much of its time the machine had for them; how close they come, on that.
      for (const [right, told, error] of [
        [hiddenReads, hidden.reads!, hidden.readsError!],
        [hiddenBytes, hidden.bytes!, hidden.bytesError!],
      ] as const) {
        const figures = JSON.stringify({ right, told, error, hidden });
        assert.ok(Math.abs(told - right) < STANDARD_ERRORS_MOST * error, `further off than it says: ${figures}`);
        const scatter = (error / told) * Math.sqrt(hidden.sampledOpens);
        assert.ok(scatter > 0.4 && scatter < 0.9, `these readers scatter by 60 to 70 %: ${figures}`);
        if (hidden.sampledOpens >= SAMPLES_FOR_A_TENTH) assert.ok(Math.abs(told / right - 1) < 0.1, figures);
      }
      assert.deepEqual([reads.hidden.reads, reads.hidden.bytes], [hidden.reads, hidden.bytes]);
    });
    await mount.unmount();
  });
}

test('beside a sample a file is opened, mapped and reopened as ever', { skip: noMounts }, async () => {
  const source = temporaryDirectory('behind');
  writeFileSync(join(source, 'a'), Buffer.alloc(3_000_000, 'abc'));
  const mount = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'sample-opens=1'] });
  const program = `
import mmap, os, sys
path = sys.argv[1]
want = open(sys.argv[2], 'rb').read()
def check(fd):
    assert os.pread(fd, len(want) + 1, 0) == want, 'read'
    for kind in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
        with mmap.mmap(fd, 0, kind, mmap.PROT_READ) as mapped:
            assert mapped[:] == want, 'mapped'
    assert os.fstat(fd).st_size == len(want)
first = os.open(path, os.O_RDONLY)                       # a sample
kept = mmap.mmap(first, 0, mmap.MAP_SHARED, mmap.PROT_READ)
second = os.open(path, os.O_RDONLY)                      # in passthrough, while the other is mapped
check(first); check(second)
third = os.open('/proc/self/fd/%d' % first, os.O_RDONLY)  # has no name to look up
check(third)
assert os.fstat(first).st_ino == os.fstat(second).st_ino == os.stat(path).st_ino
assert kept[:] == want
for fd in (first, second, third): os.close(fd)
fourth = os.open(path, os.O_RDONLY); check(fourth); os.close(fourth)
`;
  await withWatchdog(mount, 60, async () => {
    const words = ['-c', program, join(mount.mountpoint, 'a'), join(source, 'a')];
    const { status, stderr } = await run(python, words, { seconds: 30 });
    assert.equal(status, 0, stderr);
    const { opens, reads } = await settled(mount);
    assert.equal(opens.count, 4);
    assert.equal(opens.byWay.sourcePassthrough, 2);
    assert.equal(reads.hidden.sampledOpens, 1);
  });
  await mount.unmount();
});

test('without OPEN nothing is known of what the kernel reads', { skip: noMounts }, async () => {
  const source = temporaryDirectory('behind');
  writeFileSync(join(source, 'a'), Buffer.alloc(10_000));
  const mount = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'ro,immutable'] });
  await withWatchdog(mount, 30, async () => {
    await read(mount, whole(['a', 'a']));
    const { hidden, count, bytes } = (await statsOf(mount)).reads;
    assert.deepEqual([hidden.opens, hidden.reads, hidden.bytes], [null, null, null]);
    assert.deepEqual([count, bytes], [1, 10_000]);
  });
  await mount.unmount();
});
