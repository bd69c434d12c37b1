/** Epochs of a loader, and what the slow store was asked in each. */
import type { Counts, SlowStore } from '../slow-store/client.ts';
import { type Epoch, type LoaderOptions, startLoader } from './loader.ts';
import type { Scope } from './scope.ts';

export interface MeasuredEpoch extends Epoch {
  store: Counts | undefined;
}

export interface Measured {
  reader: string;
  /** Listing the directory, with the counts of the store for that. */
  listingSeconds: number;
  listing: Counts | undefined;
  epochs: MeasuredEpoch[];
}

/**
 * `store`: whose counts to take; undefined when the loader does not read from it. `between`: something else, before each epoch
 * but the first and after the last.
 */
export async function measureEpochs(
  scope: Scope,
  options: LoaderOptions,
  store: SlowStore | undefined,
  onEpoch: (epoch: MeasuredEpoch) => void = () => {},
  between: () => Promise<void> = async () => {},
): Promise<Measured> {
  await store?.reset();
  const loader = await startLoader(scope, options);
  const measured: Measured = {
    reader: loader.reader,
    listingSeconds: loader.listingSeconds,
    listing: await store?.counts(),
    epochs: [],
  };
  for (let number = 0; number < options.epochs; number++) {
    if (number > 0) await between();
    await store?.reset();
    const epoch = { ...(await loader.epoch()), store: await store?.counts() };
    measured.epochs.push(epoch);
    onEpoch(epoch);
  }
  await between();
  await loader.end();
  return measured;
}
