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

/** `store`: whose counts to take; undefined when the loader does not read from it. */
export async function measureEpochs(
  scope: Scope,
  options: LoaderOptions,
  store: SlowStore | undefined,
  onEpoch: (epoch: MeasuredEpoch) => void = () => {},
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
    await store?.reset();
    const epoch = { ...(await loader.epoch()), store: await store?.counts() };
    measured.epochs.push(epoch);
    onEpoch(epoch);
  }
  await loader.end();
  return measured;
}
