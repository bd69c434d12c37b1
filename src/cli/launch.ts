/** Starts the daemon and waits until its mount answers; on failure nothing of it is left. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonReport, type DaemonRequest, REPORT_FD, REQUEST_VARIABLE } from '../config/daemon-request.ts';
import { memoryBudget } from '../config/memory.ts';
import { forgetDead } from '../control/leftovers.ts';
import { isAlive, startTimeOf, wantsProcessor } from '../control/processes.ts';
import { type ErrorCode, MloError } from '../errors.ts';
import { abortConnection } from '../sys/fusectl.ts';
import { schedulingOf } from '../sys/processor-wait.ts';
import { BUSY_LIMIT_MS, tooLate } from './mount-limit.ts';
import { deviceOf, overlayDevices, statDevice } from './probe.ts';

/** For a daemon that was killed to be gone; one that only lacks a processor gets more. */
const GONE_MS = 1_000;
const GONE_BUSY_MS = 10_000;
const DETACH_MS = 5_000;
/** Threads for calls that may wait for the source: it answers as many at once. */
const POOL_THREADS = '64';
/** For glibc (mallopt(3)): larger pieces get mappings of their own; more than that free at the heap's end is given back. */
const MAPPED_FROM_BYTES = String(64 * 1024);
const TRIMMED_FROM_BYTES = String(2 * 1024 ** 2);

const ENDING = ['SIGINT', 'SIGTERM'] as const;

/** A signal came while a mount was being made. */
export class Interrupted extends MloError {}

interface Command {
  args: string[];
  environment: NodeJS.ProcessEnv;
}

function daemonCommand(request: DaemonRequest): Command {
  const heapMiB = Math.floor(memoryBudget(request.settings['max-memory']) / 2 ** 20);
  return {
    args: [
      '--disable-warning=ExperimentalWarning',
      '--max-semi-space-size=4', // MiB: with more, garbage of a burst stays resident
      // What is collected while everything stands still is little, and done here: helpers would have to be waited for, and
      // where others keep the processors busy that takes hundreds of ms. Marking goes on beside us as before.
      '--no-parallel-scavenge',
      '--no-parallel-compaction',
      '--no-parallel-pointer-update',
      `--max-old-space-size=${heapMiB}`,
      process.argv[1] ?? '',
      'daemon',
    ],
    environment: {
      ...process.env,
      UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? POOL_THREADS,
      // glibc gives each of the pool's threads an arena of its own, and gives none of them back: tens of MiB in an hour.
      MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '2',
      // Left to itself it raises the size from which memory is mapped by itself with each large buffer that is freed, until
      // buffers of a megabyte lie in its heap, between small things that stay, and what a burst took is never given back.
      MALLOC_MMAP_THRESHOLD_: process.env.MALLOC_MMAP_THRESHOLD_ ?? MAPPED_FROM_BYTES,
      MALLOC_TRIM_THRESHOLD_: process.env.MALLOC_TRIM_THRESHOLD_ ?? TRIMMED_FROM_BYTES,
      [REQUEST_VARIABLE]: JSON.stringify(request),
    },
  };
}

/** Becomes the daemon: the same process, so that signals and the exit status are its own. Returns only by an error. */
export function becomeDaemon(request: DaemonRequest): never {
  const { args, environment } = daemonCommand(request);
  const plain = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
  process.execve?.(process.execPath, [process.execPath, ...args], plain as Record<string, string>);
  throw new MloError('MLO_SYSTEM', 'this Node cannot replace its process (process.execve)', 'use Node 24 or newer');
}

