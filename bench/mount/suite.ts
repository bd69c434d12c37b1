/**
 * `npm run bench -- mount`: what the mount itself costs, over a source that the kernel has in memory. Every figure is taken
 * in interleaved rounds with the source itself and bindfs beside it, so that ratios mean something on any machine.
 */

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bound } from '../support/bounds.ts';
import { makeFiles } from '../support/images.ts';
import { watchInterference } from '../support/interference.ts';
import { fileSystemOf } from '../support/machine.ts';
import { mountOverlay } from '../support/overlay-mount.ts';
import { must } from '../support/processes.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { formatBytes } from '../support/sizes.ts';
import { count, median, percent, spread, table } from '../support/table.ts';
import { type Context, type Measure, measures, type Sizes } from './measures.ts';
import { mountSystems, overlayArguments, type System, type SystemName } from './systems.ts';

export interface SuiteOptions {
  python: string;
  quick: boolean;
  rounds: number;
  /** Only measures whose name contains this. */
  only: string | undefined;
  directory: string | undefined;
  /** Drop the machine's caches before each measurement (root). */
  cold: boolean;
}

const standard: Sizes = { sequentialBytes: 2 ** 30, files: 10_000, folders: 20, statFiles: 20_000, created: 5_000 };
const quick: Sizes = { sequentialBytes: 2 ** 28, files: 2_000, folders: 20, statFiles: 4_000, created: 1_000 };

interface Figure {
  measure: string;
  unit: string;
  system: SystemName;
  values: number[];
  median: number;
  spread: number;
}

interface Daemon {
  mountSeconds: number[];
  residentBytes: number[];
  idleCpu: number[];
}

export async function mountSuite(scope: Scope, options: SuiteOptions): Promise<object> {
  const sizes = options.quick ? quick : standard;
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  const source = join(work, 'source');
  console.log(`making the data in ${source} (${fileSystemOf(work)})`);
  const names = makeData(source, sizes);
  await must('sync', []);

  const interference = watchInterference(options.cold);
  const daemon = await measureDaemon(scope, source, work, options.rounds);
  const taken = measures.filter((measure) => measure.name.includes(options.only ?? ''));
  const ofDisk = taken.filter((measure) => !measure.inMemory);
  const ofMemory = taken.filter((measure) => measure.inMemory);
  const systems = await mountSystems(scope, source, work, usedBy(ofDisk));
  const inMemory = await mountSystems(scope, memorySource(scope, work), work, usedBy(ofMemory));
  const context: Context = { scope, python: options.python, work, sizes, names };
  const figures: Figure[] = [];
  for (const measure of ofDisk) figures.push(...(await takeRounds(context, measure, systems, options)));
  for (const measure of ofMemory) figures.push(...(await takeRounds(context, measure, inMemory, options)));

  console.log(
    `\n${table(
      ['', 'median', 'spread', 'of native', 'of bindfs'],
      figures.map((figure) => row(figure, figures)),
    )}`,
  );
  const bounds = boundsOf(figures, daemon);
  console.log(`\n${boundsTable(bounds)}`);
  const { python, rounds } = options;
  const ending = { suite: 'mount', python, directory: work, bounds, interference };
  return concluded(ending, { sizes, rounds, overlayArguments, figures, daemon });
}

function makeData(source: string, sizes: Sizes): string[] {
  for (const folder of ['', 'files', 'tree']) mkdirSync(join(source, folder));
  const bytes = makeFiles(join(source, 'files'), sizes.files, sizes.folders);
  console.log(`  ${count(sizes.files)} files, ${formatBytes(bytes)}`);
  for (let folder = 0; folder < 20; folder++) {
    const path = join(source, 'tree', `folder-${folder}`);
    mkdirSync(path);
    for (let at = 0; at < sizes.statFiles / 20; at++) writeFileSync(join(path, `file-${at}`), 'x');
  }
  const fd = openSync(join(source, 'large'), 'w');
  const noise = randomBytes(16 << 20);
  for (let at = 0; at < sizes.sequentialBytes; at += noise.length) writeSync(fd, noise, 0, noise.length, at);
  ftruncateSync(fd, sizes.sequentialBytes);
  closeSync(fd);
  const folders = readdirSync(join(source, 'files'));
  return folders.flatMap((folder) => readdirSync(join(source, 'files', folder)).map((name) => join(folder, name)));
}

function usedBy(some: readonly Measure[]): Set<SystemName> {
  return new Set(some.flatMap((measure) => measure.systems));
}

const SHARED_MEMORY = '/dev/shm';

