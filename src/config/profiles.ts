/** Sets of options for a kind of work. Weaker than anything else that is said. */
export const profiles: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  none: {},
  /** Many epochs over data that seldom change. */
  training: { 'attr-ttl': '60', readahead: '1M' },
  /** Models that are read once and mapped, requests at random. */
  serving: { 'attr-ttl': '60', readahead: '4M', 'passthrough-min': '1M' },
  /** Large files written, and read once when a job resumes. */
  checkpointing: { cache: 'none', 'attr-ttl': '1', 'negative-ttl': '0', readahead: '4M' },
  /** As little of our own as can be: for comparing. */
  plain: { cache: 'none', 'attr-ttl': '0', 'negative-ttl': '0' },
};
