/**
 * `npm run bench -- soak [--minutes 30] [--warm-up 6]`: every kind of work at once, on a mount with a cache and on one without, for a long
 * time; then whether the daemons hold more than they did, and whether anything is left when they are gone.
 */
import { existsSync, mkdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bound } from '../support/bounds.ts';
import { makeFiles } from '../support/images.ts';
import { mountAt } from '../support/mounts.ts';
import { mountOverlay } from '../support/overlay-mount.ts';
import { type LineProcess, lineProcess } from '../support/processes.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { median, table } from '../support/table.ts';
import { columns, Daemon, type Sample } from './daemon.ts';
import { floors, type Point, rise, type Trend, trendOf } from './trend.ts';

export interface SoakOptions {
  python: string;
  minutes: number;
  /** Samples of these first minutes count for nothing. */
  warmMinutes: number;
  /** Of every kind of work between two rounds of it. */
  pauseMs: number;
  directory: string | undefined;
}

const MIB = 2 ** 20;
/** Of resident memory, MiB in ten minutes. */
const SLOPE_MOST = 1;
/** Files kept open beside those that are known: objects of content that has just been replaced. */
const KEPT_BESIDE = 64;
/** What a handful of reads under way may hold more at the end than at the beginning. */
const DESCRIPTORS_MOST = 8;
const TIMERS_MOST = 3;
const SAMPLE_SECONDS = 3;
const WARM_SECONDS_LEAST = 60;
/** Stretches of which the least memory is taken. */
const WINDOWS = 20;
const REPLACE_MS = 200;
const REPLACED_FILES = 20;

const kinds = ['loader', 'walk', 'random', 'short', 'write', 'replaced'] as const;

interface Worker {
  kind: (typeof kinds)[number];
  mount: string;
  process: LineProcess;
  failed: string | undefined;
  done: number;
}

interface Soaked {
  name: string;
  daemon: Daemon;
  samples: Sample[];
}

export async function soakSuite(scope: Scope, options: SoakOptions): Promise<object> {
  const work = scope.directory(options.directory, 'ml-overlay-soak-');
  const source = join(work, 'source');
  makeSource(source);
  const cache = join(work, 'cache');
  const systems: [name: string, args: string[]][] = [
    ['without cache', ['--cache', 'none', '-o', 'attr-ttl=1s']],
    // As over a slow source: every call on the pool, everything kept in the tier, and more than fits.
    ['with cache', ['--cache', `${cache}:40M`, '-o', 'attr-ttl=1s', '-o', 'store-speed=pooled']],
  ];
  const soaked: Soaked[] = [];
  for (const [name, args] of systems) {
    const path = join(work, name.replaceAll(' ', '-'));
    mkdirSync(path);
    soaked.push({
      name,
      daemon: new Daemon(await mountOverlay(scope, source, path, args), [source, cache]),
      samples: [],
    });
  }
  // Each with a seed of its own: the mounts share a source, and no two may write the same names.
  const workers = soaked.flatMap(({ name, daemon }, mount) =>
    kinds.map((kind, at) =>
      startWorker(scope, options, kind, name, daemon.mount.mountpoint, mount * kinds.length + at + 1),
    ),
  );
  const began = performance.now();
  const untilMs = began + options.minutes * 60_000;
  const failures: string[] = [];
  let looks = 0;
  let replaced = 0;
  const replacing = setInterval(() => replaceOne(source, replaced++), REPLACE_MS);
  scope.defer('replacing', () => clearInterval(replacing));
  for (let second = 0; performance.now() < untilMs && !scope.closing; second++) {
    await sleep(1000);
    try {
      for (const { daemon } of soaked) await daemon.stats();
      looks++;
      if (second % SAMPLE_SECONDS !== 0) continue;
      for (const one of soaked) one.samples.push(await one.daemon.sample((performance.now() - began) / 1000));
    } catch (error) {
      failures.push((error as Error).message);
    }
    if (failures.length > 10 || workers.some(({ failed }) => failed !== undefined)) break;
    if (second % 60 < SAMPLE_SECONDS) for (const one of soaked) console.log(`  ${progress(one)}`);
  }
  clearInterval(replacing);
  for (const worker of workers) await endWorker(worker);
  for (const { failed } of workers) if (failed !== undefined) failures.push(failed);
  for (const one of soaked) failures.push(...(await leftBehind(one)));

  const warmSeconds = Math.max(WARM_SECONDS_LEAST, options.warmMinutes * 60);
  const results = soaked.map((one) => judge(one, warmSeconds));
  for (const { name, rows } of results) {
    if (rows.length > 0)
      console.log(`\n${table([name, 'first third', 'last third', 'least', 'most', 'in ten minutes'], rows)}`);
  }
  const done = workers.map(({ kind, mount, done }) => `${kind} ${mount} ${done.toLocaleString('en-US')}`);
  console.log(
    `\nOperations: ${done.join(', ')}; ${replaced} files replaced, ${looks} looks at the statistics of each.`,
  );
  const bounds: Bound[] = [
    ...results.flatMap(({ bounds }) => bounds),
    { what: 'failures, and things left behind', value: failures.length, atMost: 0, unit: '' },
  ];
  console.log(`\n${boundsTable(bounds)}`);
  for (const failure of failures) console.log(`Failed: ${failure}`);
  const { python, minutes, pauseMs } = options;
  const mounts = soaked.map(({ name, samples }, at) => ({ name, samples, trends: results[at]!.trends }));
  const ending = { suite: 'soak', python, directory: work, bounds };
  return concluded(ending, { minutes, systems, warmSeconds, pauseMs, mounts, failures });
}

