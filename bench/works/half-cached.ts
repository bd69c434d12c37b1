import { epoch, filesOverLink, WORKERS } from './epochs.ts';
import type { Work } from './work.ts';

export const halfCached: Work = {
  name: 'half cached',
  title: 'The same DataLoader, with a cache for half of the data and the pages of the kernel dropped before each epoch',
  sets: ['files'],
  half: true,
  limitSeconds: 240,
  figures: [
    {
      name: 'first',
      unit: 'files/s',
      how: 'the first epoch, after a fresh mount with an empty cache',
      bound: filesOverLink(1),
      least: { slow: 0.25 },
    },
    {
      name: 'second',
      unit: 'files/s',
      how: 'the second: half of the bytes need not cross the link',
      drops: 'pages',
      bound: filesOverLink(0.5),
      least: { slow: 0.4 },
    },
    {
      name: 'third',
      unit: 'files/s',
      how: 'the third',
      drops: 'pages',
      bound: filesOverLink(0.5),
      least: { slow: 0.4 },
    },
  ],
  async run(run) {
    const loader = await run.loader({ epochs: 3, workers: WORKERS });
    for (const { name } of halfCached.figures) await run.take(name, () => epoch(run, loader));
    await loader.end();
  },
};
