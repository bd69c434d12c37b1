/**
 * When the JavaScript heap is collected. V8 lets what lives grow to 3.5 times before it does: after a walk over a million files
 * 350 MiB for 100. By half, a heap of a few megabytes is collected again and again while a job's first files come, beside which
 * the memory saved is nothing. So: when it has grown by half, and by some megabytes
 * at least, as far as that is no more than twice what there is.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

const LEAST_PERCENT = 50;
const MOST_PERCENT = 200;
const LEAST_BYTES = 48 * 1024 * 1024;
/** V8 goes by the percentage that holds when it collects; a heap grows by 20 MiB a second where it grows fast. */
const LOOK_EVERY_MS = 1000;

/** By how much a heap may grow of which so much is used, in percent; what is used is what lives, and garbage since. */
export function growthPercent(usedBytes: number): number {
  return Math.min(MOST_PERCENT, Math.max(LEAST_PERCENT, Math.round((LEAST_BYTES / usedBytes) * 100)));
}

/** From now on, as long as the process lasts. Not before all is loaded: until then there is nothing to collect. */
export function boundHeapGrowth(): void {
  let percent = 0;
  const look = (): void => {
    const wanted = growthPercent(getHeapStatistics().used_heap_size);
    if (wanted === percent) return;
    percent = wanted;
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  };
  look();
  setInterval(look, LOOK_EVERY_MS).unref();
}