function makeSource(source: string): void {
  for (const folder of ['data', 'new', 'replaced']) mkdirSync(join(source, folder), { recursive: true });
  makeFiles(join(source, 'data'), 600, 12);
  writeFileSync(join(source, 'table'), '');
  truncateSync(join(source, 'table'), 64 * MIB);
  for (let file = 0; file < REPLACED_FILES; file++) replaceOne(source, file);
}

/** Another version of one of the files, in its place at once, as a well-behaved writer does it. */
function replaceOne(source: string, version: number): void {
  const folder = join(source, 'replaced');
  const file = join(folder, `file-${version % REPLACED_FILES}`);
  const part = join(source, 'replaced.part');
  writeFileSync(part, Buffer.alloc(20_000 + (version % 7) * 30_000, 65 + (version % 26)));
  renameSync(part, file);
}

function startWorker(
  scope: Scope,
  { python, pauseMs }: SoakOptions,
  kind: Worker['kind'],
  mount: string,
  root: string,
  seed: number,
): Worker {
  const program = join(import.meta.dirname, 'work.py');
  const pause = ['--pause-ms', String(pauseMs)];
  const child = lineProcess(scope, python, [program, kind, root, '--seed', String(seed), ...pause]);
  const worker: Worker = { kind, mount, process: child, failed: undefined, done: 0 };
  let stderr = '';
  child.process.stderr?.on('data', (text: string) => {
    stderr = `${stderr}${text}`.slice(-4000);
  });
  child.process.once('close', (code, signal) => {
    if (code !== 0 && !scope.closing) worker.failed = `${kind} ${mount} ended with ${signal ?? code}: ${stderr.trim()}`;
  });
  return worker;
}

async function endWorker(worker: Worker): Promise<void> {
  if (worker.failed !== undefined) return;
  try {
    worker.process.process.stdin?.end();
    worker.done = Number(await worker.process.line(60));
    await worker.process.end();
  } catch (error) {
    worker.failed ??= `${worker.kind} ${worker.mount}: ${(error as Error).message}`;
  }
}

