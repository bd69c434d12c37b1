/** Where nothing can be predicted, prefetching must not cost anything: beside the same mount without it. */
import { must } from '../support/processes.ts';
import type { Figure, Measure } from './measure.ts';
import type { Seen, Side, Site } from './site.ts';

/** With it and without it, in an order that turns each round. */
async function both<T>(
  site: Site,
  what: string,
  round: number,
  work: (path: (name: string) => string) => Promise<T>,
): Promise<Record<'on' | 'off', Seen<T>>> {
  const seen: Partial<Record<Side, Seen<T>>> = {};
  const sides = ['off', 'on'] as const;
  for (const side of round % 2 === 0 ? sides : sides.toReversed())
    seen[side] = await site.through(what, side, {}, work);
  return { on: seen.on!, off: seen.off! };
}

const required = { throughput: 0.97, store: 1.1, p99: 1.25 };

function reads(kind: 'random' | 'adversary', name: string): Measure {
  return {
    name,
    needs: ['large'],
    async run(site, round) {
      const { near } = site;
      await near.pages('load', near.local('large'));
      const { on, off } = await both(site, name, round, (path) =>
        near.read('read_unforeseeable', [path('large'), '--kind', kind, '--reads', near.sizes.reads, '--seed', round]),
      );
      return [
        { what: `${name} / prefetch=off`, value: off.said.seconds! / on.said.seconds!, atLeast: required.throughput },
        { what: `${name}: store bytes / prefetch=off`, value: on.sentBytes / off.sentBytes, atMost: required.store },
        { what: `${name}: p99 / prefetch=off`, value: on.said.p99Ms! / off.said.p99Ms!, atMost: required.p99 },
        { what: `${name}: p99 of a read`, value: on.said.p99Ms!, unit: 'ms' },
      ];
    },
  };
}

const walk: Measure = {
  name: 'walk',
  needs: ['tree'],
  async run(site, round): Promise<Figure[]> {
    const { treeFiles } = site.near.sizes;
    const find = async (path: (name: string) => string): Promise<number> => {
      const script = `test "$(find "$0" -type f -printf '%s\\n' | wc -l)" = "$1"`;
      return (await must('sh', ['-c', script, path('tree'), String(treeFiles)])).seconds;
    };
    const { on, off } = await both(site, 'walk', round, find);
    return [
      { what: 'walk / prefetch=off', value: off.said / on.said, atLeast: required.throughput },
      { what: 'walk: requests / prefetch=off', value: on.requests / off.requests, atMost: required.store },
      { what: 'walk: store bytes', value: on.sentBytes, unit: 'B' },
    ];
  },
};

/** Two processes that map a table and read rows of it at random, nothing cached. */
const rows: Measure = {
  name: 'mapped rows',
  needs: ['large'],
  async run(site, round) {
    const { near } = site;
    await near.pages('load', near.local('large'));
    const args = ['--rows', near.sizes.rows, '--processes', 2, '--seed', round];
    const read = (path: (name: string) => string): Promise<Record<string, number>> =>
      near.read('map_rows', [path('large'), ...args]);
    const bare = await site.through('mapped rows', 'bare', {}, read);
    const { on, off } = await both(site, 'mapped rows', round, read);
    return [
      { what: 'mapped rows / bare source', value: bare.said.seconds! / on.said.seconds!, atLeast: 1.5 },
      { what: 'mapped rows: store bytes / bare source', value: on.sentBytes / bare.sentBytes, atMost: 0.25 },
      { what: 'mapped rows: store bytes / read', value: on.sentBytes / on.said.bytes! },
      { what: 'mapped rows / prefetch=off', value: off.said.seconds! / on.said.seconds! },
    ];
  },
};

export const unforeseeable: readonly Measure[] = [
  reads('random', 'random reads'),
  reads('adversary', 'changing patterns'),
  walk,
  rows,
];
