import { linkRate, MB, type Work } from './work.ts';

export const shards: Work = {
  name: 'shards',
  title: 'Eight workers stream tar shards in a shuffled order',
  sets: ['shards'],
  limitSeconds: 180,
  figures: [
    {
      name: 'cold',
      unit: 'MB/s',
      how: 'a fresh mount with an empty cache',
      bound: linkRate,
      least: { slow: 0.25, plain: 0.2 },
    },
    {
      name: 'warm',
      unit: 'MB/s',
      how: 'another order, with the pages the kernel kept',
      least: { slow: 0.7, plain: 0.2 },
    },
  ],
  async run(run) {
    const stream = async (seed: number): Promise<number> => {
      const { samples, bytes, seconds } = await run.read('read_shards', [run.path('shards'), '--seed', String(seed)]);
      if (samples !== run.facts.samples || bytes !== run.facts.shardsBytes)
        throw new Error(`read ${samples} of ${run.facts.samples} samples`);
      return bytes / seconds! / MB;
    };
    await run.take('cold', () => stream(run.round * 2));
    await run.take('warm', () => stream(run.round * 2 + 1));
  },
};
