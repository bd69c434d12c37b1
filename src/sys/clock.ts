/** The monotonic clock. By its module: the global of the same name is a getter, which costs as much as the clock itself. */
export { performance } from 'node:perf_hooks';

/** Since 1970, whole. */
export function secondsNow(): number {
  return Math.floor(Date.now() / 1000);
}
