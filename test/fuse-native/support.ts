/** A mount through libfuse in a process of its own, which is gone after the tests whatever happens. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRoot, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, run } from '../support/run.ts';
import { abortConnection, detach } from '../support/watchdog.ts';

const program = resolve(import.meta.dirname, 'serve.ts');

/** Why this cannot be tested here, or false: the `skip` of a test. */
export const noLibfuse: string | false = !existsSync('/dev/fuse')
  ? 'no /dev/fuse'
  : !isRoot
    ? 'these tests mount as root and as an ordinary user: run them as root'
    : !installed()
      ? 'the optional package fuse-native is not installed'
      : false;

/** fusermount wants a user that has a name. */
export const NOBODY = 65534;

/** libfuse 2 opens the device as the user who mounts; udev lets everybody, containers often only root. */
export const noLibfuseForUsers: string | false =
  existsSync('/dev/fuse') && (statSync('/dev/fuse').mode & 0o006) === 0o006 ? false : '/dev/fuse is open to root only';

function installed(): boolean {
  try {
    createRequire(import.meta.url).resolve('fuse-native');
    return process.arch === 'x64';
  } catch {
    return false;
  }
}

export interface ServeOptions {
  readOnly?: boolean;
  allowOther?: boolean;
  attributesTtlMs?: number;
}

/** What serve.ts says when the mount has ended. */
export interface Report {
  reason: string;
  requests: Record<string, number>;
  pending: number;
  defects: number;
  dentries: number;
  nodes: number;
  openFiles: number;
  staleHandles: number;
  overlay: Record<string, number>;
}

const served = new Set<Served>();

export class Served {
  readonly source: string;
  readonly mountpoint: string;
  readonly child: ChildProcess;
  readonly #user: number | undefined;
  #output = '';

  constructor(options: ServeOptions = {}, user?: number) {
    this.source = temporaryDirectory('source', user);
    this.mountpoint = temporaryDirectory('mnt', user);
    this.#user = user;
    this.child = spawn(process.execPath, [program, this.source, this.mountpoint, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
      ...(user !== undefined && { uid: user, gid: user }),
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    served.add(this);
  }

  async ready(): Promise<this> {
    for (let tries = 0; tries < 200 && !/^(ready|error)/m.test(this.#output); tries++) await sleep(50);
    assert.match(this.#output, /^ready/m);
    return this;
  }

  /** Runs a Python program in the mount. */
  async python(text: string, seconds = 20): Promise<string> {
    const result: Finished = await run(
      '/usr/bin/python3',
      ['-c', `import os\nos.chdir('${this.mountpoint}')\n${text}`],
      {
        seconds,
        ...(this.#user !== undefined && { user: this.#user }),
      },
    );
    assert.equal(result.status, 0, result.stderr);
    return result.stdout.trim();
  }

  /** Unmounts (or takes `how`), and gives what the process said at its end. */
  async end(how: () => void = () => this.child.kill('SIGTERM')): Promise<Report> {
    how();
    for (let tries = 0; tries < 600 && this.child.exitCode === null && this.child.signalCode === null; tries++) {
      await sleep(50);
    }
    assert.equal(this.child.exitCode, 0, this.#output);
    return JSON.parse(this.#output.trim().split('\n').at(-1) ?? '') as Report;
  }

  tearDown(): void {
    const mounted = readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${this.mountpoint} `);
    if (mounted) {
      abortConnection(this.mountpoint);
      detach(this.mountpoint);
    }
    if (this.child.exitCode === null) this.child.kill('SIGKILL');
  }
}

after(() => {
  for (const one of served) one.tearDown();
});
