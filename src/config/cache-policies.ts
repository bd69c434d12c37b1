/** Names of what decides which content is kept; the default first. docs/EVICTION.md tells each. */
export const cachePolicies = ['mix', 'epoch-keep', 'lru', 'cost-aware'] as const;
export type CachePolicyName = (typeof cachePolicies)[number];
