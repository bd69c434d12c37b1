/**
 * `npm run bench`: every kind of work a training job has, on the bare source, the local disk, the overlay and its peers, in
 * interleaved rounds in the same run. What is printed and what docs/BENCHMARKS.md holds comes from `report.ts`.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { native, source } from '../peers/bare.ts';
import { installed } from '../peers/index.ts';
import { overlay } from '../peers/overlay.ts';
import type { Peer, Place } from '../peers/peer.ts';
import { startSlowStore } from '../slow-store/client.ts';
import { watchInterference } from '../support/interference.ts';
import { fileSystemOf, machine } from '../support/machine.ts';
import { run } from '../support/processes.ts';
import { Scope } from '../support/scope.ts';
import { formatBytes } from '../support/sizes.ts';
import { count } from '../support/table.ts';
import { watchOver } from '../support/watchdog.ts';
import type { Work } from '../works/index.ts';
import { type Bench, measure, TOO_LONG } from './cell.ts';
import { makeData, quick, standard } from './data.ts';
import { Progress } from './progress.ts';
import type { Cell, Result, SourceSays, SystemSays } from './result.ts';
import { CellStore, hashOf } from './store.ts';

export interface GeneralOptions {
  works: readonly Work[];
  peers: readonly Peer[];
  python: string;
  quick: boolean;
  rounds: number;
  source: SourceSays;
  directory: string | undefined;
  resume: boolean;
  /** The machine's caches may be dropped (root). */
  mayDrop: boolean;
}

/** Room for all of the data, whatever a system keeps beside them. */
const ROOM = 3;
const QUICK_LIMIT_SECONDS = 60;

export async function generalSuite(scope: Scope, options: GeneralOptions): Promise<Result> {
  const { works, python, rounds } = options;
  const sizes = options.quick ? quick : standard;
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  watchOver(scope, work);
  const [root, slow] = [join(work, 'source'), join(work, 'slow')];
  const originals = join(root, 'data');
  for (const path of [originals, slow, join(root, 'volumes')]) mkdirSync(path, { recursive: true });
  const sets = new Set(works.flatMap((one) => one.sets));
  console.log(`making the data in ${originals} (${fileSystemOf(work)})`);
  const data = await makeData(originals, sizes, sets, python, !options.quick);

  const store =
    options.source.kind === 'slow'
      ? await startSlowStore({ source: root, mountpoint: slow, ...slowness(options.source) })
      : undefined;
  if (store !== undefined) scope.defer('the slow store', () => store.stop());
  console.log(`source: ${describeSource(options.source)}; ${rounds} rounds`);

  const everything = sizes.largeBytes + sizes.shards * sizes.shardBytes + sizes.bigBytes + data.facts.filesBytes * 2;
  const place = (peer: Peer, one: Work): Place => ({
    source: join(store === undefined ? root : slow, 'data'),
    originals,
    volume: {
      source: join(store === undefined ? root : slow, 'volumes', peer.name),
      local: join(root, 'volumes', peer.name),
    },
    mountpoint: join(work, 'mount', peer.name.replaceAll(' ', '-')),
    cache: join(work, 'cache'),
    cacheBytes: one.half ? Math.floor(data.facts.filesBytes / 2) : everything * ROOM,
    half: one.half ?? false,
    writes: one.writes ?? false,
    slow: store !== undefined,
    home: join(work, 'home', peer.name),
  });

  const unable: Result['unable'] = [];
  const systems: { peer: Peer; says: SystemSays }[] = [];
  for (const peer of [source, native, overlay, ...options.peers]) {
    if (installed(peer)) {
      const { name, settings, because } = peer;
      systems.push({ peer, says: { name, version: await peer.version(), settings, because } });
    } else unable.push({ system: peer.name, work: undefined, why: 'not installed' });
  }
  const bench: Bench = {
    data,
    python,
    ownReader: options.quick,
    mayDrop: options.mayDrop,
    store,
    originals,
    scratch: work,
    limitSeconds: options.quick ? QUICK_LIMIT_SECONDS : Number.POSITIVE_INFINITY,
  };
  await prepare(
    scope,
    systems,
    place,
    works,
    [...sets].filter((set) => set !== 'new'),
    unable,
  );

  const about = { source: options.source, sizes, fileSystem: fileSystemOf(work), kernel: machine(undefined).kernel };
  const code = hashOf('bench/{general,works,peers,readers,loader,slow-store,support}/**/*.{ts,py}');
  const ours = hashOf('src/**/*.ts');
  const kept = new CellStore({ ...about, mayDrop: options.mayDrop, code });
  const interference = watchInterference(options.mayDrop);
  const cells: Cell[] = [];
  const plan = works.flatMap((one) => {
    const able = systems.filter(({ peer }) => {
      const why = peer.unable(one, { slow: store !== undefined });
      if (why !== undefined) unable.push({ system: peer.name, work: one.name, why });
      return why === undefined;
    });
    return Array.from({ length: rounds }, (_, at) =>
      // each round begins with another system, so that none is always first
      able.map((_, index) => ({ work: one, ...able[(index + at) % able.length]!, round: at + 1 })),
    ).flat();
  });
  const kind = (one: { work: Work; peer: Peer }): string => `${one.work.name}, ${one.peer.name}`;
  const progress = new Progress(plan.map(kind), () => (options.quick ? 1.5 : 20));
  const tooSlow = new Set<string>();
  for (const one of plan) {
    if (scope.closing) throw new Error('interrupted');
    if (tooSlow.has(kind(one))) {
      progress.finished(kind(one), undefined);
      continue;
    }
    const version = one.peer === overlay ? `${one.says.version} ${ours}` : one.says.version;
    const key = { work: one.work.name, system: one.peer.name, version, settings: one.says.settings, round: one.round };
    const found = options.resume ? kept.find(key) : undefined;
    const cell = found ?? (await measure(scope, bench, one.work, one.peer, place(one.peer, one.work), one.round));
    if (scope.closing) throw new Error('interrupted');
    if (found === undefined) kept.keep(key, cell);
    cells.push(cell);
    if (cell.failed?.startsWith(TOO_LONG)) tooSlow.add(kind(one));
    progress.finished(kind(one), found === undefined ? cell.seconds : undefined);
    console.log(`${progress} ${kind(one)}, round ${one.round}: ${found ? 'from before: ' : ''}${say(cell, one.work)}`);
  }

  return {
    suite: 'general',
    machine: machine(python),
    fileSystem: fileSystemOf(work),
    quick: options.quick,
    rounds,
    source: options.source,
    sizes: { ...sizes, filesBytes: data.facts.filesBytes },
    reader: options.quick ? 'own reader' : await readerOf(python),
    module: data.facts.module,
    dropped: options.mayDrop,
    systems: systems.map(({ says }) => says),
    works: works.map(({ name, title, figures }) => ({
      name,
      title,
      figures: figures.map(({ name: figure, unit, how, bound, least }) => ({
        name: figure,
        unit,
        how,
        link: options.source.kind === 'slow' ? bound?.(data.facts, options.source.bandwidth) : undefined,
        least: least?.[options.source.kind],
      })),
    })),
    cells,
    unable,
    disturbed: interference(),
  };
}

