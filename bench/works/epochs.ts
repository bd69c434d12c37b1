import type { Loader } from '../support/loader.ts';
import type { Facts, Run, Work } from './work.ts';

export const WORKERS = 4;

export async function epoch(run: Run, loader: Loader): Promise<number> {
  const { files, bytes, seconds } = await loader.epoch();
  if (bytes !== run.facts.filesBytes) throw new Error(`an epoch read ${bytes} of ${run.facts.filesBytes} bytes`);
  return files / seconds;
}

/** Files a second when only the bytes that are not in the cache cross the link. */
export const filesOverLink =
  (missing: number) =>
  (facts: Facts, bandwidth: number): number =>
    facts.sizes.files / ((missing * facts.filesBytes) / bandwidth);

export const epochs: Work = {
  name: 'epochs',
  title: 'A DataLoader of four workers reads small files, shuffled anew each epoch',
  sets: ['files'],
  limitSeconds: 240,
  figures: [
    {
      name: 'first',
      unit: 'files/s',
      how: 'the first epoch, after a fresh mount with an empty cache',
      bound: filesOverLink(1),
      least: { slow: 0.25, plain: 0.05 },
    },
    {
      name: 'pages kept',
      unit: 'files/s',
      how: 'the second epoch: the data fit the memory',
      least: { slow: 2, plain: 0.04 },
    },
    {
      name: 'pages dropped',
      unit: 'files/s',
      how: 'the third epoch, without the pages of the kernel: the data fit the disk',
      drops: 'pages',
      least: { slow: 1 },
    },
  ],
  async run(run) {
    const loader = await run.loader({ epochs: 3, workers: WORKERS });
    await run.take('first', () => epoch(run, loader));
    await run.take('pages kept', () => epoch(run, loader));
    await run.take('pages dropped', () => epoch(run, loader));
    await loader.end();
  },
};
