/**
 * `npm run bench -- million [--files N] [--source DIR]`: a million small files in a thousand directories, over a source that
 * is treated as slow. They are walked (find with stat), a tenth of them is read twice, and it is mounted again with the index
 * that is left. Then every file gets a row in the index, as if all had been read, and the same is done once more.
 *
 * Bounds: what the daemon holds, the longest time that its thread was away from the device, and the time to mount.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callDaemon } from '../../src/control/client.ts';
import { findRecord, runtimeDirectory } from '../../src/control/registry.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import type { Bound } from '../support/bounds.ts';
import { scripts } from '../support/loader.ts';
import { mountOverlay, type OverlayMount } from '../support/overlay-mount.ts';
import { must } from '../support/processes.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { count, table } from '../support/table.ts';
import { watchOver } from '../support/watchdog.ts';
import { fillIndex } from './index-rows.ts';

export interface MillionOptions {
  python: string;
  directory: string | undefined;
  files: number;
  /** Files that are there already: of the names that `makeFiles` gives. */
  source: string | undefined;
}

const DIRECTORIES = 1000;
const FILE_BYTES = 112;
/** One in so many is read. */
const READ_ONE_IN = 10;
const MIB = 2 ** 20;
/** The lease is longer than the run: what is known is not asked for again, as in a job that takes hours. */
const overlayArguments = (cache: string): string[] => [
  '--cache',
  `${cache}:20G`,
  '-o',
  'store-speed=pooled,attr-ttl=1h,scrub=off',
];

/** What was seen of a daemon at one point. */
interface Look {
  at: string;
  seconds: number;
  residentMiB: number;
  /** The most since it was started. */
  peakMiB: number;
  heapMiB: number;
  inodes: number;
  objects: number;
  /** Longest turn of the loop so far, with and without waiting for a processor; and for how long the thread waited for one. */
  longestMs: number;
  ownLongestMs: number;
  /** Turns of 50 ms and more without that wait. */
  ownLong: number;
  waitedForProcessorMs: number;
}

export async function millionSuite(scope: Scope, options: MillionOptions): Promise<object> {
  const work = scope.directory(options.directory, 'ml-overlay-million-');
  watchOver(scope, work);
  const source = options.source ?? join(work, 'source');
  if (options.source === undefined) makeFiles(source, options.files);
  const paths = sourcePaths(source);
  const files = paths.length;
  const mountpoint = join(work, 'mount');
  const cache = join(work, 'cache');
  mkdirSync(mountpoint);
  const list = join(work, 'list');
  writeFileSync(
    list,
    paths
      .filter((_, at) => at % READ_ONE_IN === 0)
      .map((path) => join(mountpoint, path))
      .join('\n'),
  );

  const run = new Run(scope, options.python, source, mountpoint, cache);
  await run.mount('mounted, nothing cached');
  await run.walk(files);
  await run.read(list, 'read a tenth');
  await run.read(list, 'read them again');
  await run.unmount();
  await run.mount('mounted again');
  const warmSeconds = run.mountSeconds;
  await run.unmount();
  await fillIndex(cache, source, paths);
  await run.mount('mounted, all in the index');
  const fullSeconds = run.mountSeconds;
  await run.allLoaded(files);
  await run.walk(files);
  await run.read(list, 'read a tenth');
  await run.unmount();

  console.log(`\n${table(columns, run.looks.map(row))}`);
  const most = (of: (look: Look) => number): number => Math.max(...run.looks.map(of));
  const bounds: Bound[] = [
    { what: 'resident, at most', value: most(({ peakMiB }) => peakMiB), atMost: 700, unit: 'MiB' },
    { what: 'longest turn of the loop, by itself', value: most((look) => look.ownLongestMs), atMost: 50, unit: 'ms' },
    { what: 'mount, with what was read in the index', value: warmSeconds, atMost: 2, unit: 's' },
    { what: 'mount, with every file in the index', value: fullSeconds, atMost: 2, unit: 's' },
  ];
  console.log(`\n${boundsTable(bounds)}`);
  const ending = { suite: 'million', python: options.python, directory: source, bounds };
  return concluded(ending, { files, arguments: overlayArguments('CACHE'), looks: run.looks });
}

