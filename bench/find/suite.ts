/**
 * `npm run bench -- find`: `find` with the size of every file over a slow store: the first walk, walks after it, and the
 * first after a remount, beside the bare store and the local disk.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SlowStore } from '../slow-store/client.ts';
import { behindSlowStore } from '../support/behind-slow-store.ts';
import type { Bound } from '../support/bounds.ts';
import { watchInterference } from '../support/interference.ts';
import { mountOverlay } from '../support/overlay-mount.ts';
import { must } from '../support/processes.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { count, median, percent, seconds, spread, table } from '../support/table.ts';

export interface FindSuiteOptions {
  quick: boolean;
  rounds: number;
  directory: string | undefined;
  latencyMs: number;
  bandwidth: number;
}

interface Tree {
  name: string;
  directories: number;
  filesEach: number;
}

const WALKS = [
  'native',
  'slow store',
  'overlay, first',
  'overlay, second',
  'immutable, first',
  'immutable, after a remount',
] as const;
type WalkName = (typeof WALKS)[number];

interface Taken {
  tree: string;
  walk: WalkName;
  round: number;
  seconds: number;
  /** Of the slow store. */
  requests: number | undefined;
}

/** What can be walked again at once is walked this often, in turn with the local disk. */
const REPEATS = 15;

export async function findSuite(scope: Scope, options: FindSuiteOptions): Promise<object> {
  const { latencyMs, bandwidth, quick, rounds } = options;
  const trees: Tree[] = [
    { name: '20 directories', directories: 20, filesEach: quick ? 100 : 1000 },
    { name: 'many small directories', directories: quick ? 50 : 300, filesEach: 8 },
  ];
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  const place = (name: string): string => join(work, name);
  const mount = place('mount');
  mkdirSync(mount);
  const { source, slow, store } = await behindSlowStore(scope, work, { latencyMs, bandwidth });
  for (const tree of trees) makeTree(source, tree);
  console.log(
    `${trees.map(({ name, directories, filesEach }) => `${name}: ${count(directories * filesEach)} files`).join('; ')}`,
  );

  const interference = watchInterference();
  const taken: Taken[] = [];
  const mountSeconds: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const tree of trees) {
      const take = async (walk: WalkName, root: string, asks: boolean): Promise<void> => {
        const one = {
          tree: tree.name,
          walk,
          round,
          ...(await find(join(root, tree.name), asks ? store : undefined)),
        };
        taken.push(one);
        if (asks)
          console.log(
            `  ${tree.name}, ${walk}, round ${round}: ${seconds(one.seconds)}, ${count(one.requests!)} requests`,
          );
      };
      const args = (...more: string[]): string[] => ['--cache', `${place('cache')}:1G`, ...more];
      if (round === 1) await take('slow store', slow, true);
      rmSync(place('cache'), { recursive: true, force: true });
      const leased = await mountOverlay(scope, slow, mount, args('-o', 'ro', '--attr-ttl', '600'));
      await take('overlay, first', mount, true);
      await find(join(source, tree.name), undefined);
      for (let n = 0; n < REPEATS; n++) {
        await take('native', source, false);
        await take('overlay, second', mount, false);
      }
      await leased.unmount();
      const first = await mountOverlay(scope, slow, mount, args('-o', 'ro,immutable'));
      await take('immutable, first', mount, true);
      await first.unmount();
      const again = await mountOverlay(scope, slow, mount, args('-o', 'ro,immutable'));
      console.log(`  the mount command before it: ${seconds(again.mountSeconds)}`);
      mountSeconds.push(again.mountSeconds);
      await take('immutable, after a remount', mount, true);
      await again.unmount();
    }
  }
  const rows = trees.flatMap((tree) => WALKS.map((walk) => row(taken, tree, walk)));
  console.log(`\n${table(['', 'took', 'spread', 'files/s', 'of native', 'of the slow store', 'requests'], rows)}`);
  const bounds = boundsOf(taken, trees[0]!);
  console.log(`\n${boundsTable(bounds)}`);
  const ending = { suite: 'find', python: 'python3', directory: work, bounds, interference };
  return concluded(ending, { trees, latencyMs, bandwidth, taken, mountSeconds });
}

function makeTree(root: string, { name, directories, filesEach }: Tree): void {
  for (let d = 0; d < directories; d++) {
    const directory = join(root, name, `class-${String(d).padStart(4, '0')}`);
    mkdirSync(directory, { recursive: true });
    for (let i = 0; i < filesEach; i++) writeFileSync(join(directory, `sample-${String(i).padStart(6, '0')}.jpg`), 'x');
  }
}

/** By find's own clock: what starting a shell costs is not counted. */
async function find(
  root: string,
  store: SlowStore | undefined,
): Promise<{ seconds: number; requests: number | undefined }> {
  const before = await store?.counts();
  const { seconds: took } = await must('find', [root, '-fprintf', '/dev/null', '%s\\n'], { timeoutSeconds: 900 });
  const after = await store?.counts();
  return { seconds: took, requests: after && after.requests - before!.requests };
}

function secondsOf(taken: Taken[], { name }: Tree, walk: WalkName): number[] {
  return taken.filter((one) => one.tree === name && one.walk === walk).map((one) => one.seconds);
}

function row(taken: Taken[], tree: Tree, walk: WalkName): string[] {
  const all = secondsOf(taken, tree, walk);
  const took = median(all);
  const times = (of: WalkName): string => `${count(median(secondsOf(taken, tree, of)) / took)} x`;
  const asked = taken.find((one) => one.tree === tree.name && one.walk === walk)?.requests;
  return [
    `${tree.name}: ${walk}`,
    seconds(took),
    percent(spread(all)),
    count((tree.directories * tree.filesEach) / took),
    times('native'),
    times('slow store'),
    asked === undefined ? '-' : count(asked),
  ];
}

function boundsOf(taken: Taken[], tree: Tree): Bound[] {
  const times = (walk: WalkName, of: WalkName): number =>
    median(secondsOf(taken, tree, of)) / median(secondsOf(taken, tree, walk));
  const { requests } = taken.findLast((one) => one.tree === tree.name && one.walk === 'immutable, after a remount')!;
  return [
    { what: `${tree.name}: first / slow store`, value: times('overlay, first', 'slow store'), atLeast: 20 },
    { what: `${tree.name}: second / native`, value: times('overlay, second', 'native'), atLeast: 0.9 },
    {
      what: `${tree.name}: immutable, after a remount / native`,
      value: times('immutable, after a remount', 'native'),
      atLeast: 0.5,
    },
    { what: `${tree.name}: asked of the store after a remount`, value: requests, atMost: 0, unit: 'requests' },
  ];
}
