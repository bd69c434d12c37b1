/** Puts the document of statistics together from what each part of the daemon counts. */
import { NO_STALL } from '../access/snapshot.ts';
import { OPCODE_COUNT, Opcode, opcodeName } from '../fuse/abi.ts';
import type { LatencyTable } from '../telemetry/latency.ts';
import {
  type CacheStats,
  connectionTotals,
  mostOf,
  type OperationStats,
  type PlanStats,
  type PrefetchStats,
  ratio,
  STATS_SCHEMA,
  type StatsDocument,
} from '../telemetry/stats.ts';
import type { Assembly } from './assemble.ts';
import type { ConnectionStats } from './connect.ts';
import type { DaemonParts } from './control-handlers.ts';
import { utf8 } from './path-text.ts';
import { pinStats } from './pin-stats.ts';
import { version } from './version.ts';

/** `since`: performance.now() when the mount was there. */
export function statsDocument(parts: DaemonParts, since: number): StatsDocument {
  const { request, assembly, connection, log, defects } = parts;
  const { access } = assembly;
  const session = connection.stats();
  const overlay = assembly.overlay.snapshot();
  const seen = access?.snapshot();
  const n = (name: string): number => overlay[name] ?? 0;
  return {
    schema: STATS_SCHEMA,
    mountpoint: request.mountpoint,
    source: request.source,
    version,
    at: new Date().toISOString(),
    upSeconds: (performance.now() - since) / 1000,
    cache: cacheStats(assembly),
    metadata: assembly.overlay.metadata() ?? null,
    store: assembly.store.counts(),
    prefetch: prefetchStats(assembly),
    plans: planStats(assembly),
    warmups: assembly.overlay.warmups.totals(),
    stall: seen?.stall ?? NO_STALL,
    processes: mostOf(seen?.processes ?? [], ({ opens, reads }) => opens + reads),
    dataSets: mostOf(seen?.dataSets ?? [], ({ opens, reads }) => opens + reads),
    streams: seen?.streams ?? [],
    trace: seen?.trace ?? null,
    opens: {
      count: n('opens'),
      byWay: {
        source: n('opensSource'),
        sourcePassthrough: n('opensSourcePassthrough'),
        tier: n('opensTier'),
        tierPassthrough: n('opensTierPassthrough'),
      },
      keptPages: n('opensKeptPages'),
      pushed: n('opensPushed'),
      stale: n('opensStale'),
      forWriting: n('opensForWriting'),
    },
    reads: {
      count: n('reads'),
      bytes: n('readBytes'),
      errors: n('readErrors'),
      carried: n('readsCarried'),
      fromCache: access ? { count: access.served.cacheCount, bytes: access.served.cacheBytes } : null,
      fromStore: access ? { count: access.served.storeCount, bytes: access.served.storeBytes } : null,
      waitSeconds: access ? access.times.table.sum(Opcode.READ) / 1000 : null,
      hidden: assembly.overlay.hidden(),
    },
    writes: { count: n('writes'), bytes: n('writeBytes') },
    operations: operations(session, access?.times.table),
    now: {
      inodes: n('inodes'),
      restingInodes: n('restingInodes'),
      restingBytes: n('restingBytes'),
      files: n('openFiles'),
      directories: n('openDirectories'),
      idleDescriptors: n('idleDescriptors'),
      pendingRequests: session.pending,
    },
    connection: Object.fromEntries(connectionTotals.map((name) => [name, session[name] ?? 0])) as Record<
      (typeof connectionTotals)[number],
      number
    >,
    loop: session.loop ?? null,
    daemon: daemonNow(),
    problems: {
      warnings: log.filter.counts.warn,
      errors: log.filter.counts.error,
      defects: defects.count + session.defects,
    },
  };
}

const PINS_SHOWN = 64;

