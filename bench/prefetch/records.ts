/** Records of one large file in passes, of which the cache has room for a half: in the same order each time, and in others. */
import { type Figure, type Measure, WORKERS } from './measure.ts';
import type { Seen, Side, Site } from './site.ts';

const RECORD = 64 * 1024;
const RECORDS = 4096;
const PASSES = 3;
const SHARE = 0.5;

type Passes = Seen<Record<string, number>>;

function read(site: Site, side: Side, round: number, processes: number, anew: boolean): Promise<Passes> {
  const cacheBytes = RECORD * RECORDS * SHARE;
  const args = ['--record', RECORD, '--records', RECORDS, '--passes', PASSES, '--processes', processes];
  const order = ['--seed', round * PASSES, ...(anew ? ['--anew'] : [])];
  return site.through('records', side, { cacheBytes }, (path) => {
    return site.near.read('read_passes', [path('large'), ...args, ...order]);
  });
}

async function sides(
  site: Site,
  round: number,
  processes: number,
  anew: boolean,
): Promise<{ on: Passes; off: Passes }> {
  const off = await read(site, 'off', round, processes, anew);
  return { off, on: await read(site, 'on', round, processes, anew) };
}

async function inOneOrder(site: Site, round: number, processes: number): Promise<Figure[]> {
  const { on, off } = await sides(site, round, processes, false);
  const bound = ((1 - SHARE) * RECORD * RECORDS) / site.near.bandwidth;
  const name = `records in one order, ${processes === 1 ? 'a process' : `${processes} processes`}`;
  return [
    { what: `${name}: passes after the first / prefetch=off`, value: off.said.later! / on.said.later!, atLeast: 2 },
    { what: `${name}: (1 - c) bytes over the link / its time`, value: bound / on.said.later! },
    { what: `${name}: store bytes / prefetch=off`, value: on.sentBytes / off.sentBytes, atMost: 1.02 },
    { what: `${name}: requests / prefetch=off`, value: on.requests / off.requests },
  ];
}

export const records: Measure = {
  name: 'records',
  needs: ['large'],
  async run(site, round) {
    await site.near.pages('load', site.near.local('large'));
    const figures = [...(await inOneOrder(site, round, 1)), ...(await inOneOrder(site, round, WORKERS))];
    const { on, off } = await sides(site, round, WORKERS, true);
    return [
      ...figures,
      { what: 'records shuffled anew / prefetch=off', value: off.said.later! / on.said.later!, atLeast: 0.97 },
      { what: 'records shuffled anew: store bytes / prefetch=off', value: on.sentBytes / off.sentBytes, atMost: 1.02 },
      { what: 'records shuffled anew: requests / prefetch=off', value: on.requests / off.requests },
    ];
  },
};
