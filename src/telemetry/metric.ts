/** What is said of a number the daemon tells, and the words in which the table of them (metrics.ts) says it. */

/**
 * counter: only grows, from 0 at the mount. gauge: goes up and down. histogram: for Prometheus only. text: words.
 */
export type Kind = 'counter' | 'gauge' | 'histogram' | 'text';
export type Unit = '' | 'bytes' | 'seconds' | 'ms' | 'ratio';
/** stable: a key that is there stays, and keeps its meaning. experimental: may change with any version. */
export type Stability = 'stable' | 'experimental';

export interface Metric {
  /** In the document; undefined: told to Prometheus only. */
  key?: string;
  /** What Prometheus calls it; undefined: not told to it. */
  name?: string;
  /** The label that stands for `*` or the element. */
  label?: string;
  kind: Kind;
  unit: Unit;
  stability: Stability;
  meaning: string;
  /** Kept for /history. */
  history?: true;
}

/** What all names of ours begin with, for Prometheus. */
export const P = 'ml_overlay_';

type Extra = Partial<Pick<Metric, 'label' | 'history' | 'stability'>>;

export function counter(key: string, name: string | undefined, unit: Unit, meaning: string, extra: Extra = {}): Metric {
  return { key, ...named(name, '_total'), kind: 'counter', unit, stability: 'stable', meaning, ...extra };
}

export function gauge(key: string, name: string | undefined, unit: Unit, meaning: string, extra: Extra = {}): Metric {
  return { key, ...named(name, ''), kind: 'gauge', unit, stability: 'stable', meaning, ...extra };
}

export function text(key: string, meaning: string, extra: Extra = {}): Metric {
  return { key, kind: 'text', unit: '', stability: 'stable', meaning, ...extra };
}

/** Names of ours get the prefix; those that Prometheus itself has a convention for begin with "process_". */
function named(name: string | undefined, suffix: string): { name?: string } {
  if (name === undefined) return {};
  return { name: `${name.startsWith('process_') ? '' : P}${name}${suffix}` };
}