/** `startedMs`: when this mount was begun, as performance.now() counts; 0 is the start of the command. */
export async function launchDaemon(request: DaemonRequest, startedMs = 0): Promise<void> {
  const { args, environment } = daemonCommand(request);
  const stdio: ('ignore' | 'inherit' | 'pipe')[] = ['ignore', 'ignore', 'ignore'];
  if (request.settings.log === 'stderr') stdio[2] = 'inherit';
  stdio[REPORT_FD] = 'pipe';
  const before = overlayDevices();
  const child = spawn(process.execPath, args, { detached: true, cwd: '/', env: environment, stdio });
  const startTime = child.pid === undefined ? '' : (startTimeOf(child.pid) ?? '');
  const interrupted = Promise.withResolvers<never>();
  const interrupt = (signal: string): void =>
    interrupted.reject(new Interrupted('MLO_DAEMON', `interrupted by ${signal}`, 'mount again'));
  for (const signal of ENDING) process.on(signal, interrupt);
  const limit = new AbortController();
  let known: string[];
  try {
    const { source, mountpoint } = request;
    // Of their main threads: the daemon's sleeps while the source is asked, however busy the machine.
    const waitedMs = (): number => schedulingOf(process.pid).delayMs + schedulingOf(child.pid ?? 0).delayMs;
    const late = tooLate({ source, mountpoint, startedMs, waitedMs, signal: limit.signal });
    late.catch(() => {});
    known = await Promise.race([mountAnswers(child, request), late, interrupted.promise]);
  } catch (error) {
    await undo(child, startTime, request, before);
    throw error;
  } finally {
    for (const signal of ENDING) process.off(signal, interrupt);
    limit.abort();
    child.unref();
    (child.stdio[REPORT_FD] as { destroy(): void } | null)?.destroy();
  }
  if (known.length > 0) await (await import('./hand-names.ts')).handNames(request.mountpoint, known);
}

/** The directories whose names the daemon knows. */
async function mountAnswers(child: ChildProcess, request: DaemonRequest): Promise<string[]> {
  const report = await outcome(child, request);
  if (!report.mounted) throw new MloError(report.code as ErrorCode, report.message, report.remedy);
  // A process of its own looks: should the look hang, that one can be killed.
  const device = await statDevice(report.mountpoint, BUSY_LIMIT_MS);
  if (device !== report.device) {
    const what = `${report.mountpoint} shows device ${device}, not the mount's ${report.device}`;
    throw new MloError('MLO_MOUNT', what, 'look at /proc/self/mountinfo for what else is mounted there');
  }
  return report.known;
}

type Outcome = Extract<DaemonReport, { mounted: boolean }>;

function outcome(child: ChildProcess, request: DaemonRequest): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const ended = (what: string): void => reject(new MloError('MLO_DAEMON', `the daemon ${what}`));
    createInterface(child.stdio[REPORT_FD] as Readable).on('line', (line) => {
      const report = JSON.parse(line) as DaemonReport;
      if ('mountingOn' in report) request.mountpoint = report.mountingOn;
      else resolve(report);
    });
    child.on('error', (error) => ended(`cannot be started: ${error.message}`));
    child.on('exit', (code, signal) => {
      // the report may still be on its way through the pipe
      setTimeout(() => ended(`ended early (${signal ?? `status ${code}`})`), 50);
    });
  });
}

/** Kills the daemon and takes its mount away: looked for when it is gone, or it could mount after that. */
async function undo(
  child: ChildProcess,
  startTime: string,
  request: DaemonRequest,
  before: ReadonlySet<string>,
): Promise<void> {
  const { pid } = child;
  if (pid !== undefined && isAlive({ pid, startTime })) {
    process.kill(pid, 'SIGKILL');
    await untilGone({ pid, startTime });
  }
  const device = deviceOf(request.mountpoint);
  if (device !== undefined && !before.has(device)) {
    // what was there before is not ours to take away
    abortConnection(device);
    await detach(request.mountpoint);
  }
  forgetDead(request.runtimeDirectory, request.mountpoint);
}

async function untilGone(daemon: { pid: number; startTime: string }): Promise<void> {
  const beganMs = performance.now();
  while (isAlive(daemon)) {
    const ms = performance.now() - beganMs;
    if (ms > GONE_BUSY_MS || (ms > GONE_MS && !wantsProcessor(daemon.pid))) return; // it hangs in a call
    await sleep(20);
  }
}

function detach(mountpoint: string): Promise<void> {
  const [command, words] =
    process.getuid?.() === 0 ? ['umount', ['-f', '-l', mountpoint]] : ['fusermount3', ['-u', '-z', '--', mountpoint]];
  return new Promise((resolve) => {
    execFile(command as string, words as string[], { timeout: DETACH_MS, killSignal: 'SIGKILL' }, () => resolve());
  });
}
