/** A read that is put together from several fetches, and from what the tier already had between them. */
import { failed, type Outcome } from '../sys/errno.ts';
import type { ContentBytes } from './cache.ts';
import type { Fetch } from './fetch.ts';

/**
 * Fills `into` with offset..end of the file. The count put together: less where the file has become shorter; or why a fetch
 * failed; undefined when the tier does not have what it should.
 */
export async function assemble(
  into: Uint8Array,
  offset: number,
  end: number,
  fetches: readonly Fetch[],
  readTier: (length: number, offset: number) => Promise<ContentBytes | undefined>,
): Promise<Outcome<number> | undefined> {
  let at = offset;
  while (at < end) {
    const fetch = fetches.find((one) => one.offset <= at && at < one.offset + one.length);
    if (fetch === undefined) {
      const next = fetches.reduce((least, one) => (one.offset > at ? Math.min(least, one.offset) : least), end);
      const part = await readTier(next - at, at);
      if (part === undefined) return undefined;
      into.set(part.bytes, at - offset);
      part.release?.();
      at = next;
      continue;
    }
    const count = await fetch.arrived;
    if (failed(count)) return count;
    const stop = Math.min(fetch.offset + count, end);
    if (stop <= at) break; // the file has become shorter
    into.set(fetch.buffer.bytes.subarray(at - fetch.offset, stop - fetch.offset), at - offset);
    at = stop;
    if (count < fetch.length) break;
  }
  return at - offset;
}
