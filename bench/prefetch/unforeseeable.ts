/**
 * Where nothing can be predicted, prefetching must not cost anything: beside the same mount without it. Samples are short and
 * in turns (with, without, without, with), so that what neighbours do to the machine is on both sides.
 */
import { must } from '../support/processes.ts';
import { median } from '../support/table.ts';
import type { Figure, Measure } from './measure.ts';
import type { PathOf, Seen, Side, Site } from './site.ts';

type Mounted = 'on' | 'off';
type Samples<T> = Record<Mounted, Seen<T>[]>;

const TURNS = 4;
const required = { throughput: 0.97, store: 1.1, p99: 1.25 };

async function inTurns<T>(
  round: number,
  sample: (side: Mounted, seed: number) => Promise<Seen<T>>,
): Promise<Samples<T>> {
  const samples: Samples<T> = { on: [], off: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    const sides = ['on', 'off'] as const;
    for (const side of (round + turn) % 2 === 0 ? sides : sides.toReversed()) {
      samples[side].push(await sample(side, round * TURNS + turn));
    }
  }
  return samples;
}

/** On two mounts that stay from sample to sample, with what they have learned and cached. */
async function onTwoMounts<T>(
  site: Site,
  what: string,
  round: number,
  work: (path: PathOf, seed: number) => Promise<T>,
): Promise<Samples<T>> {
  const mounts = { on: await site.mount(what, 'on', {}), off: await site.mount(what, 'off', {}) };
  const samples = await inTurns(round, (side, seed) => {
    return site.seen(site.near, mounts[side], (path) => work(path, seed));
  });
  await mounts.on.unmount();
  await mounts.off.unmount();
  return samples;
}

/** How many times as quick it is with it as without: the median of the turns. */
function timesAsQuick<T>({ on, off }: Samples<T>, seconds: (said: T) => number): number {
  return median(on.map(({ said }, turn) => seconds(off[turn]!.said) / seconds(said)));
}

function ratio<T>({ on, off }: Samples<T>, of: (seen: Seen<T>) => number): number {
  const sum = (seen: Seen<T>[]): number => seen.reduce((total, one) => total + of(one), 0);
  return sum(on) / sum(off);
}

function reads(kind: 'random' | 'adversary', name: string): Measure {
  return {
    name,
    needs: ['large'],
    async run(site, round) {
      const { near } = site;
      await near.pages('load', near.local('large'));
      const samples = await onTwoMounts(site, name, round, (path, seed) => {
        const args = ['--kind', kind, '--reads', near.sizes.reads / TURNS, '--seed', seed];
        return near.read('read_unforeseeable', [path('large'), ...args]);
      });
      const p99 = (seen: Seen<Record<string, number>>[]): number => median(seen.map(({ said }) => said.p99Ms!));
      const throughput = timesAsQuick(samples, ({ seconds }) => seconds!);
      const stored = ratio(samples, ({ sentBytes }) => sentBytes);
      return [
        { what: `${name} / prefetch=off`, value: throughput, atLeast: required.throughput },
        { what: `${name}: store bytes / prefetch=off`, value: stored, atMost: required.store },
        { what: `${name}: p99 / prefetch=off`, value: p99(samples.on) / p99(samples.off), atMost: required.p99 },
        { what: `${name}: p99 of a read`, value: p99(samples.on), unit: 'ms' },
      ];
    },
  };
}

/** Each of a fresh mount: the first walk. */
const walk: Measure = {
  name: 'walk',
  needs: ['tree'],
  async run(site, round): Promise<Figure[]> {
    const { treeFiles } = site.near.sizes;
    const samples = await inTurns(round, (side) =>
      site.through('walk', side, {}, async (path) => {
        const script = `test "$(find "$0" -type f -printf '%s\\n' | wc -l)" = "$1"`;
        return (await must('sh', ['-c', script, path('tree'), String(treeFiles)])).seconds;
      }),
    );
    const requests = ratio(samples, (seen) => seen.requests);
    const bytes = Math.max(...samples.on.map(({ sentBytes }) => sentBytes));
    return [
      { what: 'walk / prefetch=off', value: timesAsQuick(samples, (took) => took), atLeast: required.throughput },
      { what: 'walk: requests / prefetch=off', value: requests, atMost: required.store },
      { what: 'walk: store bytes', value: bytes, unit: 'B' },
    ];
  },
};

/** So few of the rows that most of the table never comes into the bare source's memory. */
const UNCACHED_SHARE = 1 / 5;

/**
 * Two processes that map a table and read rows of it at random, nothing cached: of the bare source neither, whose kernel reads
 * a hundred bytes for each that is used. In the end that is most of the table, and rows are met there: shown beside it.
 */
const rows: Measure = {
  name: 'mapped rows',
  needs: ['large'],
  async run(site, round) {
    const { near } = site;
    await near.pages('load', near.local('large'));
    const through = async (side: Side, count: number): Promise<Seen<Record<string, number>>> => {
      if (side === 'bare') await near.pages('drop', near.slow('large'));
      return site.through('mapped rows', side, {}, (path) =>
        near.read('map_rows', [path('large'), '--rows', count, '--processes', 2, '--seed', round]),
      );
    };
    const rate = ({ said }: Seen<Record<string, number>>): number => said.rows! / said.seconds!;
    const few = Math.round(near.sizes.rows * UNCACHED_SHARE);
    const bare = await through('bare', few);
    const off = await through('off', few);
    const on = await through('on', few);
    const bareMany = await through('bare', near.sizes.rows);
    const onMany = await through('on', near.sizes.rows);
    return [
      { what: 'mapped rows / bare source', value: rate(on) / rate(bare), atLeast: 1.5 },
      { what: 'mapped rows: store bytes / bare source', value: on.sentBytes / bare.sentBytes, atMost: 0.25 },
      { what: 'mapped rows: store bytes / read', value: on.sentBytes / on.said.bytes! },
      { what: 'mapped rows: rows/s', value: rate(on), unit: '/s' },
      { what: 'mapped rows: bare source, rows/s', value: rate(bare), unit: '/s' },
      { what: 'mapped rows / prefetch=off', value: rate(on) / rate(off) },
      { what: 'mapped rows, five times as many / bare source', value: rate(onMany) / rate(bareMany) },
      {
        what: 'mapped rows, five times as many: store bytes / bare source',
        value: onMany.sentBytes / bareMany.sentBytes,
        atMost: 0.25,
      },
    ];
  },
};

export const unforeseeable: readonly Measure[] = [
  reads('random', 'random reads'),
  reads('adversary', 'changing patterns'),
  walk,
  rows,
];
