/** A training job's reading (bench/loader/loader.py), one epoch at a time. */
import { join, resolve } from 'node:path';
import { lineProcess } from './processes.ts';
import type { Scope } from './scope.ts';

const directory = resolve(import.meta.dirname, '../loader');
const EPOCH_LIMIT_SECONDS = 900;

export interface Epoch {
  epoch: number;
  seconds: number;
  files: number;
  bytes: number;
  firstBatchSeconds: number;
  /** How long the training loop waited for batches. */
  waitedSeconds: number;
}

export interface LoaderOptions {
  python: string;
  root: string;
  decode: boolean;
  epochs: number;
  workers?: number;
  /** A training step for each batch of 32, in ms. */
  stepMs?: number;
  persistent?: boolean;
  seed?: number;
  /** The reader of ours even where there is PyTorch: it starts sooner. */
  own?: boolean;
  /** Only so many batches of each epoch. */
  batches?: number;
  /** The mount is told what will be read, by the wrapper around the sampler in python/. */
  announce?: boolean;
  /** One of several that share each epoch, and is told so as PyTorch's launchers do. */
  shard?: { rank: number; world: number };
}

export interface Loader {
  /** "PyTorch 2.6.0", or "own reader". */
  reader: string;
  files: number;
  listingSeconds: number;
  /** Lets it read the next epoch. */
  epoch(): Promise<Epoch>;
  end(): Promise<void>;
}

export async function startLoader(scope: Scope, options: LoaderOptions): Promise<Loader> {
  const args = [join(directory, 'loader.py'), options.root, '--paced', '--epochs', String(options.epochs)];
  args.push('--workers', String(options.workers ?? 2), '--seed', String(options.seed ?? 1));
  if (options.decode) args.push('--decode');
  if (options.own) args.push('--own');
  if (options.persistent) args.push('--persistent');
  if (options.stepMs !== undefined) args.push('--step-ms', String(options.stepMs));
  if (options.batches !== undefined) args.push('--batches', String(options.batches));
  if (options.announce) args.push('--announce');
  const env: Record<string, string> = {};
  if (options.shard !== undefined) {
    const { rank, world } = options.shard;
    args.push('--shard', `${rank}/${world}`);
    Object.assign(env, { RANK: String(rank), WORLD_SIZE: String(world) });
  }
  const child = lineProcess(scope, options.python, args, env);
  const ready = JSON.parse(await child.line(120)) as { ready: string; files: number; listingSeconds: number };
  return {
    reader: ready.ready,
    files: ready.files,
    listingSeconds: ready.listingSeconds,
    async epoch() {
      child.send('go');
      return JSON.parse(await child.line(EPOCH_LIMIT_SECONDS)) as Epoch;
    },
    end: () => child.end(),
  };
}

export const scripts = {
  makeImages: join(directory, 'make_images.py'),
  readFiles: join(directory, 'read_files.py'),
  readInTurn: join(directory, 'read_in_turn.py'),
  createFiles: join(directory, 'create_files.py'),
};
