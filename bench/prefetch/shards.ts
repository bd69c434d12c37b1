/** Tar shards streamed by eight workers, first epoch. */
import { bytesBelow } from '../cache/part.ts';
import type { Measure } from './measure.ts';
import type { PathOf } from './site.ts';

const SHARD_WORKERS = 8;

export const shards: Measure = {
  name: 'tar shards',
  needs: ['shards'],
  async run(site, round) {
    const { near } = site;
    await near.pages('load', near.local('shards'));
    const stream = async (path: PathOf): Promise<number> => {
      const said = await near.read('read_shards', [path('shards'), '--workers', SHARD_WORKERS, '--seed', round]);
      if (said.samples !== near.facts.samples) throw new Error(`read ${said.samples} of ${near.facts.samples} samples`);
      return said.seconds!;
    };
    const bare = await site.through('tar shards', 'bare', {}, stream);
    const on = await site.through('tar shards', 'on', {}, stream);
    const bytes = bytesBelow(near.local('shards'));
    const link = bytes / near.bandwidth;
    return [
      { what: 'tar shards, 8 workers, epoch 1 / link', value: link / on.said, atLeast: 0.95 },
      { what: 'tar shards / bare source', value: bare.said / on.said },
      { what: 'tar shards: bare source / link', value: link / bare.said },
      { what: 'tar shards: store bytes / data', value: on.sentBytes / bytes },
    ];
  },
};
