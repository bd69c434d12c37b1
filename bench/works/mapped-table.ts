import type { Work } from './work.ts';

const ROW = 8192;

export const mappedTable: Work = {
  name: 'mapped table',
  title: 'One process reads random rows of 8 KiB from a memory-mapped table',
  sets: ['big'],
  limitSeconds: 180,
  figures: [
    {
      name: 'cold',
      unit: 'rows/s',
      how: 'a fresh mount with an empty cache',
      bound: (_, bandwidth) => bandwidth / ROW,
      least: { slow: 0.2, plain: 0.05 },
    },
    {
      name: 'other rows',
      unit: 'rows/s',
      how: 'rows chosen anew, with the pages the kernel kept',
      bound: (_, bandwidth) => bandwidth / ROW,
      least: { slow: 0.2 },
    },
    { name: 'warm', unit: 'rows/s', how: 'the same rows again', least: { slow: 1.5, plain: 0.1 } },
  ],
  async run(run) {
    const rows = async (seed: number): Promise<number> => {
      const args = [run.path('big'), '--rows', String(run.facts.sizes.rows), '--seed', String(seed)];
      const said = await run.read('map_rows', args);
      return said.rows! / said.seconds!;
    };
    await run.take('cold', () => rows(run.round * 2));
    await run.take('other rows', () => rows(run.round * 2 + 1));
    await run.take('warm', () => rows(run.round * 2 + 1));
  },
};
