/**
 * Real mounts for tests: `bin/ml-overlay mount` in another process, and the certainty that nothing of it stays behind.
 *
 * A test process never touches a path below a mount itself: a call that hangs would hang the event loop, and with it
 * the watchdog. Whatever reads or writes a mount is a child process.
 *
 * Every process of a mount is known by a mark in its environment, which daemons inherit; so "the daemon has gone" is a
 * statement about processes, whatever pid they have and however they detached.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Finished, launch, type RunOptions, run } from './run.ts';
import { abortConnection, detach, mountedAt } from './watchdog.ts';

/** The command under test; another one (an installed package) by MLO_TEST_COMMAND. */
export const command = process.env.MLO_TEST_COMMAND ?? resolve(import.meta.dirname, '../../bin/ml-overlay');

/** nobody: fusermount3 wants a user that /etc/passwd knows. Its group has the same number. */
export const ORDINARY_USER = 65534;
export const isRoot = process.getuid?.() === 0;

const MARK = 'MLO_TEST_MOUNT';
/** More than the command allows itself on a busy machine (`BUSY_LIMIT_MS`): it is the one to say what was the matter. */
const MOUNT_SECONDS = 45;
const IN_FRONT_SECONDS = 60;
/** On a machine so busy that mounts do not come to their end in time. */
export const ALWAYS_IN_FRONT = process.env.MLO_TEST_IN_FRONT === '1';
const UNMOUNT_SECONDS = 60;
const GONE_SECONDS = 30;

/** Why real mounts cannot be tested here, or false: the `skip` of a test. */
export const noMounts: string | false = !existsSync(command)
  ? `no ${command}`
  : !existsSync('/dev/fuse')
    ? 'no /dev/fuse'
    : !isRoot
      ? 'these tests mount as root and as an ordinary user: run them as root'
      : false;

/** Why an ordinary user cannot mount here, or false. fusermount3 opens the device as the user. */
export const noUserMounts: string | false =
  noMounts ||
  (!existsSync('/usr/bin/fusermount3')
    ? 'no fusermount3'
    : (statSync('/dev/fuse').mode & 0o006) !== 0o006
      ? '/dev/fuse is closed to ordinary users (udev makes it 0666)'
      : false);

export interface MountRequest {
  source: string;
  /** Made when missing; a fresh directory when not given. */
  mountpoint?: string;
  /** Arguments after the mountpoint: ['-o', 'ro', '--cache', 'none']. */
  options?: readonly string[];
  /** The uid (and gid) that mounts. */
  user?: number;
  /** Words of /bin/sh that run the command given after them in surroundings of their own; see memory-limit.ts. */
  within?: readonly string[];
  /** With -f: its command is the daemon, which has all the time it needs. Unless said, only where it took too long without. */
  inFront?: boolean;
}

export interface Mounted {
  readonly source: string;
  readonly mountpoint: string;
  /** Processes that belong to the mount. */
  pids(): number[];
  /** Those of them that serve it: they have /dev/fuse open. */
  daemons(): number[];
  /** Of its commands: a program that is started with it belongs to the mount. */
  readonly environment: Record<string, string>;
  /** Runs ml-overlay as the user of the mount, with its environment. */
  command(words: readonly string[], seconds: number): Promise<Finished>;
  /** Unmounts by the command line and asserts that mount and processes are gone. */
  unmount(): Promise<void>;
  /** Ends every request that waits, with an error. For mounts that hang. */
  abort(): void;
  /** kill -9, until its processes are gone. The mount stays, dead, until it is unmounted or mounted over. */
  killDaemon(): Promise<void>;
}

const mounted = new Set<LiveMount>();
const scratch: string[] = [];
let counter = 0;

/** A directory that is removed after the tests of this file. On a file system with all features: not /dev/shm. */
export function temporaryDirectory(name: string, owner?: number): string {
  const path = mkdtempSync(join(process.env.MLO_TEST_DIR ?? tmpdir(), `mlo-${name}-`));
  scratch.push(path);
  chmodSync(path, 0o755);
  if (owner !== undefined) chownSync(path, owner, owner);
  return path;
}

export async function mountOverlay(request: MountRequest): Promise<Mounted> {
  const mountpoint = request.mountpoint ?? temporaryDirectory('mnt', request.user);
  if (mountedAt(mountpoint) === undefined) mkdirSync(mountpoint, { recursive: true }); // what is mounted may be dead
  const live = new LiveMount(request.source, mountpoint, `${process.pid}-${counter++}`, request.user);
  for (const before of mounted) if (before.mountpoint === mountpoint) mounted.delete(before); // dead, and mounted over
  mounted.add(live);
  const words = ['mount', request.source, mountpoint, ...(request.options ?? [])];
  const [program, ...rest] = request.within ? ['/bin/sh', ...request.within, command] : [command];
  const inFront = (): Promise<Mounted> => live.mountInFront(program!, [...rest, ...words, '-f']);
  if (request.inFront ?? ALWAYS_IN_FRONT) return inFront();
  const result = await run(program!, [...rest, ...words], live.runOptions(MOUNT_SECONDS));
  if (request.inFront === undefined && /MLO_MOUNT_TIMEOUT|no end within/.test(result.stderr)) {
    live.tearDown();
    await live.killDaemon();
    return inFront();
  }
  if (result.status !== 0 || !mountedAt(mountpoint)) {
    live.tearDown();
    mounted.delete(live);
    const state = mountedAt(mountpoint) ? '' : ', and nothing is mounted';
    assert.fail(`${words.join(' ')}: status ${result.status}${state}\n${result.stdout}${result.stderr}`);
  }
  return live;
}

