import { linkRate, MB, type Work } from './work.ts';

export const sequential: Work = {
  name: 'sequential',
  title: 'One process reads one large file from start to end, 1 MiB at a time',
  sets: ['large'],
  limitSeconds: 120,
  figures: [
    {
      name: 'cold',
      unit: 'MB/s',
      how: 'a fresh mount with an empty cache',
      bound: linkRate,
      least: { slow: 0.25, plain: 0.2 },
    },
    {
      name: 'pages dropped',
      unit: 'MB/s',
      how: 'again, from whatever the system keeps on disk',
      drops: 'pages',
      least: { slow: 0.5 },
    },
    { name: 'warm', unit: 'MB/s', how: 'again, with the pages the kernel kept', least: { slow: 3, plain: 0.2 } },
  ],
  async run(run) {
    const all = async (): Promise<number> => {
      const { bytes, seconds } = await run.read('read_pieces', [run.path('large')]);
      if (bytes !== run.facts.sizes.largeBytes) throw new Error(`read ${bytes} of ${run.facts.sizes.largeBytes} bytes`);
      return bytes / seconds! / MB;
    };
    await run.take('cold', all);
    await run.take('pages dropped', all);
    await run.take('warm', all);
  },
};
