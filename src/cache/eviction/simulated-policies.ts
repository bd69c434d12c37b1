/** The policies of the simulator: those of a mount, others to compare with, and MIN, which knows the future. */
import { Belady } from './belady.ts';
import { policies } from './policies.ts';
import type { EvictionPolicy, PolicyParts } from './policy.ts';
import { S3Fifo } from './s3-fifo.ts';
import { Sieve } from './sieve.ts';
import { TwoRandom } from './two-random.ts';
import { WTinyLfu } from './w-tinylfu.ts';

export const simulatedPolicies: Readonly<Record<string, (parts: PolicyParts) => EvictionPolicy>> = {
  ...policies,
  '2-random': (parts) => new TwoRandom(parts),
  's3-fifo': (parts) => new S3Fifo(parts),
  sieve: () => new Sieve(),
  'w-tinylfu': (parts) => new WTinyLfu(parts),
  belady: () => new Belady(),
};
