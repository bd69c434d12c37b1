/**
 * Where every measure happens: data on the local disk, a slow store that shows them, mounts with empty caches over it, and
 * what the store was asked meanwhile.
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callDaemon } from '../../src/control/client.ts';
import { findRecord, runtimeDirectory } from '../../src/control/registry.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { type Data, makeData, READERS } from '../general/data.ts';
import type { SlowStore } from '../slow-store/client.ts';
import { makeFiles } from '../support/images.ts';
import { type Loader, type LoaderOptions, startLoader } from '../support/loader.ts';
import { mountOverlay, type OverlayMount } from '../support/overlay-mount.ts';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { median } from '../support/table.ts';
import type { Sizes } from '../works/index.ts';
import type { Needs } from './measure.ts';

let mounts = 0;
/** The command gives a mount 10 s, which a busy machine may not have for it. */
const MOUNT_TRIES = 20;
/** How long a mount may take to come to rest. */
const SETTLE_SECONDS = 120;

/** While more of the disk is free than this, what mounts kept stays until the end. */
const LEAVES_FREE_BYTES = 16 * 1024 ** 3;

/**
 * The cache of a mount that is done. To remove it would be felt by the next: an ext4 without a journal passes over each inode that
 * was freed in the last minutes whenever it makes a file. Nor shall the next wait for a disk that still writes what this one kept.
 */
async function leave(cache: string): Promise<void> {
  const { bavail, bsize } = statfsSync(cache);
  if (bavail * bsize > LEAVES_FREE_BYTES) await must('sync', ['-f', cache]);
  else rmSync(cache, { recursive: true, force: true });
}

export interface CacheMount extends OverlayMount {
  path(name: string): string;
  /** Takes what the cache keeps out of the page cache. */
  dropPages(): Promise<void>;
  stats(): Promise<StatsDocument>;
  /** Until nothing is under way: what was read is kept after its reader has it. */
  settled(): Promise<StatsDocument>;
}

export interface StageParts {
  scope: Scope;
  python: string;
  work: string;
  sizes: Sizes;
  store: SlowStore;
  bandwidth: number;
  /** The epochs are read by the reader of ours: it starts sooner than PyTorch. */
  ownReader: boolean;
  /** Of every mount, besides those of the measure. */
  mountOptions: readonly string[];
}

export class Stage {
  readonly scope: Scope;
  readonly python: string;
  readonly sizes: Sizes;
  readonly store: SlowStore;
  /** Bytes a second of the link. */
  readonly bandwidth: number;
  readonly #ownReader: boolean;
  readonly #mountOptions: readonly string[];
  readonly #work: string;
  #data: Data | undefined;
  /** Of the second set of small files. */
  otherBytes = 0;

  constructor({ scope, python, work, sizes, store, bandwidth, ownReader, mountOptions }: StageParts) {
    this.scope = scope;
    this.python = python;
    this.sizes = sizes;
    this.store = store;
    this.bandwidth = bandwidth;
    this.#ownReader = ownReader;
    this.#mountOptions = mountOptions;
    this.#work = work;
  }

