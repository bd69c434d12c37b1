/** Starts the daemon and waits until its mount answers; on failure nothing of it is left. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DaemonReport, type DaemonRequest, REPORT_FD, REQUEST_VARIABLE } from '../config/daemon-request.ts';
import { memoryBudget } from '../config/memory.ts';
import { isAlive, startTimeOf } from '../control/processes.ts';
import { forgetDead } from '../control/registry.ts';
import { type ErrorCode, MloError } from '../errors.ts';
import { deviceOf, overlayDevices, statDevice } from './probe.ts';

/** From the start of a mount to its answering; what is then undone shall be so within ten seconds. */
const LIMIT_MS = 9_000;
/** Threads for calls that may wait for the source: it answers as many at once. */
const POOL_THREADS = '64';
/** For glibc (mallopt(3)): larger pieces get mappings of their own; more than that free at the heap's end is given back. */
const MAPPED_FROM_BYTES = String(64 * 1024);
const TRIMMED_FROM_BYTES = String(2 * 1024 ** 2);

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
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () =>
      interrupted.reject(new MloError('MLO_DAEMON', `interrupted by ${signal}`, 'mount again')),
    );
  }
  const limit = new AbortController();
  let known: string[];
  try {
    const late = sleep(Math.max(0, startedMs + LIMIT_MS - performance.now()), undefined, { signal: limit.signal }).then(
      () => {
        const what = `${request.mountpoint} did not answer within 10 s`;
        throw new MloError('MLO_MOUNT_TIMEOUT', what, `look whether the source answers: ls ${request.source}`);
      },
    );
    late.catch(() => {});
    known = await Promise.race([mountAnswers(child, request), late, interrupted.promise]);
  } catch (error) {
    await undo(child, startTime, request, before);
    throw error;
  } finally {
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
  const device = await statDevice(report.mountpoint, LIMIT_MS);
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

/** Kills the daemon and takes its mount away. */
async function undo(
  child: ChildProcess,
  startTime: string,
  request: DaemonRequest,
  before: ReadonlySet<string>,
): Promise<void> {
  const { pid } = child;
  const now = deviceOf(request.mountpoint);
  const device = now !== undefined && before.has(now) ? undefined : now; // what was there before is not ours to take away
  if (pid !== undefined && isAlive({ pid, startTime })) process.kill(pid, 'SIGKILL');
  if (device !== undefined) {
    try {
      writeFileSync(`/sys/fs/fuse/connections/${device.split(':')[1]}/abort`, '1');
    } catch {
      // gone with the daemon
    }
    await detach(request.mountpoint);
  }
  for (let tries = 0; pid !== undefined && tries < 50 && isAlive({ pid, startTime }); tries++) await sleep(20);
  forgetDead(request.runtimeDirectory, request.mountpoint);
}

function detach(mountpoint: string): Promise<void> {
  const [command, words] =
    process.getuid?.() === 0 ? ['umount', ['-f', '-l', mountpoint]] : ['fusermount3', ['-u', '-z', '--', mountpoint]];
  return new Promise((resolve) => {
    execFile(command as string, words as string[], { timeout: 2000, killSignal: 'SIGKILL' }, () => resolve());
  });
}
