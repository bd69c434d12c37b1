/**
 * The document of statistics: what `ml-overlay stats --json` prints and GET /stats answers. Each of its keys is declared in
 * metrics.ts. Built in one turn of the loop, so that its numbers belong together. Null: cannot be known, or is not counted
 * (`telemetry=off`).
 */
import type { HiddenSnapshot } from '../access/hidden.ts';
import type { AccessSnapshot } from '../access/snapshot.ts';
import type { LatencySummary } from './latency.ts';

/** Grows when a key is taken away or means something else; new keys do not change it. */
export const STATS_SCHEMA = 1;

/** Processes and data sets in one document; beyond that those that read most. An answer so has a largest size. */
export const LISTED_MAX = 1000;

export interface CountAndBytes {
  count: number;
  bytes: number;
}

export type OperationStats = { count: number; errors: number } & {
  [Key in Exclude<keyof LatencySummary, 'count'>]: number | null;
};

/** By `warmup --pin` a path below the mountpoint, '' for all of it; or a glob of the mount's. The other is null. */
export interface PinStats {
  path: string | null;
  glob: string | null;
  files: number;
  bytes: number;
}

export interface CacheStats {
  hits: number;
  misses: number;
  hitRatio: number | null;
  bytes: number;
  sizeBytes: number;
  hitBytes: number;
  missBytes: number;
  objects: number;
  completeObjects: number;
  objectsInMemory: number;
  waitingBytes: number;
  refused: number;
  /** The same by why. */
  refusedFor: { noRoom: number; disk: number; neverCache: number };
  policy: string;
  evictions: number;
  evictedBytes: number;
  pinnedBytes: number;
  /** Those that keep most, 64 of them. */
  pins: PinStats[];
  heldBytes: number;
  checkedChunks: number;
  damagedChunks: number;
  /** Null: there is no cache. */
  scrub: {
    state: string;
    bytesPerSecond: number;
    checkedBytes: number;
    damagedChunks: number;
    passes: number;
    done: number;
  } | null;
  /** Fastest first; empty: there is no cache. */
  tiers: TierStats[];
  /** 'ok', 'none' (there is no cache) or what is wrong. */
  health: string;
}

export interface TierStats {
  /** The directory; `mem`: in memory. */
  path: string;
  bytes: number;
  sizeBytes: number;
  objects: number;
  hits: number;
  hitBytes: number;
  promotions: number;
  promotedBytes: number;
  demotions: number;
  demotedBytes: number;
  health: string;
}

export interface StoreStats {
  requests: number;
  bytes: number;
  bytesWritten: number;
  errors: number;
  closes: number;
  walks: number;
  byKind: Record<string, number>;
}

/** What is known of names ahead; the look-ups made for that. */
export interface MetadataStats {
  hits: number;
  misses: number;
  listings: number;
  directories: number;
  entries: number;
  bytes: number;
  budgetBytes: number;
  aheadRequests: number;
  aheadUsed: number;
  aheadUnused: number;
  aheadListings: number;
  aheadListingsUsed: number;
  /** What outlives the mount; null where nothing does. */
  shelf: {
    bytes: number;
    limitBytes: number;
    directories: number;
    recalled: number;
    written: number;
    damaged: number;
  } | null;
}

/** Turns of the loop that serves the mount: how long its thread was away from the device. `long`: 50 ms and more. */
export interface LoopStats {
  turns: number;
  p99Ms: number;
  maxMs: number;
  long: number;
  /** The same without the time that the thread waited for a processor. */
  ownMaxMs: number;
  ownLong: number;
}

