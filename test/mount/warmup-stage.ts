/** What the tests of `warmup` share: a data set behind a slow store, mounted, and the command. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type SlowStore, startSlowStore } from '../../bench/slow-store/client.ts';
import type { WarmupProgress } from '../../src/overlay/index.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { command, type Mounted, mountOverlay, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, finished, launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

export const SECONDS = 120;
export const DIRECTORIES = 3;
export const FILES_EACH = 20;
export const LARGE_BYTES = 9_500_000; // more than a file of which only some are brought at once, and no whole number of chunks
export const FILES = DIRECTORIES * FILES_EACH + 2;

export type Result = WarmupProgress & { mountpoint: string; why?: string };

export interface Stage {
  source: string;
  slow: SlowStore;
  mount: Mounted;
  /** Runs warmup --json on a path below the mount. */
  warmup(words: readonly string[], status?: number): Promise<Result>;
  bytes: number;
}

/** Two directories deep: an empty file, many small ones, a large one; and links that lead outside. */
export function dataSet(source: string): number {
  let bytes = 0;
  const put = (path: string, size: number): void => {
    writeFileSync(join(source, path), Buffer.alloc(size, path));
    bytes += size;
  };
  for (let d = 0; d < DIRECTORIES; d++) {
    mkdirSync(join(source, `data/d${d}`), { recursive: true });
    for (let f = 0; f < FILES_EACH; f++) put(`data/d${d}/f${f}`, 1000 + 7001 * f);
  }
  put('data/empty', 0);
  put('data/large', LARGE_BYTES);
  return bytes;
}

export interface StageOptions {
  cache?: string;
  latencyMs?: number;
  bandwidth?: number;
  ttlMs?: number;
  options?: string;
}

/** `unmounts`: it is mounted still when the body has ended. */
export async function onSlowStore(
  body: (stage: Stage) => Promise<void>,
  options: StageOptions = {},
  unmounts = true,
): Promise<void> {
  const source = temporaryDirectory('behind');
  const bytes = dataSet(source);
  const slow = await startSlowStore({
    source,
    mountpoint: temporaryDirectory('slow'),
    latencyMs: options.latencyMs ?? 1,
    bandwidth: options.bandwidth ?? 1e9,
    ttlMs: options.ttlMs ?? 0,
  });
  try {
    const cache = temporaryDirectory('cache');
    const mount = await mountOverlay({
      source: slow.mountpoint,
      options: [
        '--cache',
        options.cache === undefined ? cache : `${cache}:${options.cache}`,
        '-o',
        options.options ?? 'ro',
      ],
    });
    const warmup = async (words: readonly string[], status = 0): Promise<Result> => {
      const done = await mount.command(['warmup', '--json', ...words], SECONDS);
      assert.equal(done.status, status, `${words.join(' ')}: ${done.stdout}${done.stderr}`);
      return JSON.parse(done.stdout) as Result;
    };
    await withWatchdog(mount, SECONDS, () => body({ source, slow, mount, warmup, bytes }));
    if (unmounts) await mount.unmount();
  } finally {
    await slow.stop();
  }
}

export async function statsOf(mount: Mounted): Promise<StatsDocument> {
  const { status, stdout, stderr } = await mount.command(['stats', mount.mountpoint, '--json'], 20);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as StatsDocument;
}

/** An epoch by a process of its own: every byte is compared with the source. */
export async function epoch({ source, mount }: Pick<Stage, 'source' | 'mount'>, user?: number): Promise<void> {
  const words = ['-r', join(source, 'data'), join(mount.mountpoint, 'data')];
  const { status, stdout, stderr } = await run('diff', words, {
    seconds: SECONDS,
    ...(user !== undefined && { user }),
  });
  assert.equal(status, 0, stdout + stderr);
}

/** Has the command begin, with the large file held back, and waits until all others are there. */
export async function begun({ slow, mount, bytes }: Stage): Promise<{ child: ChildProcess; ended: Promise<Finished> }> {
  await slow.hang({ path: 'data/large', kinds: ['read'] });
  const child = launch(command, ['warmup', mount.mountpoint, '--parallel', '4'], { env: mount.environment });
  const ended = finished(child, SECONDS);
  for (let tries = 0; (await statsOf(mount)).warmups.bytes < bytes - LARGE_BYTES; tries++) {
    assert.ok(tries < 200, 'the other files do not come');
    await sleep(50);
  }
  return { child, ended };
}

export async function atRest(mount: Mounted): Promise<StatsDocument> {
  for (let last = ''; ; await sleep(50)) {
    const stats = await statsOf(mount);
    const state = JSON.stringify([stats.store, stats.cache, stats.warmups]);
    if (state === last) return stats;
    last = state;
  }
}
