/**
 * Where the measures happen: the same data behind links of several kinds, and three ways to read them: the bare source, a
 * mount that prefetches and one that does not. Every mount is fresh, with an empty cache.
 */
import { mkdirSync } from 'node:fs';
import type { CacheMount, Stage } from '../cache/stage.ts';
import { startSlowStore } from '../slow-store/client.ts';
import type { Epoch, LoaderOptions } from '../support/loader.ts';
import { Ledger, watchMemory } from './ledger.ts';
import { BATCH, WORKERS } from './measure.ts';

/** Where a data set is seen. */
export type PathOf = (name: string) => string;

export type Side = 'bare' | 'off' | 'on';

/** More than any measure reads. */
const ROOM_BYTES = 8 * 2 ** 30;

export interface Through {
  /** Near, unless said. */
  stage?: Stage;
  cacheBytes?: number;
  /** Of the mount, besides `ro`. */
  options?: readonly string[];
}

export interface Seen<T> {
  said: T;
  /** What the store was asked, until the mount had come to rest. */
  sentBytes: number;
  requests: number;
}

export class Site {
  /** The link of the command line. */
  readonly near: Stage;
  readonly latencyMs: number;
  readonly ledger = new Ledger();
  readonly #others = new Map<string, Stage>();

  constructor(near: Stage, latencyMs: number) {
    this.near = near;
    this.latencyMs = latencyMs;
  }

  /** The same data behind another link; kept for later rounds. */
  async link(latencyMs: number, bandwidth: number): Promise<Stage> {
    const key = `${latencyMs}-${bandwidth}`;
    const known = this.#others.get(key);
    if (known !== undefined) return known;
    const mountpoint = this.near.scratch(`slow-${key}`);
    mkdirSync(mountpoint);
    const store = await startSlowStore({ source: this.near.local(''), mountpoint, latencyMs, bandwidth });
    this.near.scope.defer('another slow store', () => store.stop());
    const stage = this.near.over(store, bandwidth);
    this.#others.set(key, stage);
    return stage;
  }

  /** Mounts; memory is watched until it is unmounted. */
  async mount(what: string, side: Side, { stage = this.near, cacheBytes, options = [] }: Through): Promise<CacheMount> {
    const words = ['ro', ...options, ...(side === 'off' ? ['prefetch=off'] : [])];
    const mount = await stage.mount(cacheBytes ?? ROOM_BYTES, words);
    const memory = watchMemory(mount.pids());
    return {
      ...mount,
      unmount: async () => {
        this.ledger.add(what, memory(), (await mount.stats()).prefetch);
        await mount.unmount();
      },
    };
  }

  /** Does something on one of the sides. */
  async through<T>(what: string, side: Side, parts: Through, work: (path: PathOf) => Promise<T>): Promise<Seen<T>> {
    const mount = side === 'bare' ? undefined : await this.mount(what, side, parts);
    const seen = await this.seen(parts.stage ?? this.near, mount, work);
    await mount?.unmount();
    return seen;
  }

  /** What the store was asked for something that is done on a mount, or without one. */
  async seen<T>(stage: Stage, mount: CacheMount | undefined, work: (path: PathOf) => Promise<T>): Promise<Seen<T>> {
    await stage.store.reset();
    const said = await work(mount === undefined ? (name) => stage.slow(name) : mount.path);
    await mount?.settled();
    const { bytesRead, requests } = await stage.store.counts();
    return { said, sentBytes: bytesRead, requests };
  }

  /** The first epoch of a job of its own. */
  async epoch(root: string, seed: number, options: Partial<LoaderOptions> = {}): Promise<Epoch> {
    const loader = await this.near.loader(root, { epochs: 1, workers: WORKERS, seed, ...options });
    const epoch = await loader.epoch();
    await loader.end();
    return epoch;
  }

  /** Batches that tell the bare source's rate well enough: an epoch of it would take minutes. */
  bareBatches(latencyMs = this.latencyMs): number {
    return Math.min(this.batches, Math.max(6, Math.round(300 / latencyMs)));
  }

  get batches(): number {
    return Math.ceil(this.near.sizes.files / BATCH);
  }
}

export function filesPerSecond({ files, seconds }: Epoch): number {
  return files / seconds;
}
