/** A cache smaller than the data, of large files: what it keeps of them must spare the store as much. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure, Measure } from './measure.ts';
import type { Stage } from './stage.ts';

/** The first fills the cache; what counts comes after it. */
const EPOCHS = 3;
/** What comes of the store may be so much more than what the cache has no room for. */
const MORE_MOST = 1.05;
const ROWS_PROCESSES = 16;

interface Reading {
  name: string;
  set: 'shards' | 'large';
  /** Of the file system, not of the samples in it. */
  bytes(stage: Stage): number;
  /** Reads all of it once. */
  epoch(stage: Stage, path: string, seed: number): Promise<unknown>;
}

/** Of the files in a directory. */
export function bytesBelow(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

const shards: Reading = {
  name: 'tar shards',
  set: 'shards',
  bytes: (stage) => bytesBelow(stage.local('shards')),
  epoch: (stage, path, seed) => stage.read('read_shards', [path, '--workers', 4, '--seed', seed]),
};

const rows: Reading = {
  name: 'mapped table',
  set: 'large',
  bytes: ({ sizes }) => sizes.largeBytes,
  epoch: (stage, path, seed) => stage.read('map_rows', [path, '--each', '--processes', ROWS_PROCESSES, '--seed', seed]),
};

/** Nothing is left of an epoch in the kernel's memory: every open drops the pages it has. */
const OPTIONS = ['ro', 'disable=keep-cache', 'sample-opens=off'];

async function stored(stage: Stage, reading: Reading, share: number, order: string, round: number): Promise<Figure> {
  const { set, name } = reading;
  const bytes = reading.bytes(stage);
  const mount = await stage.mount(bytes * share, OPTIONS);
  let most = 0;
  for (let number = 0; number < EPOCHS; number++) {
    const seed = order === 'fixed' ? round : round * EPOCHS + number;
    const sent = await stage.sent(() => reading.epoch(stage, mount.path(set), seed));
    await mount.settled();
    if (number > 0) most = Math.max(most, sent / (bytes * (1 - share)));
  }
  await mount.unmount();
  return { what: `${name}, cache of ${share}, ${order} order: store bytes / the rest`, value: most, atMost: MORE_MOST };
}

function measure(reading: Reading, shares: readonly number[]): Measure {
  return {
    name: `${reading.name}, cached in part`,
    needs: [reading.set],
    async run(stage, round) {
      const figures: Figure[] = [];
      await stage.pages('load', stage.local(reading.set));
      for (const share of shares) {
        for (const order of ['shuffled', 'fixed']) figures.push(await stored(stage, reading, share, order, round));
      }
      return figures;
    },
  };
}

export const shardsInPart = measure(shards, [0.25, 0.5, 0.75]);
export const tableInPart = measure(rows, [0.5]);
