/**
 * The stall meter against programs that measure their own waiting (programs/stall.py), over a slow store: close to the
 * truth, or null. On a machine with nothing else to do, MLO_STALL_POINTS=5 is what the meter promises; a machine that
 * continuous integration shares with others gets ten, and a workload that waited for a processor there is skipped, or whose
 * truth was another than is claimed. What is not told is no failure there as long as enough is.
 * `MLO_STALL_SECONDS` is how long one workload takes, about; 4 unless said.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { ProcessSnapshot, StallSnapshot } from '../../src/access/snapshot.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { kill } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { launchProgram } from './programs.ts';

const SCALE = Number(process.env.MLO_STALL_SECONDS ?? 4) / 4;
const STRICT = process.env.MLO_STALL_POINTS !== undefined;
const POINTS = Number(process.env.MLO_STALL_POINTS ?? 10) / 100;
/** How many workloads must be told of, whatever the machine. */
const TOLD_LEAST = 8;
/** A share of waiting for a processor that tells of a machine with other things to do, and how often to try on such a one. */
const BUSY = 0.01;
const TRIES = 3;
const STARVED = 0.03;
const SMALL_FILES = Math.ceil(640 * SCALE);
const SMALL_BYTES = 60_000;
const LARGE_BYTES = Math.ceil(64 * SCALE) << 20;

interface Job {
  work: 'files' | 'stream' | 'mapped' | 'threads' | 'loader';
  computeMs: number;
  [parameter: string]: string | number | boolean;
}

interface Workload {
  claim: string;
  job: Job;
  /** Read through a cache: large files are then served by the daemon until they are complete. */
  cached?: boolean;
  /** What the truth has to be about, for the claim to mean something. */
  truth: [number, number];
  /** The meter may say that it does not know. */
  mayBeNull?: boolean;
  /** How far off it is known to be where the machine has other things to do, and no MLO_STALL_POINTS asks for less. */
  points?: number;
}

const count = (files: number): number => Math.ceil(files * SCALE);

const readers: Workload[] = [
  {
    claim: 'small files, nothing else: all of its time',
    job: { work: 'files', computeMs: 0, files: count(120) },
    truth: [0.9, 1],
  },
  {
    claim: 'small files and as much computing: half',
    job: { work: 'files', computeMs: 25, files: count(80) },
    truth: [0.4, 0.7],
  },
  {
    claim: 'small files and much burned processor time',
    job: { work: 'files', computeMs: 120, burn: true, files: count(30) },
    truth: [0.1, 0.35],
  },
  {
    claim: 'small files from the page cache in nine epochs of ten: hardly ever',
    job: { work: 'files', computeMs: 20, files: count(20), epochs: 10 },
    truth: [0, 0.25],
    cached: true,
  },
  {
    claim: 'a large file in pieces, read ahead while it computes: what the read-ahead does not hide',
    job: { work: 'stream', piece: 131_072, computeMs: 1.5 },
    cached: true,
    truth: [0.1, 0.6],
  },
  {
    claim: 'a large file in pieces, read ahead in time: hardly ever',
    job: { work: 'stream', piece: 131_072, computeMs: 5 },
    cached: true,
    truth: [0, 0.15],
  },
  {
    claim: 'random rows of a memory-mapped table, two epochs',
    job: { work: 'mapped', row: 8192, rows: count(220), random: true, computeMs: 4, epochs: 2 },
    cached: true,
    truth: [0.1, 0.8],
  },
  {
    claim: 'a memory-mapped table in order',
    job: { work: 'mapped', row: 65_536, computeMs: 1 },
    cached: true,
    truth: [0, 0.4],
    points: 0.25,
  },
  {
    claim: 'a large file that the kernel reads by itself',
    job: { work: 'stream', piece: 131_072, computeMs: 3 },
    truth: [0, 0.5],
    mayBeNull: true,
  },
  {
    claim: 'sixteen threads of one process',
    job: { work: 'threads', threads: 16, computeMs: 40, files: count(640) },
    truth: [0.3, 0.7],
  },
];