/** Systems with a format of their own are given the data; one that fails here does nothing. */
async function prepare(
  scope: Scope,
  systems: { peer: Peer }[],
  place: (peer: Peer, work: Work) => Place,
  works: readonly Work[],
  sets: string[],
  unable: Result['unable'],
): Promise<void> {
  for (const { peer } of [...systems]) {
    if (peer.prepare === undefined) continue;
    console.log(`copying the data into ${peer.name}`);
    const inner = new Scope();
    scope.defer(peer.name, () => inner.close());
    try {
      await peer.prepare(inner, { ...place(peer, works[0]!), writes: true }, sets);
    } catch (error) {
      unable.push({ system: peer.name, work: undefined, why: (error as Error).message.split('\n')[0] ?? 'failed' });
      systems.splice(
        systems.findIndex((one) => one.peer === peer),
        1,
      );
      console.log(`  ${(error as Error).message}`);
    } finally {
      await inner.close();
    }
  }
}

function slowness(says: SourceSays): { latencyMs?: number; bandwidth?: number } {
  return says.kind === 'slow' ? { latencyMs: says.latencyMs, bandwidth: says.bandwidth } : {};
}

export function describeSource(says: SourceSays): string {
  return says.kind === 'plain'
    ? 'a plain local directory'
    : `the slow store, ${says.latencyMs} ms a request and ${formatBytes(says.bandwidth)}/s`;
}

async function readerOf(python: string): Promise<string> {
  const { code, stdout } = await run(python, ['-c', 'import torch; print(torch.__version__)'], { timeoutSeconds: 60 });
  return code === 0 ? `PyTorch ${stdout.trim()}` : 'own reader';
}

function say(cell: Cell, work: Work): string {
  const figures = work.figures.flatMap(({ name, unit }) => {
    const taken = cell.figures[name];
    return taken === undefined ? [] : [`${name} ${count(taken.value)} ${unit}`];
  });
  return [...figures, ...(cell.failed === undefined ? [] : [`FAILED: ${cell.failed}`])].join(', ');
}
