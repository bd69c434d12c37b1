/** An unchanged DataLoader of two workers, shuffled, nothing announced, the cache empty and large enough: its first epoch. */
import type { Figure, Measure } from './measure.ts';
import { filesPerSecond, type Site } from './site.ts';

interface Link {
  latencyMs: number;
  bandwidth: number;
  /** Of the link. */
  atLeast?: number;
  /** As often as the bare source. */
  atLeastBare?: number;
}

async function firstEpoch(site: Site, { latencyMs, bandwidth, ...required }: Link, round: number): Promise<Figure[]> {
  const stage = await site.link(latencyMs, bandwidth);
  const { filesBytes } = stage.facts;
  const load = (): Promise<void> => stage.pages('load', stage.local('files'));
  const name = `DataLoader, ${latencyMs} ms, ${bandwidth / 1e6} MB/s`;
  const batches = site.bareBatches(latencyMs);
  await load();
  const bare = await site.through(name, 'bare', { stage }, (path) => site.epoch(path('files'), round, { batches }));
  await load(); // some systems take pages back within seconds
  const on = await site.through(name, 'on', { stage }, (path) => site.epoch(path('files'), round));
  if (on.said.bytes !== filesBytes) throw new Error(`an epoch read ${on.said.bytes} of ${filesBytes} bytes`);
  const link = filesBytes / bandwidth;
  const rate = (said: typeof on.said): number => filesPerSecond(said);
  const { atLeast, atLeastBare } = required;
  return [
    { what: `${name} / link`, value: link / on.said.seconds, ...(atLeast && { atLeast }) },
    {
      what: `${name} / bare source`,
      value: rate(on.said) / rate(bare.said),
      ...(atLeastBare && { atLeast: atLeastBare }),
    },
    { what: `${name}: files/s`, value: rate(on.said), unit: '/s' },
    { what: `${name}: bare source, files/s`, value: rate(bare.said), unit: '/s' },
    {
      what: `${name}: first batch / bare source`,
      value: on.said.firstBatchSeconds / bare.said.firstBatchSeconds,
      atMost: 1,
    },
    { what: `${name}: store bytes / data`, value: on.sentBytes / filesBytes },
  ];
}

const links: readonly Link[] = [
  { latencyMs: 5, bandwidth: 200e6, atLeast: 0.7, atLeastBare: 10 },
  { latencyMs: 50, bandwidth: 50e6, atLeast: 0.75 },
  { latencyMs: 1, bandwidth: 1e9, atLeastBare: 2.5 },
];

export const firstEpochs: readonly Measure[] = links.map((link) => ({
  name: `first epoch, ${link.latencyMs} ms`,
  needs: ['files'],
  run: (site, round) => firstEpoch(site, link, round),
}));
