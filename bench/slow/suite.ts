/**
 * `npm run bench -- slow`: two epochs of a DataLoader from a slow store, bare and through the overlay (read-only, as training
 * data are mounted), with the same loader on the local disk as the bound.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { behindSlowStore } from '../support/behind-slow-store.ts';
import type { Bound } from '../support/bounds.ts';
import { type Measured, type MeasuredEpoch, measureEpochs } from '../support/epochs.ts';
import { makeImages } from '../support/images.ts';
import { watchInterference } from '../support/interference.ts';
import { startLoader } from '../support/loader.ts';
import { fileSystemOf } from '../support/machine.ts';
import { mountOverlay } from '../support/overlay-mount.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { formatBytes } from '../support/sizes.ts';
import { count, median, percent, seconds, spread, table } from '../support/table.ts';

export interface SlowSuiteOptions {
  python: string;
  quick: boolean;
  rounds: number;
  directory: string | undefined;
  latencyMs: number;
  bandwidth: number;
}

type Source = 'local disk' | 'slow store' | 'overlay';
const SOURCES: readonly Source[] = ['local disk', 'slow store', 'overlay'];

interface Taken {
  source: Source;
  decode: boolean;
  round: number;
  measured: Measured;
  /** Of epochs from the local disk just before its second epoch and just after it. */
  besideSeconds: number[];
}

export async function slowSuite(scope: Scope, options: SlowSuiteOptions): Promise<object> {
  const files = options.quick ? 300 : 2_000;
  const work = scope.directory(options.directory, 'ml-overlay-bench-');
  const [mount, cache] = [join(work, 'mount'), join(work, 'cache')];
  mkdirSync(mount);
  const { latencyMs, bandwidth } = options;
  const { source: originals, slow, store } = await behindSlowStore(scope, work, { latencyMs, bandwidth });
  console.log(`making ${count(files)} images in ${originals} (${fileSystemOf(work)})`);
  const bytes = await makeImages(options.python, originals, files, () => {});
  console.log(`${formatBytes(bytes)} behind ${latencyMs} ms a request and ${formatBytes(bandwidth)}/s`);

  const interference = watchInterference();
  const taken: Taken[] = [];
  const take = async (source: Source, decode: boolean, round: number): Promise<void> => {
    const root = source === 'local disk' ? originals : source === 'slow store' ? slow : mount;
    const wanted = { python: options.python, root, decode, epochs: 2, seed: round };
    const tell = (epoch: MeasuredEpoch): void => {
      const rate = count(epoch.files / epoch.seconds);
      const what = decode ? 'decoding' : 'reading only';
      console.log(
        `  ${what}, ${source}, round ${round}, epoch ${epoch.epoch}: ${seconds(epoch.seconds)}, ${rate} files/s`,
      );
    };
    // Decoding takes all the processors, whose speed changes by the minute: what it is compared with is taken beside it.
    const besideSeconds: number[] = [];
    const beside =
      decode && source === 'overlay' ? await startLoader(scope, { ...wanted, root: originals }) : undefined;
    const between = async (): Promise<void> => {
      if (beside !== undefined) besideSeconds.push((await beside.epoch()).seconds);
    };
    const asked = source === 'local disk' ? undefined : store;
    const measured = await measureEpochs(scope, wanted, asked, tell, between);
    await beside?.end();
    taken.push({ source, decode, round, measured, besideSeconds });
  };
  for (let round = 1; round <= options.rounds; round++) {
    for (const decode of [false, true]) {
      await take('local disk', decode, round);
      await take('slow store', decode, round);
      rmSync(cache, { recursive: true, force: true });
      mkdirSync(cache);
      const overlay = await mountOverlay(scope, slow, mount, ['--cache', `${cache}:${bytes * 2}`, '-o', 'ro']);
      await take('overlay', decode, round);
      await overlay.unmount();
    }
  }

  const rows = [false, true].flatMap((decode) =>
    SOURCES.flatMap((source) => [0, 1].map((at) => row(taken, decode, source, at))),
  );
  console.log(`\n${table(['', 'epoch', 'spread', 'files/s', 'first batch', 'requests', 'store bytes'], rows)}`);
  const bounds = boundsOf(taken, bytes);
  console.log(`\n${boundsTable(bounds)}`);
  const link = Math.max(bytes / bandwidth, 0);
  console.log(`\nThe link alone needs ${seconds(link)} for an epoch's bytes: ${count(files / link)} files/s.`);
  const ending = { suite: 'slow', python: options.python, directory: work, bounds, interference };
  return concluded(ending, { files, bytes, latencyMs, bandwidth, taken });
}

function epochs(taken: Taken[], decode: boolean, source: Source, at: number): Measured['epochs'] {
  return taken
    .filter((one) => one.decode === decode && one.source === source)
    .flatMap(({ measured }) => measured.epochs.slice(at, at + 1));
}

function time(taken: Taken[], decode: boolean, source: Source, at: number): number {
  return median(epochs(taken, decode, source, at).map((epoch) => epoch.seconds));
}

function row(taken: Taken[], decode: boolean, source: Source, at: number): string[] {
  const all = epochs(taken, decode, source, at);
  const took = median(all.map((epoch) => epoch.seconds));
  const asked = all[0]?.store;
  return [
    `${decode ? 'decoding' : 'reading only'}, ${source}, epoch ${at + 1}`,
    seconds(took),
    percent(spread(all.map((epoch) => epoch.seconds))),
    count((all[0]?.files ?? 0) / took),
    seconds(median(all.map((epoch) => epoch.firstBatchSeconds))),
    asked === undefined ? '-' : count(asked.requests),
    asked === undefined ? '-' : formatBytes(asked.bytesRead),
  ];
}

function boundsOf(taken: Taken[], bytes: number): Bound[] {
  const asked = median(
    taken
      .filter((one) => one.source === 'overlay')
      .map(({ measured }) => measured.epochs.reduce((sum, epoch) => sum + (epoch.store?.bytesRead ?? 0), 0)),
  );
  const speedUp = (decode: boolean, at: number, over: Source, overAt: number): number =>
    time(taken, decode, over, overAt) / time(taken, decode, 'overlay', at);
  return [
    { what: 'reading only: epoch 2, overlay / slow store', value: speedUp(false, 1, 'slow store', 1), atLeast: 10 },
    { what: 'reading only: epoch 1, overlay / slow store', value: speedUp(false, 0, 'slow store', 0), atLeast: 0.95 },
    { what: 'decoding: epoch 2, overlay / local disk beside it', value: besideLocalDisk(taken), atLeast: 0.9 },
    { what: 'bytes asked of the store in both epochs / data', value: asked / bytes, atLeast: 1, atMost: 1 },
  ];
}

/** The second epoch of each round against the epochs from the local disk around it. */
function besideLocalDisk(taken: Taken[]): number {
  const ratios = taken
    .filter(({ besideSeconds }) => besideSeconds.length > 0)
    .map(({ measured, besideSeconds }) => {
      const mean = besideSeconds.reduce((sum, took) => sum + took, 0) / besideSeconds.length;
      return mean / (measured.epochs[1]?.seconds ?? Number.NaN);
    });
  return median(ratios);
}