/** What was brought before it was read, and what became of it. */
export interface PrefetchStats {
  bytes: number;
  usedBytes: number;
  /** Gone from the cache before anybody read it, or not read in time. */
  wastedBytes: number;
  /** usedBytes / bytes. */
  accuracy: number | null;
  /** Requests for it under way, and how many may be. */
  underWay: number;
  window: number;
  /** 'off', 'ok', or why nothing is asked of the source: 'hung', 'failing', 'limited'. */
  state: string;
  failures: number;
  /** By the name of the order that asked for it. */
  byOrder: Record<string, { bytes: number; usedBytes: number; wastedBytes: number }>;
  /** What is brought now. `about`: the data set's or file's path. */
  orders: { name: string; about: string; bytes: number; usedBytes: number; wastedBytes: number; believed: boolean }[];
  /** Data sets of which what is missing is brought: files found below, whether that is all, and whether the order repeats. */
  sets: { path: string; files: number; listed: boolean; repeats: boolean }[];
  /** Directories whose large files are read in the order of their names: from one of a reader's to its next, and its readers. */
  sequences: { path: string; step: number; readers: number }[];
  /** Large files that the cache cannot hold all of: ranges known of each, and whether it is read in the order of the pass before. */
  ranges: { path: string; ranges: number; repeats: boolean }[];
}

/** What a job said it will read; see docs/PLAN.md. */
export interface PlanStats {
  name: string;
  items: number;
  pending: number;
  given: number;
  used: number;
  late: number;
  passed: number;
  missing: number;
  failed: number;
  malformed: number;
  broughtBytes: number;
  usedBytes: number;
  bytes: number;
  idleSeconds: number;
}

export interface StatsDocument {
  schema: typeof STATS_SCHEMA;
  mountpoint: string;
  source: string;
  version: string;
  /** ISO 8601. */
  at: string;
  upSeconds: number;
  cache: CacheStats;
  /** Null for a source that answers at once, and with `metadata-cache=off`. */
  metadata: MetadataStats | null;
  store: StoreStats;
  prefetch: PrefetchStats;
  plans: PlanStats[];
  /** Of `ml-overlay warmup`: jobs that go on, and what all of them came to. */
  warmups: { running: number; jobs: number; files: number; bytes: number; errors: number };
  stall: AccessSnapshot['stall'];
  processes: AccessSnapshot['processes'];
  dataSets: AccessSnapshot['dataSets'];
  streams: AccessSnapshot['streams'];
  trace: AccessSnapshot['trace'];
  opens: {
    count: number;
    byWay: { source: number; sourcePassthrough: number; tier: number; tierPassthrough: number };
    keptPages: number;
    pushed: number;
    stale: number;
    forWriting: number;
  };
  reads: {
    count: number;
    bytes: number;
    errors: number;
    /** Whose bytes went from a file to the kernel past the daemon's memory. */
    carried: number;
    fromCache: CountAndBytes | null;
    fromStore: CountAndBytes | null;
    waitSeconds: number | null;
    hidden: HiddenSnapshot;
  };
  writes: CountAndBytes;
  operations: Record<string, OperationStats>;
  /** What is known and open at this moment. */
  now: {
    inodes: number;
    /** Of these, those that nobody uses and that are packed; and the memory they take. */
    restingInodes: number;
    restingBytes: number;
    files: number;
    directories: number;
    idleDescriptors: number;
    pendingRequests: number;
  };
  /** What the connection to the kernel saw. */
  connection: Record<ConnectionTotal, number>;
  /** Null where libfuse has the loop. */
  loop: LoopStats | null;
  daemon: { pid: number; residentBytes: number; heapBytes: number; cpuSeconds: number; upSeconds: number };
  problems: { warnings: number; errors: number; defects: number };
}

export const connectionTotals = [
  'dropped',
  'malformed',
  'late',
  'interrupts',
  'interrupted',
  'undeliverable',
  'notifications',
] as const;
export type ConnectionTotal = (typeof connectionTotals)[number];

/** hits / all; null when there was nothing. */
export function ratio(part: number, rest: number): number | null {
  return part + rest === 0 ? null : part / (part + rest);
}

/** At most LISTED_MAX of a list, those with the most by `weight` first; shorter lists stay as they are. */
export function mostOf<T>(list: readonly T[], weight: (item: T) => number): T[] {
  if (list.length <= LISTED_MAX) return [...list];
  return [...list].sort((a, b) => weight(b) - weight(a)).slice(0, LISTED_MAX);
}
