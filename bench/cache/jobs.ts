/** What others do beside a job that reads in epochs must not cost it what it has in the cache. */
import type { Loader } from '../support/loader.ts';
import { must } from '../support/processes.ts';
import { median } from '../support/table.ts';
import type { Figure, Measure } from './measure.ts';
import type { CacheMount, Stage } from './stage.ts';

/** More epochs than any measure reads. */
const EPOCHS_MOST = 10_000;
/** Of its data that a job finds room for. */
const SHARE = 0.75;
const EPOCHS = 3;

/** Every read is to be seen by the daemon. */
const OPTIONS = ['disable=keep-cache', 'sample-opens=off'];

function jobOf(stage: Stage, root: string, seed: number): Promise<Loader> {
  return stage.loader(root, { epochs: EPOCHS_MOST, persistent: true, seed });
}

interface Written {
  seconds: number;
  /** The epochs read meanwhile, the last of which ends after it. */
  epochs: number;
}

/** Writes a checkpoint while epochs go on. */
async function write(stage: Stage, directory: string, loader: Loader): Promise<Written> {
  let writing = true;
  const wrote = stage.read('write_checkpoint', [directory, stage.sizes.checkpointBytes]).finally(() => {
    writing = false;
  });
  let epochs = 0;
  for (; writing; epochs++) await loader.epoch();
  const { seconds } = await wrote;
  await must('rm', ['-f', `${directory}/checkpoint`]);
  return { seconds: seconds!, epochs };
}

export const checkpoint: Measure = {
  name: 'checkpoint',
  needs: ['files', 'new'],
  async run(stage, round) {
    const { filesBytes } = stage.facts;
    await stage.pages('load', stage.local('files'));
    const mount = await stage.mount(filesBytes * SHARE, OPTIONS);
    const bare = await jobOf(stage, stage.slow('files'), round);
    const source = await write(stage, stage.slow('new'), bare);
    await bare.end();
    const loader = await jobOf(stage, mount.path('files'), round);
    for (let epoch = 0; epoch < EPOCHS; epoch++) await loader.epoch();
    const hits = async (work: () => Promise<number>): Promise<number> => {
      const before = await mount.settled();
      const epochs = await work();
      await mount.settled();
      const after = await mount.stats();
      const hit = after.cache.hitBytes - before.cache.hitBytes;
      return (hit / (filesBytes * epochs)) * 100;
    };
    const one = async (): Promise<number> => {
      await loader.epoch();
      return 1;
    };
    const before = await hits(one);
    let seconds = 0;
    const during = await hits(async () => {
      const written = await write(stage, mount.path('new'), loader);
      seconds = written.seconds;
      return written.epochs;
    });
    const after = await hits(one);
    await loader.end();
    await mount.unmount();
    return [
      { what: 'checkpoint in the middle of an epoch / bare source', value: source.seconds / seconds, atLeast: 0.95 },
      { what: 'checkpoint: hits before', value: before, unit: '%' },
      { what: 'checkpoint: hits lost meanwhile', value: before - during, atMost: 1, unit: 'points' },
      { what: 'checkpoint: hits lost after it', value: before - after, atMost: 1, unit: 'points' },
    ];
  },
};

interface Job {
  loader: Loader;
  root: string;
  bytes: number;
}

/** Share of the bytes that a job found in the cache in each of so many epochs, which both read at once. */
async function shares(mount: CacheMount, jobs: readonly Job[], epochs: number): Promise<number[][]> {
  const hitBytes = async (): Promise<number[]> => {
    const { dataSets } = await mount.stats();
    return jobs.map(({ root }) => {
      const of = (dataSets ?? []).filter(({ path }) => path === root || path.startsWith(`${root}/`));
      return of.reduce((sum, set) => sum + set.hitBytes, 0);
    });
  };
  const found: number[][] = jobs.map(() => []);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const before = await hitBytes();
    await Promise.all(jobs.map(({ loader }) => loader.epoch()));
    const after = await hitBytes();
    for (const [at, { bytes }] of jobs.entries()) found[at]!.push((after[at]! - before[at]!) / bytes);
  }
  return found;
}

export const twoJobs: Measure = {
  name: 'two jobs',
  needs: ['files', 'other'],
  async run(stage, round) {
    const { filesBytes } = stage.facts;
    const cacheBytes = filesBytes / SHARE;
    const mount = await stage.mount(cacheBytes, ['ro', ...OPTIONS]);
    const job = async (root: string, bytes: number): Promise<Job> => {
      return { loader: await jobOf(stage, mount.path(root), round), root, bytes };
    };
    await stage.pages('load', stage.local('files'), stage.local('other'));
    const first = await job('files', filesBytes);
    await shares(mount, [first], EPOCHS - 1); // it has all it needs when the other comes
    const second = await job('other/files', stage.otherBytes);
    await shares(mount, [first, second], EPOCHS);
    const found = await shares(mount, [first, second], EPOCHS);
    for (const { loader } of [first, second]) await loader.end();
    await mount.unmount();
    return found.map((hits, at): Figure => {
      const fair = cacheBytes / 2 / [filesBytes, stage.otherBytes][at]!;
      return {
        what: `two jobs, ${['first', 'second'][at]}: hits / fair share`,
        value: median(hits) / fair,
        atLeast: 0.9,
      };
    });
  },
};
