/**
 * Clears up after a benchmark that was killed: a process of its own that waits for the end of its standard input, which
 * comes when whoever started it is gone. It then ends every FUSE mount below a directory and every daemon of the run.
 *
 * Run by itself: `node watchdog.ts DIRECTORY PID`.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { forceUnmount, mounts } from './mounts.ts';
import type { Scope } from './scope.ts';

/** Every daemon that a benchmark starts carries this in its environment: "<pid of the benchmark>-...". */
export const MARK = 'OVERLAY_BENCH_MARK';

/** Watches over all mounts below a directory until the scope closes. */
export function watchOver(scope: Scope, directory: string): void {
  const args = ['--disable-warning=ExperimentalWarning', import.meta.filename, directory, String(process.pid)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.unref();
  child.stdin.on('error', () => {});
  scope.defer('the watchdog', () => void child.stdin.end('done\n'));
}

function daemonsOf(pid: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      const environment = readFileSync(`/proc/${Number(entry)}/environ`, 'latin1').split('\0');
      return environment.some((line) => line.startsWith(`${MARK}=${pid}-`)) ? [Number(entry)] : [];
    } catch {
      return [];
    }
  });
}

async function watch(directory: string, pid: string): Promise<void> {
  let said = '';
  for await (const text of process.stdin) said += String(text);
  if (said.includes('done')) return;
  const inside = () => mounts().filter(({ mountpoint }) => mountpoint.startsWith(`${directory}/`));
  for (const { mountpoint } of inside().reverse()) await forceUnmount(mountpoint);
  for (const daemon of daemonsOf(pid)) {
    try {
      process.kill(daemon, 'SIGKILL');
    } catch {
      // gone with its mount
    }
  }
  if (inside().length === 0) rmSync(directory, { recursive: true, force: true });
}

if (import.meta.main) await watch(process.argv[2]!, process.argv[3]!);
