import type { Work } from './work.ts';

export const walk: Work = {
  name: 'walk',
  title: '`find -printf %s`: every name and its size',
  sets: ['tree'],
  limitSeconds: 120,
  figures: [
    {
      name: 'cold',
      unit: 'files/s',
      how: 'a fresh mount, names and attributes dropped from the kernel',
      drops: 'pages and names',
      least: { slow: 0.4, plain: 0.03 },
    },
    { name: 'warm', unit: 'files/s', how: 'again at once', least: { slow: 0.5, plain: 0.03 } },
  ],
  async run(run) {
    const find = async (): Promise<number> => {
      const script = `test "$(find "$0" -type f -printf '%s\\n' | wc -l)" = "$1"`;
      const seconds = await run.shell(script, [run.path('tree'), String(run.facts.sizes.treeFiles)]);
      return run.facts.sizes.treeFiles / seconds;
    };
    await run.take('cold', find);
    await run.take('warm', find);
  },
};