/** "part-0007/sample-0007123.jpg", of a hundred bytes. */
function makeFiles(source: string, files: number): void {
  console.log(`making ${count(files)} files in ${source}`);
  const each = Math.ceil(files / DIRECTORIES);
  for (let file = 0; file < files; file++) {
    const directory = join(source, `part-${String(Math.floor(file / each)).padStart(4, '0')}`);
    if (file % each === 0) mkdirSync(directory, { recursive: true });
    const fd = openSync(join(directory, `sample-${String(file).padStart(7, '0')}.jpg`), 'w');
    writeSync(fd, String(file).padStart(FILE_BYTES, '.'));
    closeSync(fd);
  }
}

/** Of all files, below the source. */
function sourcePaths(source: string): string[] {
  return readdirSync(source).flatMap((part) => readdirSync(join(source, part)).map((name) => `${part}/${name}`));
}

class Run {
  readonly looks: Look[] = [];
  mountSeconds = 0;
  readonly #scope: Scope;
  readonly #python: string;
  readonly #source: string;
  readonly #mountpoint: string;
  readonly #cache: string;
  #overlay: OverlayMount | undefined;

  constructor(scope: Scope, python: string, source: string, mountpoint: string, cache: string) {
    this.#scope = scope;
    this.#python = python;
    this.#source = source;
    this.#mountpoint = mountpoint;
    this.#cache = cache;
  }

  async mount(at: string): Promise<void> {
    const args = overlayArguments(this.#cache);
    this.#overlay = await mountOverlay(this.#scope, this.#source, this.#mountpoint, args);
    this.mountSeconds = this.#overlay.mountSeconds;
    await this.#look(at, this.mountSeconds);
  }

  async unmount(): Promise<void> {
    await this.#overlay?.unmount();
  }

  /** Asks for the size of every file; as many as there are have to come. */
  async walk(files: number): Promise<void> {
    const command = `find ${this.#mountpoint} -type f -printf '%s\\n' | wc -l`;
    const { seconds, stdout } = await must('sh', ['-c', command], { timeoutSeconds: 3600 });
    if (Number(stdout) !== files) throw new Error(`the walk found ${stdout.trim()} files, not ${files}`);
    await this.#look('walked', seconds);
  }

  async read(list: string, at: string): Promise<void> {
    const { seconds } = await must(this.#python, [scripts.readFiles, list], { timeoutSeconds: 3600 });
    await this.#look(at, seconds);
  }

  /** Waits until every row of the index is in memory. */
  async allLoaded(objects: number): Promise<void> {
    const beganMs = performance.now();
    while ((await this.#stats()).cache.completeObjects < objects) await sleep(500);
    await this.#look('all of it loaded', (performance.now() - beganMs) / 1000);
  }

  #stats(): Promise<StatsDocument> {
    const record = findRecord(runtimeDirectory(), this.#mountpoint);
    if (record === undefined) throw new Error(`no record of the mount at ${this.#mountpoint}`);
    return callDaemon(record.socket, 'GET', '/stats') as Promise<unknown> as Promise<StatsDocument>;
  }

  async #look(at: string, seconds: number): Promise<void> {
    const { loop, now, cache, daemon } = await this.#stats();
    const memory = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
    const mib = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(memory)?.[1]) / 1024;
    const look: Look = {
      at,
      seconds,
      residentMiB: mib('VmRSS'),
      peakMiB: mib('VmHWM'),
      heapMiB: daemon.heapBytes / MIB,
      inodes: now.inodes,
      objects: cache.objects,
      longestMs: loop?.maxMs ?? Number.NaN,
      ownLongestMs: loop?.ownMaxMs ?? Number.NaN,
      ownLong: loop?.ownLong ?? Number.NaN,
      waitedForProcessorMs: Number(readFileSync(`/proc/${daemon.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6,
    };
    this.looks.push(look);
    console.log(`  ${row(look).join('  ')}`);
  }
}

const columns = [
  '',
  's',
  'MiB',
  'peak',
  'heap',
  'inodes',
  'objects',
  'longest turn',
  'by itself',
  '>= 50 ms',
  'no processor',
];

function row(look: Look): string[] {
  const numbers = [look.residentMiB, look.peakMiB, look.heapMiB, look.inodes, look.objects].map((n) =>
    count(Math.round(n)),
  );
  const waited = `${count(Math.round(look.waitedForProcessorMs))} ms`;
  const turns = [look.longestMs, look.ownLongestMs].map((ms) => `${ms.toFixed(1)} ms`);
  return [look.at, look.seconds.toFixed(2), ...numbers, ...turns, count(look.ownLong), waited];
}
