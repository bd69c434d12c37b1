/**
 * Starts a slow store in a process of its own and talks to it. `stop` always ends it: a store that does not leave in time
 * has its connection aborted, its mount detached and its process killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forceUnmount, mountAt } from '../support/mounts.ts';
import type { Counts } from './counts.ts';
import type { Fail, Hang, Match, Shorten } from './rules.ts';
import type { Pace } from './slow-file-system.ts';

export type { Counts, Fail, Hang, Match, Pace, Shorten };

export interface SlowStoreOptions {
  source: string;
  mountpoint: string;
  /** Default 5. */
  latencyMs?: number;
  /** Bytes a second; default 200 million. */
  bandwidth?: number;
  /** How long the kernel keeps names and attributes; default 1000. */
  ttlMs?: number;
  /** Where the daemon's own messages go; default: kept, and shown when it fails to start. */
  onMessage?: (line: string) => void;
}

const READY_MS = 60_000;
const STOP_MS = 5_000;

export class SlowStore {
  readonly mountpoint: string;
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #socket: string;
  readonly #directory: string;

  constructor(mountpoint: string, child: ChildProcess, exited: Promise<void>, socket: string, directory: string) {
    this.mountpoint = mountpoint;
    this.pid = child.pid ?? 0;
    this.#process = child;
    this.#exited = exited;
    this.#socket = socket;
    this.#directory = directory;
  }

  counts(): Promise<Counts> {
    return this.#ask('GET', '/counts') as Promise<Counts>;
  }

  async reset(): Promise<void> {
    await this.#ask('POST', '/reset');
  }

  /** Requests that match wait for `seconds`, or until `release`. */
  async hang(what: Hang = {}): Promise<void> {
    await this.#ask('POST', '/hang', what);
  }

  async fail(what: Fail): Promise<void> {
    await this.#ask('POST', '/fail', what);
  }

  async shorten(what: Shorten): Promise<void> {
    await this.#ask('POST', '/shorten', what);
  }

  /** Slower or quicker from now on, until the next. */
  async pace(what: Pace): Promise<void> {
    await this.#ask('POST', '/pace', what);
  }

  /** Lets go of everything that hangs. */
  async release(): Promise<void> {
    await this.#ask('POST', '/release');
  }

  /** Ends every hang, failure and shortening. */
  async clear(): Promise<void> {
    await this.#ask('POST', '/clear');
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    const left = await within(this.#exited, STOP_MS);
    if (!left || mountAt(this.mountpoint)?.source === 'slow-store') await forceUnmount(this.mountpoint);
    if (!left) {
      this.#process.kill('SIGKILL');
      await within(this.#exited, STOP_MS);
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #ask(method: string, path: string, what?: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#socket, method, path, timeout: 10_000, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`slow store: ${method} ${path}: ${text.trim()}`));
        });
      });
      asked.on('timeout', () => asked.destroy(new Error(`slow store: no answer to ${method} ${path} in 10 s`)));
      asked.on('error', reject);
      asked.end(what === undefined ? undefined : JSON.stringify(what));
    });
  }
}

export async function startSlowStore(options: SlowStoreOptions): Promise<SlowStore> {
  const directory = mkdtempSync(join(tmpdir(), 'slow-store-'));
  const socket = join(directory, 'control');
  const args = [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'main.ts'),
    options.source,
    options.mountpoint,
    '--latency-ms',
    String(options.latencyMs ?? 5),
    '--bandwidth',
    String(options.bandwidth ?? 200e6),
    '--ttl-ms',
    String(options.ttlMs ?? 1000),
    '--control',
    socket,
    '--until-eof',
  ];
  // Its own process group, so that Ctrl-C reaches only us, and an end of input that tells it when we are gone.
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const messages: string[] = [];
  const ready = new Promise<boolean>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        for (const line of text.split('\n').filter(Boolean)) {
          if (line === 'ready') resolve(true);
          else if (options.onMessage) options.onMessage(line);
          else messages.push(line);
        }
      });
    }
    void exited.then(() => resolve(false));
  });
  const store = new SlowStore(options.mountpoint, child, exited, socket, directory);
  if ((await within(ready, READY_MS)) && (await ready)) return store;
  await store.stop();
  throw new Error(`the slow store did not start:\n${messages.slice(-20).join('\n')}`);
}

/** Whether a promise settled in time. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const inTime = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}