class LiveMount implements Mounted {
  readonly source: string;
  readonly mountpoint: string;
  readonly #mark: string;
  readonly #user: number | undefined;
  readonly #home: string;
  /** Process ids, and when each began. */
  readonly #known = new Map<number, string>();

  constructor(source: string, mountpoint: string, mark: string, user: number | undefined) {
    this.source = source;
    this.mountpoint = mountpoint;
    this.#mark = mark;
    this.#user = user;
    this.#home = temporaryDirectory('home', user);
  }

  get environment(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: this.#home,
      XDG_RUNTIME_DIR: this.#home,
      XDG_CACHE_HOME: join(this.#home, 'cache'),
      [MARK]: this.#mark,
    };
  }

  command(words: readonly string[], seconds: number): Promise<Finished> {
    return run(command, words, this.runOptions(seconds));
  }

  runOptions(seconds: number): RunOptions {
    return { seconds, env: this.environment, ...(this.#user !== undefined && { user: this.#user }) };
  }

  async mountInFront(program: string, words: readonly string[]): Promise<Mounted> {
    const child = launch(program, words, this.runOptions(IN_FRONT_SECONDS));
    let said = '';
    child.stdout?.resume();
    child.stderr?.on('data', (text) => {
      said += text;
    });
    for (const deadline = Date.now() + IN_FRONT_SECONDS * 1000; Date.now() < deadline; await sleep(100)) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      if (this.daemons().length === 0 || mountedAt(this.mountpoint) === undefined) continue;
      const { status } = await run('stat', ['-f', this.mountpoint], { seconds: 5 });
      if (status === 0) return this;
    }
    this.tearDown();
    mounted.delete(this);
    assert.fail(
      `${words.join(' ')}: ${child.exitCode === null ? 'does not mount' : `status ${child.exitCode}`}\n${said}`,
    );
  }

  /** Those that are ending have no environment any more to be known by. */
  pids(): number[] {
    for (const pid of processesMarked(this.#mark)) this.#known.set(pid, startOf(pid));
    for (const [pid, start] of this.#known) if (!isThere(pid) || startOf(pid) !== start) this.#known.delete(pid);
    return [...this.#known.keys()];
  }

  daemons(): number[] {
    return this.pids().filter(servesFuse);
  }

  async unmount(): Promise<void> {
    try {
      const result = await this.command(['umount', this.mountpoint], UNMOUNT_SECONDS);
      assert.equal(result.status, 0, `umount ${this.mountpoint}: ${result.stdout}${result.stderr}`);
      assert.equal(mountedAt(this.mountpoint), undefined, `${this.mountpoint} is still mounted`);
      await this.#gone();
    } finally {
      this.tearDown();
      mounted.delete(this);
    }
  }

  async #gone(): Promise<void> {
    const deadline = Date.now() + GONE_SECONDS * 1000;
    let left = this.pids();
    while (left.length > 0 && Date.now() < deadline) {
      await sleep(20);
      left = this.pids();
    }
    assert.deepEqual(left.map(described), [], `processes of the mount live on after ${GONE_SECONDS} s`);
  }

  abort(): void {
    abortConnection(this.mountpoint);
  }

  async killDaemon(): Promise<void> {
    this.#kill();
    await this.#gone();
  }

  /** Without waiting and without errors: what is still there goes. */
  tearDown(): void {
    for (let tries = 0; tries < 5 && mountedAt(this.mountpoint); tries++) {
      abortConnection(this.mountpoint);
      detach(this.mountpoint);
    }
    this.#kill();
  }

  #kill(): void {
    for (const pid of this.pids()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended meanwhile
      }
    }
  }
}

function processesMarked(mark: string): number[] {
  const wanted = `${MARK}=${mark}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => readProc(pid, 'environ').split('\0').includes(wanted));
}

/**
 * Below /proc. A process whose first thread has ended lives on, and holds its files, for as long as another waits within the
 * kernel.
 */
function livingThreads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map((thread) => `${pid}/task/${thread}`)
      .filter((thread) => /^State:\s+[^ZX\s]/m.test(readProc(thread, 'status')));
  } catch {
    return [];
  }
}

function isThere(pid: number): boolean {
  return livingThreads(pid).length > 0;
}

function startOf(pid: number): string {
  const text = readProc(pid, 'stat');
  return text.slice(text.lastIndexOf(')')).split(' ')[20] ?? '';
}

/** A process and where in the kernel its threads are. */
function described(pid: number): string {
  const stacks = livingThreads(pid).map((of) => readProc(of, 'stack').replaceAll(/\[<0>\] |\+\S+/g, ''));
  return `${pid}: ${readProc(pid, 'cmdline').replaceAll('\0', ' ')}${stacks.join('; ').replaceAll('\n', ' ')}`;
}

function servesFuse(pid: number): boolean {
  try {
    return execFileSync('readlink', ['-q', ...readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)], {
      encoding: 'utf8',
    }).includes('/dev/fuse');
  } catch (error) {
    // readlink's status is 1 when one of the descriptors has been closed meanwhile
    return String((error as { stdout?: unknown }).stdout ?? '').includes('/dev/fuse');
  }
}

/** `of`: below /proc. */
function readProc(of: string | number, file: string): string {
  try {
    return readFileSync(`/proc/${of}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

function leaveNothing(): void {
  for (const live of mounted) live.tearDown();
  mounted.clear();
  for (const path of scratch) {
    // Never descend into a mount that could not be removed.
    if (!isOrHoldsMount(path)) rmSync(path, { recursive: true, force: true });
  }
  scratch.length = 0;
}

function isOrHoldsMount(path: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => {
      const at = line.split(' ')[4] ?? '';
      return at === path || at.startsWith(`${path}/`);
    });
}

after(leaveNothing);
process.on('exit', leaveNothing);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
