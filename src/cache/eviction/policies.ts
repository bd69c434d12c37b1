/** The policies that a mount may have, by name. (Those of the simulator too: simulated-policies.ts.) */
import type { CachePolicyName } from '../../config/cache-policies.ts';
import { CostAware } from './cost-aware.ts';
import { EpochKeep } from './epoch-keep.ts';
import { Lru } from './lru.ts';
import { Mix } from './mix.ts';
import type { EvictionPolicy, PolicyParts } from './policy.ts';

export const policies: Readonly<Record<CachePolicyName, (parts: PolicyParts) => EvictionPolicy>> = {
  mix: (parts) => new Mix(parts),
  'epoch-keep': (parts) => new EpochKeep(parts),
  lru: (parts) => new Lru(parts),
  'cost-aware': (parts) => new CostAware(parts),
};
