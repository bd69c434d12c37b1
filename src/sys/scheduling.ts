/** How soon this process runs when it is woken. */
import { schedGetAttributes, schedSetAttributes } from './libc.ts';

/** struct sched_attr of sched_setattr(2), in its first version. */
const SIZE = 48;
const POLICY = 4;
const RUNTIME = 24;
const SCHED_OTHER = 0;

/** The shortest the kernel takes. */
const SLICE_NS = 100_000n;

/**
 * Asks for short slices, for this thread and those it starts from then on. EEVDF (Stoica and Abdel-Wahab, 1995; Linux since
 * 6.6) lets whoever runs go on to the end of its slice, of some 3 ms, before a thread that was woken, unless that one asks
 * for shorter slices (since 6.12). So where readers keep every processor busy, each request would wait that long for us. The
 * share of the processor stays the same. False: the kernel is older, or the process was given another policy.
 */
export function askForShortSlices(): boolean {
  const attributes = Buffer.alloc(SIZE);
  attributes.writeUInt32LE(SIZE, 0);
  if (schedGetAttributes(attributes) < 0 || attributes.readUInt32LE(POLICY) !== SCHED_OTHER) return false;
  attributes.writeBigUInt64LE(SLICE_NS, RUNTIME);
  if (schedSetAttributes(attributes) < 0 || schedGetAttributes(attributes) < 0) return false;
  return attributes.readBigUInt64LE(RUNTIME) === SLICE_NS;
}
