/** Child processes that do not hang their parent, and finding daemons by a mark in their environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Scope } from './scope.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  seconds: number;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutSeconds?: number;
  onLine?: (line: string) => void;
}

const running = new Set<ChildProcess>();

/** Kills, with its group, every command that `run` has under way. */
export function killRunning(): void {
  for (const child of running) killGroup(child);
}

/** Runs a command to its end. After the timeout its process group is killed; code 124 then, 127 when it cannot start. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<Ran> {
  const began = performance.now();
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  running.add(child);
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(
      () => {
        timedOut = true;
        killGroup(child);
      },
      (options.timeoutSeconds ?? 600) * 1000,
    );
    const finish = (code: number): void => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code: timedOut ? 124 : code, stdout, stderr, seconds: (performance.now() - began) / 1000 });
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (options.onLine) for (const line of text.split('\n').filter(Boolean)) options.onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', () => finish(127));
    // 'exit', not 'close': a daemon it started may hold its standard output open
    child.once('exit', (code) => setImmediate(() => finish(code ?? 128)));
  });
}

/** As `run`, but anything other than success throws with what the command said. */
export async function must(command: string, args: string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await run(command, args, options);
  if (ran.code === 0) return ran;
  const said = `${ran.stdout}${ran.stderr}`.trim().split('\n').slice(-20).join('\n');
  throw new Error(`${command} ${args.join(' ')}: exit code ${ran.code}${said && `\n${said}`}`);
}

export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ended meanwhile
  }
}

export interface LineProcess {
  readonly process: ChildProcess;
  /** The next line of standard output; throws when the process ends before it or `seconds` pass. */
  line(seconds: number): Promise<string>;
  send(text: string): void;
  /** Asks it to end by closing its standard input; kills it after two seconds. */
  end(): Promise<void>;
}

/** A child that is spoken to line by line; killed, with its group, when the scope closes. */
export function lineProcess(
  scope: Scope,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): LineProcess {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...env },
  });
  scope.defer(command, () => killGroup(child));
  const lines: string[] = [];
  let rest = '';
  let stderr = '';
  let ended = false;
  let wake = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  const exited = new Promise<void>((resolve) => {
    const over = (): void => {
      ended = true;
      wake();
      resolve();
    };
    child.once('close', over);
    child.once('error', over);
  });
  return {
    process: child,
    async line(seconds) {
      const until = performance.now() + seconds * 1000;
      for (;;) {
        const line = lines.shift();
        if (line !== undefined) return line;
        if (ended) throw new Error(`${command} ${args[0]} ended early:\n${stderr.split('\n').slice(-15).join('\n')}`);
        const left = until - performance.now();
        if (left <= 0) throw new Error(`${command} ${args[0]}: nothing in ${seconds} s`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    send: (text) => void child.stdin.write(`${text}\n`),
    async end() {
      child.stdin.end();
      const timer = setTimeout(() => killGroup(child), 2000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Processes whose environment carries `name=value`, this one excepted: daemons leave their group, but keep that. */
export function marked(name: string, value: string): { pid: number; command: string }[] {
  const found = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${name}=${value}`)) continue;
      if (/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      found.push({ pid, command });
    } catch {
      // ended meanwhile, or not ours to look at
    }
  }
  return found;
}

/** Resident bytes and processor seconds so far of some processes together. */
export function usage(pids: number[]): { residentBytes: number; cpuSeconds: number } {
  let residentBytes = 0;
  let cpuSeconds = 0;
  for (const pid of pids) {
    try {
      const kib = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      residentBytes += Number(kib ?? 0) * 1024;
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      cpuSeconds += (Number(fields[11]) + Number(fields[12])) / 100; // USER_HZ is 100 on every Linux we run on
    } catch {
      // ended meanwhile
    }
  }
  return { residentBytes, cpuSeconds };
}
