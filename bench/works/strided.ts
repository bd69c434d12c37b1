import type { Work } from './work.ts';

const PIECE = 64 << 10;
const STRIDE = 1 << 20;

export const strided: Work = {
  name: 'strided',
  title: 'One process reads 64 KiB of every MiB of a large file',
  sets: ['large'],
  limitSeconds: 120,
  figures: [
    {
      name: 'cold',
      unit: 'reads/s',
      how: 'a fresh mount with an empty cache',
      bound: (_, bandwidth) => bandwidth / PIECE,
      least: { slow: 0.2, plain: 0.1 },
    },
    { name: 'warm', unit: 'reads/s', how: 'the same places again', least: { slow: 2 } },
  ],
  async run(run) {
    const places = async (): Promise<number> => {
      const args = [run.path('large'), '--piece', String(PIECE), '--stride', String(STRIDE)];
      const { pieces, seconds } = await run.read('read_pieces', args);
      return pieces! / seconds!;
    };
    await run.take('cold', places);
    await run.take('warm', places);
  },
};
