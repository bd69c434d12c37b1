import type { Work } from './work.ts';

export const importing: Work = {
  name: 'import',
  title:
    '`import torch` from the mount (its Python files, extension modules and libraries; a package of ours where there is no PyTorch)',
  sets: ['site'],
  limitSeconds: 180,
  figures: [
    { name: 'cold', unit: 's', how: 'a fresh mount with an empty cache', least: { slow: 0.4, plain: 0.05 } },
    { name: 'warm', unit: 's', how: 'by another process', least: { slow: 0.7, plain: 0.1 } },
  ],
  async run(run) {
    const load = async (): Promise<number> =>
      (await run.read('import_module', [run.path('site'), run.facts.module])).seconds!;
    await run.take('cold', load);
    await run.take('warm', load);
  },
};
