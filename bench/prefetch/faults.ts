/** A store that hangs, or slows tenfold, while a data set is being brought: what others read goes on, and the rest comes after. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from '../cache/stage.ts';
import { type Figure, type Measure, WORKERS } from './measure.ts';
import type { Site } from './site.ts';

/** Of the data set has come when it begins. */
const SHARE = 0.25;
const TENFOLD = 10;
/** Less than this share of the data set, left when a fault ends, comes too soon to tell a rate (`--quick`). */
const LEFT_LEAST = 0.1;
/** Of another data set, which somebody reads meanwhile: by the bare source some seconds' worth. */
const OTHER_BATCHES = 6;

interface Fault {
  name: string;
  begin(stage: Stage, latencyMs: number): Promise<void>;
  end(stage: Stage, latencyMs: number): Promise<void>;
}

const faults: readonly Fault[] = [
  {
    name: 'store hangs',
    begin: ({ store }) => store.hang({ path: 'files/**', kinds: ['read'] }),
    end: ({ store }) => store.release(),
  },
  {
    name: 'store slows tenfold',
    begin: ({ store, bandwidth }, latencyMs) =>
      store.pace({ latencyMs: latencyMs * TENFOLD, bandwidth: bandwidth / TENFOLD }),
    end: ({ store, bandwidth }, latencyMs) => store.pace({ latencyMs, bandwidth }),
  },
];

/** Seconds in which two readers read some files of the other set. */
async function others(stage: Stage, root: string, seed: number): Promise<number> {
  const loader = await stage.loader(root, { epochs: 1, workers: WORKERS, seed, own: true, batches: OTHER_BATCHES });
  const { seconds } = await loader.epoch();
  await loader.end();
  return seconds;
}

async function run(site: Site, fault: Fault, round: number): Promise<Figure[]> {
  const { near } = site;
  const { store, facts, bandwidth } = near;
  const { latencyMs } = site;
  await near.pages('load', near.local('files'), near.local('other'));
  await fault.begin(near, latencyMs);
  const alone = await others(near, near.slow('other/files'), round);
  await fault.end(near, latencyMs);

  const mount = await site.mount(fault.name, 'on', {});
  const loader = await near.loader(mount.path('files'), { epochs: 1, workers: WORKERS, seed: round });
  await store.reset();
  const sent = async (): Promise<number> => (await store.counts()).bytesRead;
  const epoch = loader.epoch();
  while ((await sent()) < SHARE * facts.filesBytes) await sleep(20);
  await fault.begin(near, latencyMs);
  let meanwhile = 0;
  try {
    meanwhile = await others(near, mount.path('other/files'), round);
  } finally {
    await fault.end(near, latencyMs);
  }
  const ended = performance.now();
  const before = await sent();
  const { bytes } = await epoch;
  const seconds = (performance.now() - ended) / 1000;
  if (bytes !== facts.filesBytes) throw new Error(`an epoch read ${bytes} of ${facts.filesBytes} bytes`);
  await loader.end();
  await mount.settled();
  const rest = (await sent()) - before;
  await mount.unmount();
  const besides = { what: `${fault.name}: other files / bare source alone`, value: alone / meanwhile, atLeast: 0.5 };
  if (rest < LEFT_LEAST * facts.filesBytes) return [besides];
  return [
    besides,
    { what: `${fault.name}: the rest afterwards / link`, value: rest / bandwidth / seconds, atLeast: 0.5 },
  ];
}

export const disturbed: readonly Measure[] = faults.map((fault) => ({
  name: fault.name,
  needs: ['files', 'other'],
  run: (site, round) => run(site, fault, round),
}));
