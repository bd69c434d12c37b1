/** Several jobs on one mount, and several mounts of one store. */
import { type Figure, type Measure, WORKERS } from './measure.ts';
import type { Site } from './site.ts';

const WORLD = 8;
/** Of the large file, by which the bystander is measured: less than the mounts need for their data. */
const BYSTANDER_PIECES = 128;

export const twoJobs: Measure = {
  name: 'two jobs',
  needs: ['files', 'other'],
  async run(site, round) {
    const { near } = site;
    await near.pages('load', near.local('files'), near.local('other'));
    const sets = ['files', 'other/files'];
    const { said } = await site.through('two jobs', 'on', {}, async (path) => {
      const options = { epochs: 1, workers: WORKERS, seed: round };
      const loaders = await Promise.all(
        sets.map((set, at) => near.loader(path(set), { ...options, announce: at === 0 })),
      );
      const epochs = await Promise.all(loaders.map((loader) => loader.epoch()));
      for (const loader of loaders) await loader.end();
      return epochs;
    });
    return said.map(({ bytes, seconds }, at) => {
      const value = bytes / seconds / (near.bandwidth / 2);
      return { what: `two jobs, ${['with a plan', 'without'][at]} / half of the link`, value, atLeast: 0.8 };
    });
  },
};

/** MB/s of somebody who reads the store without us. */
async function bystander({ near }: Site): Promise<number> {
  const { bytes, seconds } = await near.read('read_pieces', [near.slow('large'), '--most', BYSTANDER_PIECES]);
  return bytes! / seconds!;
}

async function eight(site: Site, round: number, bulk: 'auto' | 'off'): Promise<Figure[]> {
  const { near } = site;
  const name = `eight mounts, WORLD_SIZE=8, bulk=${bulk}`;
  await near.pages('load', near.local('files'), near.local('large'));
  const solo = await bystander(site);
  const ranks = Array.from({ length: WORLD }, (_, rank) => rank);
  const mounts = await Promise.all(ranks.map(() => site.mount(name, 'on', { options: [`bulk=${bulk}`] })));
  const loaders = await Promise.all(
    mounts.map((mount, rank) => {
      const options = { epochs: 1, workers: 1, seed: round, own: true, shard: { rank, world: WORLD } };
      return near.loader(mount.path('files'), options);
    }),
  );
  await near.store.reset();
  const [beside, ...epochs] = await Promise.all([
    bystander(site),
    ...loaders.map(async (loader) => (await loader.epoch()).bytes),
  ]);
  for (const loader of loaders) await loader.end();
  for (const mount of mounts) await mount.settled();
  const { bytesRead } = await near.store.counts();
  for (const mount of mounts) await mount.unmount();
  const { filesBytes } = near.facts;
  const read = epochs.reduce((sum, bytes) => sum + bytes, 0);
  if (read !== filesBytes) throw new Error(`eight shares of an epoch came to ${read} of ${filesBytes} bytes`);
  const stood = Math.min(BYSTANDER_PIECES * 2 ** 20, near.sizes.largeBytes);
  return [
    { what: `${name}: store bytes / data`, value: (bytesRead - stood) / filesBytes, atMost: 1.1 },
    { what: `${name}: bystander / alone`, value: beside! / solo, atLeast: 0.5 },
  ];
}

export const eightMounts: readonly Measure[] = (['auto', 'off'] as const).map((bulk) => ({
  name: `eight mounts, bulk=${bulk}`,
  needs: ['files', 'large'],
  run: (site, round) => eight(site, round, bulk),
}));
