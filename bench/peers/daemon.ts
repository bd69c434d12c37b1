/** Starts the daemon of a FUSE mount in the foreground, waits for the mount, and ends both whatever state they are in. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forceUnmount, mountAt } from '../support/mounts.ts';
import { killGroup, marked, run } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { MARK } from '../support/watchdog.ts';
import type { Mounted } from './peer.ts';

const MOUNT_SECONDS = 30;
const LEAVE_SECONDS = 20;
let number = 0;

export function onPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The version in what a command says, in the first line that matches; "unknown" when it says none. */
export async function saysVersion(command: string, args: string[], line = /\d+\.\d+/): Promise<string> {
  const { stdout, stderr } = await run(command, args, { timeoutSeconds: 20 });
  const said = `${stdout}\n${stderr}`.split('\n').find((text) => line.test(text));
  return /v?\d+\.\d+[\w.+~-]*/.exec(said ?? '')?.[0] ?? 'unknown';
}

export interface Daemon {
  command: string;
  args: string[];
  mountpoint: string;
  home: string;
  env?: Record<string, string>;
  settle?: (pids: () => number[]) => Promise<void>;
}

/** A process of ours that is found again by its mark, even after it has become a daemon. */
export function startMarked(
  scope: Scope,
  { command, args, home, env }: Pick<Daemon, 'command' | 'args' | 'home' | 'env'>,
): { child: ChildProcess; pids: () => number[]; end: () => Promise<void>; said: () => string } {
  mkdirSync(home, { recursive: true });
  const mark = `${process.pid}-peer-${number++}`;
  const log = join(home, 'log');
  writeFileSync(log, '');
  const out = openSync(log, 'a');
  const child = spawn(command, args, {
    stdio: ['ignore', out, out],
    detached: true,
    env: { ...process.env, ...env, [MARK]: mark },
  });
  child.on('error', () => {});
  const pids = (): number[] => marked(MARK, mark).map(({ pid }) => pid);
  const end = async (): Promise<void> => {
    for (const pid of pids()) signal(pid, 'SIGTERM');
    for (const until = performance.now() + LEAVE_SECONDS * 1000; pids().length > 0 && performance.now() < until; ) {
      await sleep(20);
    }
    for (const pid of pids()) signal(pid, 'SIGKILL');
    killGroup(child);
  };
  scope.defer(command, end);
  return { child, pids, end, said: () => readFileSync(log, 'utf8').trim().split('\n').slice(-15).join('\n') };
}

export async function mountDaemon(scope: Scope, daemon: Daemon): Promise<Mounted> {
  const { mountpoint } = daemon;
  mkdirSync(mountpoint, { recursive: true });
  let mounted = true;
  scope.defer(mountpoint, () => forceUnmount(mountpoint));
  const { child, pids, end, said } = startMarked(scope, daemon);
  const unmount = async (): Promise<void> => {
    if (!mounted) return;
    mounted = false;
    if (mountAt(mountpoint) !== undefined) {
      const left = await run('umount', [mountpoint], { timeoutSeconds: LEAVE_SECONDS });
      if (left.code !== 0) await run('fusermount3', ['-u', mountpoint], { timeoutSeconds: LEAVE_SECONDS });
    }
    await forceUnmount(mountpoint);
    for (const until = performance.now() + LEAVE_SECONDS * 1000; pids().length > 0 && performance.now() < until; ) {
      await sleep(10);
    }
    await end();
  };
  for (const until = performance.now() + MOUNT_SECONDS * 1000; ; ) {
    if (mountAt(mountpoint) !== undefined) break;
    const ended = child.exitCode !== null || child.signalCode !== null;
    if ((ended && pids().length === 0) || child.pid === undefined || performance.now() > until) {
      await unmount();
      throw new Error(`${daemon.command} did not mount:\n${said()}`);
    }
    await sleep(10);
  }
  // the mount is there before the daemon answers: the first request waits for it
  const answered = await run('stat', [mountpoint], { timeoutSeconds: MOUNT_SECONDS });
  if (answered.code !== 0) {
    await unmount();
    throw new Error(`${daemon.command} does not answer:\n${said()}`);
  }
  return { path: mountpoint, pids, settle: async () => daemon.settle?.(pids), unmount };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // ended meanwhile
  }
}
