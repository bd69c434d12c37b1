/**
 * A mount whose daemon comes and goes: each round mounts over what the last one left, compares every byte with the source,
 * works on the mount, and ends the daemon in the middle of that. What works and compares is programs/crash.py.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pick, type Random } from '../cache/damages.ts';
import { ALWAYS_IN_FRONT, command, type Mounted, mountOverlay, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { launchProgram } from './programs.ts';

/** For all that a round does on a mount, on a machine that is busy with other things. */
const ROUND_SECONDS = 120;
const LOAD_MOST_MS = 800;
/** Between the signal that ends a daemon by its own doing and the one that kills it meanwhile. */
const STOPPING_MOST_MS = 250;
const MOUNT_TRIES = 3;

interface Compared {
  wrong: string[];
  wrongs: number;
}

/** A reading of all that never changes. */
export interface Epoch extends Compared {
  stillBytes: number;
  stillFromStore: number;
}

export interface Verified extends Epoch {
  bytes: number;
  acknowledged: number;
  damagedChunks: number;
  checkedChunks: number;
  evictions: number;
}

interface Stopped extends Compared {
  steps: Record<string, number>;
  /** Reads that failed, of files that changed just then. */
  refused: string[];
}

/** How a daemon ends: killed; killed while it unmounts by force; that without being killed. */
export type Ending = 'killed' | 'killed while stopping' | 'stopped by force' | 'unmounted';

export interface Beside {
  /** `ml-overlay warmup` runs too. */
  warming?: boolean;
  /** Called when the daemon is about to be ended. */
  before?: () => void;
}

/** The ways a mount can serve; each round takes one. */
const ways: readonly (readonly string[])[] = [
  [],
  ['-o', 'disable=passthrough'],
  ['-o', 'store-speed=pooled'],
  ['-o', 'store-speed=pooled,disable=passthrough'],
  ['-o', 'passthrough-min=16K'],
  ['-o', 'disable=keep-cache,disable=push-pages'],
];

/** One source and one cache, over many rounds. */
export class Life {
  readonly source = temporaryDirectory('source');
  readonly mountpoint = temporaryDirectory('mnt');
  readonly cache: string;
  readonly #random: Random;
  readonly #sizeBytes: number;
  readonly #program: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly mountedMs: number[] = [];
  /** Mounts that were given up since the machine had no time for them; then they stay in front, where none is. */
  givenUp = 0;
  mount: Mounted | undefined;

  constructor(random: Random, sizeBytes: number, cache = temporaryDirectory('cache')) {
    this.#random = random;
    this.#sizeBytes = sizeBytes;
    this.cache = cache;
    const log = temporaryDirectory('log');
    this.#program = launchProgram('crash.py', [this.source, this.mountpoint, log, '--seed', random(1e9)]);
    this.#program.stderr?.pipe(process.stderr);
    this.#answers = createInterface(this.#program.stdout!)[Symbol.asyncIterator]();
  }

  /** The directory of this source in the cache. */
  get inner(): string {
    return join(this.cache, readdirSync(this.cache).find((name) => /^[0-9a-f]{16}$/.test(name))!);
  }

  get index(): string {
    return join(this.inner, 'index.sqlite');
  }

  async ask<T>(command: string, words: object = {}): Promise<T> {
    this.#program.stdin!.write(`${JSON.stringify({ do: command, ...words })}\n`);
    const { value, done } = await this.#answers.next();
    assert.ok(done !== true, `the program has ended instead of: ${command}`);
    const answer = JSON.parse(value) as T & { failed?: string };
    assert.equal(answer.failed, undefined, command);
    return answer;
  }

  /** Mounts over whatever the round before left there. */
  async begin(more: readonly string[] = []): Promise<Mounted> {
    const { source, mountpoint } = this;
    const options = ['--cache', `${this.cache}:${this.#sizeBytes}`, '--attr-ttl', '60'];
    options.push('-o', 'sample-opens=off', ...pick(this.#random, ways), ...more);
    for (let tries = 1; ; tries++) {
      const before = performance.now();
      try {
        const inFront = this.givenUp > 0 || ALWAYS_IN_FRONT;
        this.mount = await mountOverlay({ source, mountpoint, options, inFront });
        this.mountedMs.push(performance.now() - before);
        return this.mount;
      } catch (error) {
        // It was undone, by kill -9: that is one more thing a cache must survive.
        if (tries === MOUNT_TRIES || !/MLO_MOUNT_TIMEOUT|no end within/.test(String(error))) throw error;
        this.givenUp++;
      }
    }
  }

  watched<T>(body: () => Promise<T>): Promise<T> {
    return withWatchdog(this.mount!, ROUND_SECONDS, body);
  }

  verify(): Promise<Verified> {
    return this.#compared('verify');
  }

  epoch(): Promise<Epoch> {
    return this.#compared('epoch');
  }

  async #compared<T extends Compared>(command: string): Promise<T> {
    const found = await this.watched(() => this.ask<T>(command));
    assert.deepEqual(found.wrong, [], `${found.wrongs} things wrong`);
    return found;
  }

  /** Works on the mount for a moment, and ends its daemon meanwhile. */
  async loadAndEnd(ending: Ending, { warming = false, before }: Beside = {}): Promise<Stopped> {
    const stopped = await this.watched(async () => {
      await this.ask('load');
      const words = ['warmup', join(this.mountpoint, 'still')];
      const warmed = warming ? finished(launch(command, words), ROUND_SECONDS) : undefined;
      await sleep(this.#random(LOAD_MOST_MS));
      const { ended } = await this.ask<{ ended: string[] }>('alive');
      if (ended.length > 0) {
        const { wrong } = await this.ask<Stopped>('stop', { at: Number(process.hrtime.bigint()) / 1e9 });
        assert.fail(`${ended.join(', ')} ended before the daemon did: ${wrong.join('; ')}`);
      }
      const at = Number(process.hrtime.bigint()) / 1e9;
      before?.();
      await this.#end(ending);
      await warmed; // with whatever it says
      return this.ask<Stopped>('stop', { at });
    });
    assert.deepEqual(stopped.wrong, [], `${stopped.wrongs} things wrong under load`);
    return stopped;
  }

  async #end(ending: Ending): Promise<void> {
    const mount = this.mount!;
    if (ending === 'killed') return mount.killDaemon();
    if (ending === 'unmounted') return mount.unmount();
    const [pid] = mount.daemons();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGTERM'); // it says that the mount is in use
    await sleep(50);
    process.kill(pid, 'SIGTERM');
    if (ending === 'killed while stopping') {
      await sleep(this.#random(STOPPING_MOST_MS));
      return mount.killDaemon();
    }
    for (let tries = 0; mount.pids().length > 0; tries++) {
      assert.ok(tries < 60, 'the daemon ends');
      await sleep(500);
      if (mount.pids().includes(pid)) process.kill(pid, 'SIGTERM'); // two that came at once were one
    }
  }

  async end(): Promise<void> {
    this.#program.stdin!.end();
    await this.mount?.unmount().catch(() => {}); // it may be dead
    this.#program.kill('SIGKILL');
  }
}