async function leftBehind({ name, daemon }: Soaked): Promise<string[]> {
  const left: string[] = [];
  const idle = await daemon.sample(0).catch((error: Error) => error);
  if (idle instanceof Error) left.push(`${name}: ${idle.message}`);
  else if (idle.files > 0 || idle.pending > 0) {
    left.push(`${name}: ${idle.files} open files and ${idle.pending} requests when nobody reads any more`);
  }
  const { mount } = daemon;
  await mount.unmount();
  if (mountAt(mount.mountpoint) !== undefined) left.push(`${name}: it is still mounted`);
  for (const pid of mount.pids()) left.push(`${name}: process ${pid} is still there`);
  for (const path of [daemon.socket, daemon.record]) if (existsSync(path)) left.push(`${name}: ${path} is still there`);
  return left;
}

interface Judged {
  name: string;
  rows: string[][];
  bounds: Bound[];
  trends: Record<string, Trend>;
}

function judge({ name, samples }: Soaked, warmSeconds: number): Judged {
  const warm = samples.filter(({ seconds }) => seconds >= warmSeconds);
  const points = (column: (typeof columns)[number]): Point[] =>
    warm.map((sample) => ({ seconds: sample.seconds, value: sample[column] }));
  const trends: Record<string, Trend> = {};
  const measured = warm.length >= WINDOWS;
  const rows = (measured ? columns : []).map((column) => {
    const all = points(column);
    const bytes = column.endsWith('Bytes');
    const trend = trendOf(bytes ? floors(all, WINDOWS) : all);
    trends[column] = trend;
    const shown = (value: number): string =>
      bytes ? `${(value / MIB).toFixed(1)} MiB` : value.toFixed(Number.isInteger(value) ? 0 : 1);
    const values = all.map(({ value }) => value);
    const third = Math.max(1, Math.floor(values.length / 3));
    const scale = bytes ? MIB : 1;
    const slope = ((trend.perSecond * 600) / scale).toFixed(2);
    return [
      column.replace('Bytes', ' memory'),
      shown(median(values.slice(0, third))),
      shown(median(values.slice(-third))),
      shown(Math.min(...values)),
      shown(Math.max(...values)),
      `${slope} +- ${((2 * trend.error * 600) / scale).toFixed(2)}`,
    ];
  });
  const { perSecond, error } = trends.residentBytes ?? { perSecond: 0, error: 0 };
  const most = (column: (typeof columns)[number]): number => Math.max(0, ...points(column).map(({ value }) => value));
  const inTenMinutes = (slope: number): number => (slope * 600) / MIB;
  return {
    name,
    rows,
    trends,
    bounds: [
      {
        what: `${name}: resident memory in ten minutes`,
        value: measured ? inTenMinutes(perSecond) : undefined,
        between: [inTenMinutes(perSecond - 2 * error), inTenMinutes(perSecond + 2 * error)],
        atMost: SLOPE_MOST,
        unit: 'MiB',
      },
      {
        what: `${name}: more descriptors`,
        value: measured ? rise(points('descriptors')) : undefined,
        atMost: DESCRIPTORS_MOST,
        unit: '',
      },
      {
        what: `${name}: files kept open, at most`,
        value: measured ? most('keptDescriptors') : undefined,
        atMost: 2 * most('inodes') + KEPT_BESIDE, // each in the source and in the cache
        unit: '',
      },
      {
        what: `${name}: more timers`,
        value: measured ? rise(points('timers')) : undefined,
        atMost: TIMERS_MOST,
        unit: '',
      },
    ],
  };
}

function progress({ name, samples }: Soaked): string {
  const last = samples.at(-1);
  if (last === undefined) return name;
  const { seconds, residentBytes, heapBytes, descriptors, timers, inodes, files } = last;
  const memory = `${(residentBytes / MIB).toFixed(1)} MiB resident, ${(heapBytes / MIB).toFixed(1)} MiB heap`;
  return `${seconds.toFixed(0)} s, ${name}: ${memory}, ${descriptors} descriptors, ${timers} timers, ${inodes} inodes, ${files} open`;
}
