/** Child processes with a time limit. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface RunOptions {
  seconds?: number;
  env?: Record<string, string>;
  cwd?: string;
  /** The uid and gid to run as. */
  user?: number;
  input?: string;
}

export interface Finished {
  /** The exit status; 128 + signal when killed, 124 when the time was up. */
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, or to the end of its time: then it and its process group are killed. */
export function run(program: string, words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = launch(program, words, options);
  if (options.input !== undefined) child.stdin?.write(options.input);
  child.stdin?.end();
  return finished(child, options.seconds ?? 60);
}

/** Starts a program in a process group of its own; `finished` waits for it. */
export function launch(program: string, words: readonly string[], options: RunOptions = {}): ChildProcess {
  return spawn(program, words, {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.env && { env: options.env }),
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.user !== undefined && { uid: options.user, gid: options.user }),
  });
}

/**
 * Waits for the process itself, not for the end of its output: a daemon it left behind may hold that open. A process
 * that cannot be killed (it hangs in the kernel) is given up 2 s after its time.
 */
export function finished(child: ChildProcess, seconds: number): Promise<Finished> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      kill(child);
      setTimeout(() => settle(124), 2000).unref();
    }, seconds * 1000);
    function settle(status: number): void {
      clearTimeout(limit);
      for (const stream of [child.stdout, child.stderr]) stream?.destroy();
      resolve({
        status: late ? 124 : status,
        stdout,
        stderr: late ? `${stderr}(no end within ${seconds} s)\n` : stderr,
      });
    }
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      setTimeout(() => settle(exitStatus(code, signal)), OUTPUT_GRACE_MS);
    };
    child.on('close', (code, signal) => settle(exitStatus(code, signal)));
    child.on('exit', ended);
    if (child.exitCode !== null || child.signalCode !== null) ended(child.exitCode, child.signalCode);
  });
}

/** How long output may lag behind the end of the process when someone else still holds the pipe. */
const OUTPUT_GRACE_MS = 300;

function exitStatus(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal ? constants.signals[signal] : 0);
}

export function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}