const loaders: Workload[] = [
  {
    claim: 'DataLoader, one worker, which is too few',
    job: { work: 'loader', workers: 1, batch: 8, computeMs: 60, files: count(160) },
    truth: [0.5, 0.9],
  },
  {
    claim: 'DataLoader, two workers, two epochs with pages kept',
    job: { work: 'loader', workers: 2, batch: 8, computeMs: 60, files: count(240), epochs: 2 },
    truth: [0.15, 0.6],
  },
  {
    claim: 'DataLoader, four workers that are early enough',
    job: { work: 'loader', workers: 4, batch: 8, computeMs: 90, files: count(320) },
    truth: [0, 0.15],
  },
  {
    claim: 'DataLoader, four workers that decode as well, and stay',
    job: { work: 'loader', workers: 4, batch: 8, computeMs: 50, decodeMs: 10, persistent: true, files: count(480) },
    truth: [0.1, 0.6],
  },
  {
    claim: 'DataLoader whose consumer waits for a device as others do for data: little, or unknown',
    job: { work: 'loader', workers: 4, batch: 8, computeMs: 150, device: true, files: count(240) },
    truth: [0, 0.15],
    mayBeNull: true,
  },
  {
    claim: 'DataLoader whose consumer waits for a device as well as for data: unknown',
    job: { work: 'loader', workers: 4, batch: 8, computeMs: 45, device: true, files: count(480) },
    truth: [0.15, 0.7],
    mayBeNull: true,
  },
  {
    claim: 'DataLoader, eight workers, not enough either',
    job: { work: 'loader', workers: 8, batch: 8, computeMs: 28, decodeMs: 25, files: count(640) },
    truth: [0.1, 0.7],
  },
];

interface Truth {
  seconds: number;
  waited: number;
  delayed: number;
  pid: number;
}

interface Result {
  /** How often it was measured: more than once only on a machine too busy the first time. */
  tries: number;
  truth: Truth;
  stats: { stall: StallSnapshot; processes: ProcessSnapshot[]; daemon: { cpuSeconds: number } };
}

/** A process that does one job after the other. */
class Worker {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  constructor(args: string[]) {
    this.#process = launchProgram('stall.py', args);
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    assert.ok(done !== true, `stall.py has ended: ${this.#stderr}`);
    return value as string;
  }

  async do(job: Job, root: string): Promise<Truth> {
    this.#process.stdin!.write(`${JSON.stringify({ ...job, root })}\n`);
    return JSON.parse(await this.line()) as Truth;
  }