function cacheStats({ cache }: Assembly): CacheStats {
  if (cache === undefined) {
    const nothing = { hits: 0, misses: 0, hitRatio: null, bytes: 0, sizeBytes: 0, hitBytes: 0, missBytes: 0 };
    const refusedFor = { noRoom: 0, disk: 0, neverCache: 0 };
    const evicted = { policy: 'none', evictions: 0, evictedBytes: 0, pinnedBytes: 0, pins: [], heldBytes: 0 };
    const checks = { checkedChunks: 0, damagedChunks: 0, scrub: null };
    const objects = { objects: 0, completeObjects: 0, objectsInMemory: 0, waitingBytes: 0 };
    const none = { ...objects, refused: 0, refusedFor, tiers: [], health: 'none' };
    return { ...nothing, ...none, ...evicted, ...checks };
  }
  const { usedBytes, refused: refusedFor, pins: allPins, ...counts } = cache.snapshot();
  const refused = refusedFor.noRoom + refusedFor.disk + refusedFor.neverCache;
  const pins = allPins.sort((a, b) => b.bytes - a.bytes).slice(0, PINS_SHOWN);
  const hitRatio = ratio(counts.hits, counts.misses);
  return { ...counts, hitRatio, bytes: usedBytes, refused, refusedFor, pins: pins.map(pinStats) };
}

/** The rows of the table of latencies by the name of their operation. */
export const operationRows: ReadonlyMap<string, number> = new Map(
  Array.from({ length: OPCODE_COUNT }, (_, opcode) => [opcodeName(opcode), opcode] as const).filter(
    ([name], opcode) => opcode === 0 || name !== opcodeName(0),
  ),
);

/** By name: those that were asked for, with their times where there are any. */
function operations(session: ConnectionStats, times: LatencyTable | undefined): Record<string, OperationStats> {
  const found: Record<string, OperationStats> = {};
  for (const [name, count] of Object.entries(session.requests)) {
    if (count === 0) continue;
    const row = operationRows.get(name);
    const summary = row === undefined ? undefined : times?.summary(row);
    const { meanMs, p50Ms, p90Ms, p99Ms, maxMs } = summary?.count ? summary : NO_TIMES;
    found[name.toUpperCase()] = { count, errors: session.errors[name] ?? 0, meanMs, p50Ms, p90Ms, p99Ms, maxMs };
  }
  return found;
}

const NO_TIMES = { meanMs: null, p50Ms: null, p90Ms: null, p99Ms: null, maxMs: null };

function daemonNow(): StatsDocument['daemon'] {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    pid: process.pid,
    residentBytes: rss,
    heapBytes: heapUsed,
    cpuSeconds: (user + system) / 1e6,
    upSeconds: process.uptime(),
  };
}

function planStats({ overlay }: Assembly): PlanStats[] {
  const plans = overlay.prefetch?.plans.snapshot().plans ?? [];
  return plans.map(({ trouble: _, ...plan }) => plan);
}

const ORDERS_SHOWN = 16;

function prefetchStats({ overlay }: Assembly): PrefetchStats {
  const prefetch = overlay.prefetch?.snapshot();
  const byOrder: PrefetchStats['byOrder'] = {};
  for (const [name, { broughtBytes: bytes, usedBytes, wastedBytes }] of prefetch?.totals ?? []) {
    byOrder[name] = { bytes, usedBytes, wastedBytes };
  }
  const sum = { bytes: 0, usedBytes: 0, wastedBytes: 0 };
  for (const { bytes, usedBytes, wastedBytes } of Object.values(byOrder)) {
    sum.bytes += bytes;
    sum.usedBytes += usedBytes;
    sum.wastedBytes += wastedBytes;
  }
  return {
    ...sum,
    accuracy: ratio(sum.usedBytes, sum.bytes - sum.usedBytes),
    underWay: prefetch?.underWay ?? 0,
    window: prefetch?.window ?? 0,
    state: prefetch?.state ?? 'off',
    failures: prefetch?.failures ?? 0,
    byOrder,
    orders: (prefetch?.orders ?? []).slice(0, ORDERS_SHOWN).map(({ about, ...order }) => ({
      ...order,
      about: utf8(about),
    })),
    sets: (prefetch?.sets ?? []).map(({ path, ...set }) => ({ path: utf8(path), ...set })),
    sequences: (prefetch?.sequences ?? []).map(({ path, ...sequence }) => ({ path: utf8(path), ...sequence })),
    ranges: (prefetch?.ranges ?? []).map(({ path, ...ranges }) => ({ path: utf8(path), ...ranges })),
  };
}
