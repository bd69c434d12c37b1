/** A training job whose steps take 1.2 times as long as the bytes of the epoch need on the link: how busy it is. */
import type { Epoch } from '../support/loader.ts';
import { type Figure, type Measure, WORKERS } from './measure.ts';
import type { Seen } from './site.ts';

const COMPUTE = 1.2;

/** The share of an epoch in which the job computed, as its own loop measured it. */
function busy({ seconds, waitedSeconds }: Epoch): number {
  return (seconds - waitedSeconds) / seconds;
}

export const computeBound: Measure = {
  name: 'compute bound',
  needs: ['files'],
  async run(site, round) {
    const { near } = site;
    const load = (): Promise<void> => near.pages('load', near.local('files'));
    const stepMs = ((COMPUTE * near.facts.filesBytes) / near.bandwidth / site.batches) * 1000;
    const batches = site.bareBatches();
    await load();
    const bare = await site.through('compute bound', 'bare', {}, (path) =>
      site.epoch(path('files'), round, { batches, stepMs }),
    );
    const twoEpochs = async (root: string, announce: boolean): Promise<Epoch[]> => {
      const loader = await near.loader(root, { epochs: 2, workers: WORKERS, seed: round, stepMs, announce });
      const epochs = [await loader.epoch(), await loader.epoch()];
      await loader.end();
      return epochs;
    };
    const mounted = async (announce: boolean): Promise<Seen<Epoch[]>> => {
      await load(); // some systems take pages back within seconds
      return site.through('compute bound', 'on', {}, (path) => twoEpochs(path('files'), announce));
    };
    const on = await mounted(false);
    const planned = await mounted(true);
    const native = await twoEpochs(near.local('files'), false);
    const figure = (what: string, epoch: Epoch, atLeast?: number): Figure => {
      return { what: `AU, ${what}`, value: busy(epoch) * 100, unit: '%', ...(atLeast && { atLeast }) };
    };
    return [
      figure('epoch 1, nothing announced', on.said[0]!, 55),
      figure('epoch 1, with a plan', planned.said[0]!, 95),
      figure('epoch 2', on.said[1]!, 98),
      figure('epoch 2 from the local disk', native[1]!),
      figure('bare source', bare.said),
    ];
  },
};
