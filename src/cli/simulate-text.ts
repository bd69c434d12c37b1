/** How a simulation is shown. */
import type { Simulated } from '../cache/eviction/simulated-cache.ts';
import { formatSize } from '../config/units.ts';
import type { Recorded } from './simulate-workload.ts';
import { type Column, table } from './stats-text.ts';

/** Ratios are null where nothing was read. */
export interface Outcome {
  policy: string;
  /** Null: without limit. */
  cacheBytes: number | null;
  /** Of reads, and of their bytes. */
  hitRatio: number | null;
  byteHitRatio: number | null;
  /** Asked of the store. */
  storeBytes: number;
  evictions: number;
  evictedBytes: number;
}

/** Keys of --json; docs/EVICTION.md tells each. */
export interface Simulation {
  trace: string;
  events: number;
  files: number;
  bytes: number;
  reads: number;
  readBytes: number;
  assumed: number;
  unknown: number;
  recorded: Recorded;
  compulsory: Outcome;
  results: Outcome[];
  seconds: number;
}

export function outcomeOf(policy: string, cacheBytes: number | null, counts: Simulated): Outcome {
  const { reads, readHits, readBytes, hitBytes, storeBytes, evictions, evictedBytes } = counts;
  return {
    policy,
    cacheBytes,
    hitRatio: reads === 0 ? null : readHits / reads,
    byteHitRatio: readBytes === 0 ? null : hitBytes / readBytes,
    storeBytes,
    evictions,
    evictedBytes,
  };
}

const share = (ratio: number | null): string => (ratio === null ? '-' : `${(ratio * 100).toFixed(1)} %`);

const columns: Column<Outcome>[] = [
  { title: 'CACHE', text: ({ cacheBytes }) => (cacheBytes === null ? 'any' : formatSize(cacheBytes)) },
  { title: 'POLICY', text: ({ policy }) => policy, left: true },
  { title: 'READS HIT', text: ({ hitRatio }) => share(hitRatio) },
  { title: 'BYTES HIT', text: ({ byteHitRatio }) => share(byteHitRatio) },
  { title: 'FROM STORE', text: ({ storeBytes }) => formatSize(storeBytes) },
  { title: 'EVICTED', text: ({ evictedBytes }) => formatSize(evictedBytes) },
];

export function page(simulation: Simulation): string[] {
  const { events, files, bytes, reads, readBytes, assumed, unknown, recorded, compulsory, results } = simulation;
  const lines = [
    `trace      ${events} events; ${reads} reads of ${files} files (${formatSize(bytes)}), ${formatSize(readBytes)} read`,
  ];
  if (recorded.reads > 0) {
    const hits = share(recorded.readHits / recorded.reads);
    const ofBytes = share(recorded.hitBytes / recorded.readBytes);
    lines.push(`recorded   ${hits} of ${recorded.reads} reads hit, ${ofBytes} of bytes`);
  }
  if (assumed > 0)
    lines.push(`assumed    ${assumed} opens whose reads the kernel made unseen: each read its file whole`);
  if (unknown > 0) lines.push(`left out   ${unknown} events of files that are written to, or not known`);
  return [...lines, '', ...table(columns, [...results, compulsory], Number.POSITIVE_INFINITY)];
}
