/** What the mount costs where nothing has to come from the store. */
import { join } from 'node:path';
import type { Figure, Measure } from './measure.ts';
import { type CacheMount, ratioInTurns, type Stage } from './stage.ts';

/** Room for all of the data. */
const ROOM = 2;
const TURNS = 5;

export const sequential: Measure = {
  name: 'sequential, warm',
  needs: ['big'],
  async run(stage) {
    const mount = await stage.mount(stage.sizes.bigBytes * ROOM, ['ro']);
    const pass = async (path: string): Promise<number> => (await stage.read('read_pieces', [path])).seconds!;
    await pass(mount.path('big'));
    await mount.settled();
    await pass(mount.path('big')); // by the way that serves it from now on
    const ratio = await ratioInTurns(
      TURNS,
      () => pass(mount.path('big')),
      () => pass(stage.local('big')),
    );
    await mount.unmount();
    return [{ what: 'sequential, warm / local disk', value: ratio, atLeast: 0.95 }];
  },
};

/** Seconds of an epoch after one that brought everything in; the workers are started anew, as a DataLoader does. */
async function epoch(stage: Stage, root: string, seed: number, before: () => Promise<void>): Promise<number> {
  const loader = await stage.loader(root, { epochs: 2, seed });
  await loader.epoch();
  await before();
  const { seconds, bytes } = await loader.epoch();
  await loader.end();
  if (bytes !== stage.facts.filesBytes) throw new Error(`an epoch read ${bytes} of ${stage.facts.filesBytes} bytes`);
  return seconds;
}

async function warmed(stage: Stage, options: string[]): Promise<CacheMount> {
  const mount = await stage.mount(stage.facts.filesBytes * ROOM, options);
  await epoch(stage, mount.path('files'), 1, async () => {});
  await mount.settled();
  return mount;
}

const nothing = async (): Promise<void> => {};

async function pagesKept(stage: Stage, round: number, options: string[], atLeast: number): Promise<Figure> {
  const mount = await warmed(stage, options);
  const ratio = await ratioInTurns(
    TURNS,
    (turn) => epoch(stage, mount.path('files'), round + turn, nothing),
    (turn) => epoch(stage, stage.local('files'), round + turn, nothing),
  );
  await mount.unmount();
  return { what: `DataLoader, pages kept, ${options.join(',')} / local disk`, value: ratio, atLeast };
}

export const loader: Measure = {
  name: 'DataLoader, warm',
  needs: ['files'],
  run: async (stage, round) => [
    await pagesKept(stage, round, ['ro'], 0.55),
    await pagesKept(stage, round, ['ro', 'immutable'], 0.9),
  ],
};

/** From the disk of the cache: an open drops the pages that the kernel has of a file, and the cache's own are dropped. */
export const fromDisk: Measure = {
  name: 'DataLoader, pages dropped',
  needs: ['files'],
  async run(stage, round) {
    const mount = await warmed(stage, ['ro', 'disable=keep-cache']);
    const ratio = await ratioInTurns(
      TURNS,
      (turn) => epoch(stage, mount.path('files'), round + turn, () => mount.dropPages()),
      (turn) => epoch(stage, stage.local('files'), round + turn, () => stage.pages('drop', stage.local('files'))),
    );
    await mount.unmount();
    await stage.pages('load', stage.local('files'));
    return [{ what: 'DataLoader, pages dropped / local disk', value: ratio, atLeast: 0.8 }];
  },
};

/** Sixty-four readers, all of them served by the daemon: nobody is to wait long for the others. */
export const readers: Measure = {
  name: '64 readers',
  needs: ['files'],
  async run(stage, round) {
    const mount = await stage.mount(stage.facts.filesBytes * ROOM, ['ro', 'disable=passthrough', 'disable=keep-cache']);
    const figures: Figure[] = [];
    for (const state of ['cold', 'from the cache']) {
      const said = await stage.read('read_beside', [stage.list(join(mount.mountpoint, 'files')), '--seed', round]);
      if (said.bytes !== stage.facts.filesBytes) throw new Error(`read ${said.bytes} of ${stage.facts.filesBytes}`);
      const what = (which: string): string => `64 readers, ${state}: ${which}`;
      figures.push(
        { what: what('slowest / median'), value: said.slowest! / said.median!, atLeast: 0.5 },
        { what: what('p99 of a file'), value: said.p99Ms!, unit: 'ms' },
        { what: what('median of a file'), value: said.medianMs!, unit: 'ms' },
        { what: what('files'), value: said.files! / said.seconds!, unit: '/s' },
      );
      await mount.settled();
    }
    await mount.unmount();
    return figures;
  },
};
