import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesOverLink } from './epochs.ts';
import type { Work } from './work.ts';

const READERS = 64;

export const readers: Work = {
  name: '64 readers',
  title: 'Sixty-four processes read small files at once',
  sets: ['files'],
  limitSeconds: 120,
  figures: [
    {
      name: 'cold',
      unit: 'files/s',
      how: 'a fresh mount with an empty cache',
      bound: filesOverLink(1),
      least: { slow: 0.15, plain: 0.1 },
    },
    { name: 'warm', unit: 'files/s', how: 'again, with the pages the kernel kept', least: { slow: 0.4, plain: 0.1 } },
  ],
  async run(run) {
    const list = run.scratch('list');
    writeFileSync(list, `${run.names.map((name) => join(run.path('files'), name)).join('\n')}\n`);
    const all = async (): Promise<number> => {
      const args = [list, '--readers', String(READERS), '--seed', String(run.round)];
      const { files, bytes, seconds } = await run.read('read_files', args);
      if (bytes !== run.facts.filesBytes) throw new Error(`read ${bytes} of ${run.facts.filesBytes} bytes`);
      return files! / seconds!;
    };
    await run.take('cold', all);
    await run.take('warm', all);
  },
};
