import type { Work } from './work.ts';

const PIECE = 64 << 10;

export const random: Work = {
  name: 'random',
  title: 'One process reads 64 KiB at random places of a large file',
  sets: ['large'],
  limitSeconds: 120,
  figures: [
    {
      name: 'cold',
      unit: 'reads/s',
      how: 'a fresh mount with an empty cache',
      bound: (_, bandwidth) => bandwidth / PIECE,
      least: { slow: 0.25, plain: 0.1 },
    },
    { name: 'warm', unit: 'reads/s', how: 'the same places in the same order again', least: { slow: 1.5 } },
  ],
  async run(run) {
    const { reads } = run.facts.sizes;
    const places = async (): Promise<number> => {
      const args = [
        run.path('large'),
        '--piece',
        String(PIECE),
        '--random',
        String(reads),
        '--seed',
        String(run.round),
      ];
      const { pieces, seconds } = await run.read('read_pieces', args);
      return pieces! / seconds!;
    };
    await run.take('cold', places);
    await run.take('warm', places);
  },
};