  end(): void {
    kill(this.#process);
  }
}

const results = new Map<Workload, PromiseWithResolvers<Result>>();
const workers: Worker[] = [];
let store: SlowStore | undefined;

/** The readers' workloads beside the loaders': most of the time all of them sleep. */
before(async () => {
  for (const workload of [...readers, ...loaders]) {
    const result = Promise.withResolvers<Result>();
    result.promise.catch(() => {}); // its own test tells
    results.set(workload, result);
  }
  if (noMounts) return;
  const source = temporaryDirectory('behind');
  for (const name of ['small', 'large']) await mkdir(join(source, name));
  const bytes = Buffer.alloc(SMALL_BYTES, 'x');
  for (let i = 0; i < SMALL_FILES; i++) writeFileSync(join(source, 'small', `${i}`), bytes);
  writeFileSync(join(source, 'large', 'table'), bytes);
  truncateSync(join(source, 'large', 'table'), LARGE_BYTES);
  store = await startSlowStore({ source, mountpoint: temporaryDirectory('slow'), latencyMs: 8 });
  void lane(readers, []);
  void lane(loaders, ['--torch']);
});

after(async () => {
  for (const worker of workers) worker.end();
  await store?.stop();
});

async function lane(workloads: Workload[], args: string[]): Promise<void> {
  const worker = new Worker(args);
  workers.push(worker);
  await worker.line();
  for (const workload of workloads) {
    await measureQuietly(worker, workload).then(results.get(workload)!.resolve, results.get(workload)!.reject);
  }
  worker.end();
}

/** Again, where the machine had so much else to do that neither the truth nor the meter was worth much. */
async function measureQuietly(worker: Worker, workload: Workload): Promise<Result> {
  let result = await measure(worker, workload);
  for (let tries = 1; tries < TRIES && result.truth.delayed > result.truth.seconds * BUSY; tries++) {
    if (misses(result, workload).length === 0) break;
    result = { ...(await measure(worker, workload)), tries: tries + 1 };
  }
  return result;
}

async function measure(worker: Worker, { job, cached }: Workload): Promise<Result> {
  const mount = await mountOverlay({
    source: store!.mountpoint,
    options: ['--cache', cached ? temporaryDirectory('cache') : 'none'],
  });
  const result = await withWatchdog(mount, 60 * Math.max(1, SCALE), async () => {
    const folder = job.work === 'stream' || job.work === 'mapped' ? 'large' : 'small';
    const truth = await worker.do(job, join(mount.mountpoint, folder));
    const told = await mount.command(['stats', mount.mountpoint, '--json'], 20);
    assert.equal(told.status, 0, told.stderr);
    return { tries: 1, truth, stats: JSON.parse(told.stdout) as Result['stats'] };
  });
  await mount.unmount();
  return result;
}

/** What is further off than it may be. */
function misses({ truth, stats }: Result, { job, mayBeNull: doubtful, points = 0 }: Workload): string[] {
  const most = STRICT ? POINTS : Math.max(POINTS, points);
  // Of a consumer without a processor nothing is told.
  const mayBeNull = doubtful === true || !STRICT || (job.work === 'loader' && truth.delayed > truth.seconds * STARVED);
  const waited = truth.waited / truth.seconds;
  const told: [string, number | null | undefined, number][] = [
    ['the stall share', stats.stall.share, waited],
    ['AU', stats.stall.au, 1 - waited],
  ];
  const reader = stats.processes.find(({ pid }) => pid === truth.pid);
  if (job.work !== 'loader') told.push(["the process's share", reader?.stallShare, waited]);
  return told
    .filter(([, share, right]) => (share === null && !mayBeNull) || Math.abs((share ?? right) - right) > most)
    .map(([what, share, right]) => `${what} is ${percent(share)}, and ${percent(right)} in truth`);
}

const percent = (share: number | null | undefined): string =>
  typeof share === 'number' ? `${(share * 100).toFixed(1)} %` : 'unknown';

for (const workload of [...readers, ...loaders]) {
  const { claim, truth: expected } = workload;
  test(claim, { skip: noMounts }, async (t) => {
    const result = await results.get(workload)!.promise;
    const { truth, stats } = result;
    const { stall } = stats;
    const waited = truth.waited / truth.seconds;
    t.diagnostic(
      `waited ${percent(waited)} of ${truth.seconds.toFixed(1)} s (${truth.delayed.toFixed(2)} s for want of a processor; tries: ${result.tries}); told ` +
        `${percent(stall.share)}, AU ${percent(stall.au)}, readers ${percent(stall.readersShare)}, daemon ` +
        `${stats.daemon.cpuSeconds.toFixed(2)} s; ${stall.sentences.join('. ')}`,
    );
    const wrong = misses(result, workload);
    const claimed = waited >= expected[0] && waited <= expected[1];
    if (truth.delayed > truth.seconds * BUSY && (wrong.length > 0 || !claimed)) {
      t.skip(`the machine is busy: ${truth.delayed.toFixed(2)} s without a processor; ${wrong.join(', ')}`);
      return;
    }
    assert.deepEqual(wrong, []);
    const otherwise = `it waited ${percent(waited)}: that is not what is claimed`;
    // A consumer that seldom wakes does not feel it when the daemon and the store want for a processor; that makes it wait.
    if (!claimed && !STRICT) return t.skip(`${otherwise}, though it is what the meter tells`);
    assert.ok(claimed, otherwise);
  });
}

test('enough of them are told of', { skip: noMounts }, async () => {
  const all = await Promise.all([...results.values()].map(({ promise }) => promise));
  const told = all.filter(({ stats }) => stats.stall.share !== null).length;
  assert.ok(told >= TOLD_LEAST, `${told} of ${all.length}`);
});
