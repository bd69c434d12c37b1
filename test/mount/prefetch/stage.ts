/** What the tests of prefetching share: a data set behind a slow store, mounted, and a job that reads as it is told. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../../bench/slow-store/client.ts';
import { callDaemon } from '../../../src/control/client.ts';
import { findRecord, runtimeDirectory } from '../../../src/control/registry.ts';
import type { StatsDocument } from '../../../src/telemetry/stats.ts';
import { type Mounted, mountOverlay, temporaryDirectory } from '../../support/mounts.ts';
import { kill } from '../../support/run.ts';
import { withWatchdog } from '../../support/watchdog.ts';
import { launchProgram, makeFiles } from '../programs.ts';

/** Of one test: on a machine with other things to do as well. */
export const SECONDS = 300;
export const FILES = 240;
export const SIZE = 32_768;
/** Files that a job reads last; the store can be told to hang for them. */
export const LAST = 40;
export const LAST_FILES = 'data/0002*';
/** Enough for a mount to see that a data set is read, and that its files are not there. */
export const BEGINNING = 60;

/** What a job did since it was told to. */
export interface Did {
  files: number;
  bytes: number;
  /** Files by the generation of their content. */
  generations: Record<string, number>;
  errors: Record<string, number>;
  wrong: string[];
}

export class Job {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;
  #said = '';

  constructor(directory: string, env: Record<string, string> = {}, files = FILES) {
    this.#process = launchProgram('job.py', [directory, files, SIZE, '--last', LAST], {
      env: { ...process.env, ...env } as never,
    });
    this.#process.stderr?.on('data', (text) => {
      this.#said += text;
    });
    this.#lines = createInterface({ input: this.#process.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  async ready(): Promise<this> {
    await this.#answer();
    return this;
  }

  /** Reads so many more files of its epoch, or the rest of it, and asserts that each is of one generation. */
  async read(files: number | 'rest'): Promise<Did> {
    this.#process.stdin!.write(`${files === 'rest' ? 0 : files}\n`);
    const did = (await this.#answer()) as Did;
    assert.deepEqual(did.wrong, []);
    return did;
  }

  end(): void {
    this.#lines.close();
    kill(this.#process);
  }

  async #answer(): Promise<object> {
    const { value, done } = await this.#answers.next();
    assert.ok(!done, `the job ended: ${this.#said}`);
    return JSON.parse(value) as object;
  }
}

/** Reads the beginning of the data set with a store that hangs for the last of it: these are asked for, and do not come. */
export async function held({ slow, mount, job }: Stage): Promise<Job> {
  await slow.hang({ path: LAST_FILES, kinds: ['read'] });
  const reader = await job();
  await reader.read(BEGINNING);
  await until(mount, ({ prefetch }) => prefetch.underWay > 0);
  return reader;
}

export interface Stage {
  /** The data set, as it lies behind the slow store, and as the mount shows it. */
  source: string;
  seen: string;
  slow: SlowStore;
  mount: Mounted;
  cache: string;
  /** Of the data set. */
  bytes: number;
  /** A job that reads the data set through the mount, or another directory of the mount. */
  job(env?: Record<string, string>, directory?: string): Promise<Job>;
}

export interface StageOptions {
  cache?: (bytes: number) => number;
  latencyMs?: number;
  bandwidth?: number;
  /** Of the mount: -o. */
  options?: readonly string[];
  /** A directory for the cache instead of a new one. */
  cacheDirectory?: string;
}

export async function onSlowStore(
  body: (stage: Stage) => Promise<void>,
  options: StageOptions = {},
  unmounts = true,
): Promise<void> {
  const source = temporaryDirectory('behind');
  for (const set of ['data', 'other']) await makeFiles(join(source, set), { count: FILES, size: SIZE });
  const bytes = bytesOf(join(source, 'data'));
  const slow = await startSlowStore({
    source,
    mountpoint: temporaryDirectory('slow'),
    latencyMs: options.latencyMs ?? 2,
    bandwidth: options.bandwidth ?? 1e9,
    ttlMs: 0,
  });
  const jobs: Job[] = [];
  try {
    const cache = options.cacheDirectory ?? temporaryDirectory('cache');
    const words = ['ro', ...(options.options ?? [])].flatMap((option) => ['-o', option]);
    const size = options.cache?.(bytes) ?? 1 << 30;
    const mount = await mountOverlay({
      source: slow.mountpoint,
      options: ['--cache', `${cache}:${size}`, ...words],
      inFront: true, // a busy machine may need more than the command allows
    });
    const job: Stage['job'] = (env, directory = 'data') => {
      jobs.push(new Job(join(mount.mountpoint, directory), env));
      return jobs.at(-1)!.ready();
    };
    const stage = {
      source: join(source, 'data'),
      seen: join(mount.mountpoint, 'data'),
      slow,
      mount,
      cache,
      bytes,
      job,
    };
    await withWatchdog(mount, SECONDS, () => body(stage));
    for (const one of jobs.splice(0)) one.end();
    if (unmounts) await mount.unmount();
  } finally {
    for (const one of jobs) one.end();
    await slow.stop();
  }
}

function bytesOf(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

/** From the daemon itself: the command would cost a process each time. */
export async function statsOf({ mountpoint }: Mounted): Promise<StatsDocument> {
  let record = findRecord(runtimeDirectory(), mountpoint);
  for (; record === undefined; record = findRecord(runtimeDirectory(), mountpoint)) await sleep(20); // just mounted
  return (await callDaemon(record.socket, 'GET', '/stats', { timeoutMs: 60_000 })) as unknown as StatsDocument;
}

/** Waits until a look at the statistics shows something; the test's own time ends it. */
export async function until(mount: Mounted, shows: (stats: StatsDocument) => boolean): Promise<StatsDocument> {
  for (;;) {
    const stats = await statsOf(mount);
    if (shows(stats)) return stats;
    await sleep(50);
  }
}

/** Until nothing is brought any more. */
export async function atRest(mount: Mounted): Promise<StatsDocument> {
  let last = '';
  return until(mount, (stats) => {
    const { store, cache, prefetch } = stats;
    const state = JSON.stringify([store.requests, store.bytes, cache.bytes, cache.heldBytes]);
    const rests = state === last && prefetch.underWay === 0;
    last = state;
    return rests;
  });
}

/** Bytes that orders of these names brought. */
export function broughtBy({ prefetch }: StatsDocument, ...names: readonly string[]): number {
  return names.reduce((sum, name) => sum + (prefetch.byOrder[name]?.bytes ?? 0), 0);
}