  /** The same data behind another link. */
  over(store: SlowStore, bandwidth: number): Stage {
    const { scope, python, sizes } = this;
    const kept = { work: this.#work, ownReader: this.#ownReader, mountOptions: this.#mountOptions };
    const stage = new Stage({ scope, python, sizes, store, bandwidth, ...kept });
    stage.#data = this.#data;
    stage.otherBytes = this.otherBytes;
    return stage;
  }

  async makeData(needs: ReadonlySet<Needs>): Promise<void> {
    const sets = new Set([...needs].filter((set) => set !== 'other'));
    this.#data = await makeData(this.local(''), this.sizes, sets, this.python, false);
    // as deep as nothing else, so that no file of the two sets has a directory in common
    if (needs.has('other')) this.otherBytes = makeFiles(this.local('other/files'), this.sizes.files, 10);
  }

  get facts(): Data['facts'] {
    return this.#data!.facts;
  }

  /** Of the small files, beneath 'files'. */
  get names(): readonly string[] {
    return this.#data!.names;
  }

  /** Data as they lie on the local disk, and as the slow store shows them. */
  local(name: string): string {
    return join(this.#work, 'source', name);
  }

  slow(name: string): string {
    return join(this.store.mountpoint, name);
  }

  scratch(name: string): string {
    return join(this.#work, name);
  }

  /** Brings the store's data into memory, or takes them out: its link is to be the cost, or the disk. */
  async pages(mode: 'load' | 'drop', ...paths: string[]): Promise<void> {
    await must(this.python, [join(READERS, 'evict.py'), mode, ...paths]);
  }

  /** A fresh mount of the slow store with an empty cache of that size. */
  async mount(cacheBytes: number, options: string[] = []): Promise<CacheMount> {
    const { mounted, cache } = await this.#mountSomewhere(cacheBytes, options);
    const { mountpoint } = mounted;
    const socket = findRecord(runtimeDirectory(), mountpoint)!.socket;
    const stats = async (): Promise<StatsDocument> =>
      (await callDaemon(socket, 'GET', '/stats')) as unknown as StatsDocument;
    return {
      ...mounted,
      path: (name) => join(mountpoint, name),
      dropPages: () => this.pages('drop', cache),
      stats,
      async settled() {
        let last = '';
        for (const until = performance.now() + SETTLE_SECONDS * 1000; performance.now() < until; await sleep(100)) {
          const now = await stats();
          const { store, cache: kept, reads, now: open } = now;
          const state = JSON.stringify([store.requests, kept.bytes, kept.heldBytes, reads.count, open.files]);
          if (open.pendingRequests === 0 && state === last) return now;
          last = state;
        }
        throw new Error(`the mount at ${mountpoint} did not come to rest in ${SETTLE_SECONDS} s`);
      },
      async unmount() {
        await mounted.unmount();
        await leave(cache);
      },
    };
  }

  async #mountSomewhere(cacheBytes: number, options: string[]): Promise<{ mounted: OverlayMount; cache: string }> {
    for (let left = MOUNT_TRIES - 1; ; left--) {
      const number = mounts++;
      const [mountpoint, cache] = [this.scratch(`mount-${number}`), this.scratch(`cache-${number}`)];
      for (const path of [mountpoint, cache]) mkdirSync(path);
      const wishes = [...options, ...this.#mountOptions].flatMap((option) => ['-o', option]);
      const words = ['--cache', `${cache}:${Math.floor(cacheBytes)}`, ...wishes];
      try {
        return { mounted: await mountOverlay(this.scope, this.store.mountpoint, mountpoint, words), cache };
      } catch (error) {
        if (left === 0 || !(error as Error).message.includes('MLO_MOUNT_TIMEOUT')) throw error;
      }
    }
  }

  /** Runs a reader of bench/readers and returns what it said. */
  async read(script: string, args: readonly (string | number)[]): Promise<Record<string, number>> {
    const { stdout } = await must(this.python, [join(READERS, `${script}.py`), ...args.map(String)], {
      timeoutSeconds: 900,
    });
    return JSON.parse(stdout) as Record<string, number>;
  }

  /** A job that reads the small files beneath `root`, epoch after epoch. */
  loader(root: string, options: Omit<LoaderOptions, 'python' | 'root' | 'decode'>): Promise<Loader> {
    return startLoader(this.scope, { python: this.python, root, decode: false, own: this.#ownReader, ...options });
  }

  /** A list of the small files as somebody shows them, for the readers that take one. */
  list(root: string): string {
    const path = this.scratch('list');
    writeFileSync(path, `${this.names.map((name) => join(root, name)).join('\n')}\n`);
    return path;
  }

  /** Bytes the store sent while something was done. */
  async sent(work: () => Promise<unknown>): Promise<number> {
    await this.store.reset();
    await work();
    return (await this.store.counts()).bytesRead;
  }
}

/** How much faster `one` is than `other`: both in turns, the median of each; they return seconds. */
export async function ratioInTurns(
  times: number,
  one: (turn: number) => Promise<number>,
  other: (turn: number) => Promise<number>,
): Promise<number> {
  const [ones, others]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < times; turn++) {
    others.push(await other(turn));
    ones.push(await one(turn));
  }
  return median(others) / median(ones);
}
