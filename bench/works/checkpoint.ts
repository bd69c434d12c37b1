import { epoch, WORKERS } from './epochs.ts';
import { linkRate, MB, type Work } from './work.ts';

/** Epochs allowed while one checkpoint is written. */
const EPOCHS_MOST = 5_000;

export const checkpoint: Work = {
  name: 'checkpoint',
  title: 'A checkpoint is written, synced and renamed in the middle of an epoch',
  sets: ['files', 'new'],
  writes: true,
  limitSeconds: 240,
  figures: [
    { name: 'reading alone', unit: 'files/s', how: 'an epoch by itself, after one that warmed the mount' },
    {
      name: 'writing',
      unit: 'MB/s',
      how: 'the checkpoint, until its rename returns; epochs go on',
      bound: linkRate,
      least: { slow: 0.25, plain: 0.1 },
    },
    {
      name: 'until at the source',
      unit: 'MB/s',
      how: 'the same, until the bytes are where the source keeps them: some systems upload after fsync has returned',
      bound: linkRate,
    },
    { name: 'reading meanwhile', unit: 'files/s', how: 'the epochs that were read while it was written' },
  ],
  async run(run) {
    const loader = await run.loader({ epochs: EPOCHS_MOST, workers: WORKERS });
    await loader.epoch();
    await run.take('reading alone', () => epoch(run, loader));
    const bytes = run.facts.sizes.checkpointBytes;
    let writing = true;
    let files = 0;
    let epochSeconds = 0;
    let wroteSeconds = 0;
    await run.take('writing', async () => {
      const wrote = run.read('write_checkpoint', [run.path('new'), String(bytes)]).finally(() => {
        writing = false;
      });
      const read = (async (): Promise<void> => {
        for (let number = 2; writing && number < EPOCHS_MOST; number++) {
          const one = await loader.epoch();
          files += one.files;
          epochSeconds += one.seconds;
        }
      })();
      const [{ seconds }] = await Promise.all([wrote, read]);
      wroteSeconds = seconds!;
      return bytes / wroteSeconds / MB;
    });
    const over = performance.now();
    await run.settle();
    const later = (performance.now() - over) / 1000;
    await run.take('until at the source', () => Promise.resolve(bytes / (wroteSeconds + later) / MB));
    await run.take('reading meanwhile', () => Promise.resolve(files / epochSeconds));
    await loader.end();
    await run.shell('rm -f "$0"/checkpoint*', [run.path('new')]);
  },
};
