import type { Work } from './work.ts';

const BYTES = 16 << 10;

export const create: Work = {
  name: 'create',
  title: 'Small files are created, written (16 KiB), closed and renamed',
  sets: ['new'],
  writes: true,
  limitSeconds: 120,
  figures: [{ name: 'created', unit: 'files/s', how: 'one process, one file after another', least: { slow: 0.2 } }],
  async run(run) {
    const { created } = run.facts.sizes;
    await run.take('created', async () => {
      const { seconds } = await run.read('write_files', [run.path('new'), String(created), String(BYTES)]);
      return created / seconds!;
    });
  },
};
