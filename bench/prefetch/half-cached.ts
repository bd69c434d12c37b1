/** A cache for half of the data, shuffled anew each epoch: what comes after the first. */
import { median } from '../support/table.ts';
import { type Measure, WORKERS } from './measure.ts';
import { filesPerSecond, type Site } from './site.ts';

const SHARE = 0.5;
const EPOCHS = 3;
/** Without prefetching the first epoch only fills the cache, and with more workers it does so sooner. */
const FILLING_WORKERS = 16;

/** Nothing is left of an epoch in the kernel's memory: every open drops the pages it has. */
const OPTIONS = ['disable=keep-cache', 'sample-opens=off'];

/** Files a second of the epochs after the first. */
async function prefetching(site: Site, round: number, announce: boolean): Promise<number> {
  const { near } = site;
  const parts = { cacheBytes: near.facts.filesBytes * SHARE, options: OPTIONS };
  const seen = await site.through('half cached', 'on', parts, async (path) => {
    const loader = await near.loader(path('files'), { epochs: EPOCHS, workers: WORKERS, seed: round, announce });
    const rates: number[] = [];
    for (let epoch = 0; epoch < EPOCHS; epoch++) rates.push(filesPerSecond(await loader.epoch()));
    await loader.end();
    return median(rates.slice(1));
  });
  return seen.said;
}

async function notPrefetching(site: Site, round: number): Promise<number> {
  const parts = { cacheBytes: site.near.facts.filesBytes * SHARE, options: OPTIONS };
  const seen = await site.through('half cached', 'off', parts, async (path) => {
    await site.epoch(path('files'), round, { workers: FILLING_WORKERS });
    return site.epoch(path('files'), round + 1, { batches: site.bareBatches() });
  });
  return filesPerSecond(seen.said);
}

export const halfCached: Measure = {
  name: 'half cached',
  needs: ['files'],
  async run(site, round) {
    const { near } = site;
    await near.pages('load', near.local('files'));
    const batches = site.bareBatches();
    const bare = await site.through('half cached', 'bare', {}, (path) => site.epoch(path('files'), round, { batches }));
    const off = await notPrefetching(site, round);
    const on = await prefetching(site, round, false);
    const planned = await prefetching(site, round, true);
    const bound = near.sizes.files / (((1 - SHARE) * near.facts.filesBytes) / near.bandwidth);
    return [
      { what: 'half cached, from epoch 2 / prefetch=off', value: on / off, atLeast: 1.8 },
      { what: 'half cached, from epoch 2 / bare source', value: on / filesPerSecond(bare.said), atLeast: 4 },
      { what: 'half cached, from epoch 2 / (1 - c) bytes over the link', value: on / bound },
      { what: 'half cached, with a plan / (1 - c) bytes over the link', value: planned / bound, atLeast: 0.8 },
      { what: 'half cached, prefetch=off / (1 - c) bytes over the link', value: off / bound },
    ];
  },
};