/** An empty directory in memory, where there is a place for one. */
function memorySource(scope: Scope, work: string): string {
  const there = existsSync(SHARED_MEMORY) && fileSystemOf(SHARED_MEMORY) === 'tmpfs';
  if (!there) console.log(`${SHARED_MEMORY} is no tmpfs: files are created and removed in ${work}`);
  return scope.directory(there ? SHARED_MEMORY : work, 'ml-overlay-bench-');
}

/** A fresh mount each round: how long the command takes, what the daemon holds a second later, and what it does idle. */
async function measureDaemon(scope: Scope, source: string, work: string, rounds: number): Promise<Daemon> {
  const daemon: Daemon = { mountSeconds: [], residentBytes: [], idleCpu: [] };
  const path = join(work, 'fresh');
  mkdirSync(path);
  for (let round = 0; round < rounds; round++) {
    const overlay = await mountOverlay(scope, source, path, overlayArguments.overlay);
    await sleep(1000);
    const before = overlay.usage();
    await sleep(5000);
    const after = overlay.usage();
    daemon.mountSeconds.push(overlay.mountSeconds);
    daemon.residentBytes.push(before.residentBytes);
    daemon.idleCpu.push((after.cpuSeconds - before.cpuSeconds) / 5);
    await overlay.unmount();
  }
  return daemon;
}

async function takeRounds(context: Context, measure: Measure, all: System[], options: SuiteOptions): Promise<Figure[]> {
  const systems = all.filter((system) => measure.systems.includes(system.name));
  const values = new Map<SystemName, number[]>(systems.map((system) => [system.name, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const system of inTurn(systems, round)) {
      if (options.cold) await must('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
      else await measure.warm?.(context, system);
      values.get(system.name)?.push(await measure.measure(context, system, round));
    }
    const now = systems.map(({ name }) => `${name} ${count(values.get(name)!.at(-1)!)}`).join(', ');
    console.log(`  ${measure.name}, round ${round}: ${now} ${measure.unit}`);
  }
  return systems.map(({ name }) => {
    const taken = values.get(name)!;
    const { name: what, unit } = measure;
    return { measure: what, unit, system: name, values: taken, median: median(taken), spread: spread(taken) };
  });
}

/** Each round begins with another: what one leaves behind is not always the same one's burden. */
function inTurn(systems: readonly System[], round: number): System[] {
  const first = round % systems.length;
  return [...systems.slice(first), ...systems.slice(0, first)];
}

function ratio(figures: Figure[], measure: string, of: SystemName, to: SystemName): number | undefined {
  const find = (name: SystemName) => figures.find((figure) => figure.measure === measure && figure.system === name);
  const [above, below] = [find(of), find(to)];
  return above === undefined || below === undefined ? undefined : above.median / below.median;
}

function row(figure: Figure, figures: Figure[]): string[] {
  const of = (name: SystemName): string => ratio(figures, figure.measure, figure.system, name)?.toFixed(2) ?? '-';
  const value = `${count(figure.median)} ${figure.unit}`;
  return [`${figure.measure}: ${figure.system}`, value, percent(figure.spread), of('native'), of('bindfs')];
}

/** What the mount is required to reach. */
function boundsOf(figures: Figure[], daemon: Daemon): Bound[] {
  const required: [measure: string, of: SystemName, to: SystemName, atLeast: number][] = [
    ['sequential read, warm', 'overlay', 'native', 0.9],
    ['sequential read, warm', 'no passthrough', 'bindfs', 1.2],
    ['sequential read, warm', 'served', 'bindfs', 1.2],
    ['small files, shuffled, two readers', 'immutable', 'bindfs', 5],
    ['small files, shuffled, two readers', 'served', 'bindfs', 2],
    ['small files, DataLoader, two workers', 'overlay', 'bindfs', 1.4],
    ['small files, DataLoader, two workers', 'served', 'bindfs', 1.1],
    ['find with stat, warm', 'overlay', 'native', 0.7],
    ['create and remove', 'writable', 'bindfs', 1],
  ];
  const readers = figures.find((figure) => figure.measure === required[3]![0] && figure.system === 'native')?.median;
  return [
    { what: 'the readers alone, on the source (files/s)', value: readers, atLeast: 100_000, unit: '/s' },
    ...required.map(([measure, of, to, atLeast]) => ({
      what: `${measure}: ${of} / ${to}`,
      value: ratio(figures, measure, of, to),
      atLeast,
    })),
    { what: 'the mount command', value: median(daemon.mountSeconds), atMost: 0.7, unit: 's' },
    { what: 'resident after mount', value: median(daemon.residentBytes) / 2 ** 20, atMost: 130, unit: 'MiB' },
    { what: 'idle processor use', value: median(daemon.idleCpu) * 100, atMost: 0.5, unit: '%' },
  ];
}
