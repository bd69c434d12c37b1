import { type Facts, MB, type Work } from './work.ts';

const PROCESSES = 8;
/** The bytes of all processes count, but cross the link once. */
const once = (_facts: Facts, bandwidth: number): number => (PROCESSES * bandwidth) / MB;

export const mappedModel: Work = {
  name: 'mapped model',
  title: 'Eight processes map a model at once and each copies all of it',
  sets: ['big'],
  limitSeconds: 240,
  figures: [
    {
      name: 'cold',
      unit: 'MB/s',
      how: 'a fresh mount with an empty cache; the bytes of all eight count',
      bound: once,
      least: { slow: 0.3, plain: 0.2 },
    },
    { name: 'warm', unit: 'MB/s', how: 'again, with the pages the kernel kept', least: { slow: 1, plain: 0.2 } },
  ],
  async run(run) {
    const load = async (): Promise<number> => {
      const { bytes, seconds } = await run.read('map_model', [run.path('big'), '--processes', String(PROCESSES)]);
      if (bytes !== PROCESSES * run.facts.sizes.bigBytes) throw new Error(`mapped ${bytes} bytes`);
      return bytes / seconds! / MB;
    };
    await run.take('cold', load);
    await run.take('warm', load);
  },
};
