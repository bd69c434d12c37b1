/** A document of statistics with something at each key, and a table of latencies to go with it. */
import { LatencyTable } from '../../src/telemetry/latency.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { processOf, sample } from '../support/stats-sample.ts';

const hiddenWay = { opens: 2, reads: 50, readsError: 5, bytes: 50_000, bytesError: 5000, sampledOpens: 1 };
const times = { meanMs: 1, p50Ms: 1, p90Ms: 2, p99Ms: 3, maxMs: 4 };

export function sampleDocument(processes = 1, dataSets = 1): StatsDocument {
  return sample({
    mountpoint: '/mnt/ml "a\\b"\n',
    source: '/data',
    version: '0.0.0',
    at: '2026-01-01T00:00:00.000Z',
    upSeconds: 60,
    cache: {
      ...sample().cache,
      hits: 3,
      misses: 1,
      hitRatio: 0.75,
      bytes: 4096,
      sizeBytes: 1 << 30,
      hitBytes: 3000,
      missBytes: 1000,
      objects: 2,
      completeObjects: 1,
      objectsInMemory: 2,
      waitingBytes: 0,
      tiers: [
        {
          path: '/nvme/ml',
          bytes: 4096,
          sizeBytes: 1 << 30,
          objects: 2,
          hits: 3,
          hitBytes: 3000,
          promotions: 1,
          promotedBytes: 100,
          demotions: 2,
          demotedBytes: 200,
          health: 'ok',
        },
      ],
    },
    store: {
      requests: 7,
      bytes: 1000,
      bytesWritten: 10,
      errors: 1,
      closes: 3,
      walks: 2,
      byKind: { lookup: 4, read: 3 },
    },
    prefetch: {
      bytes: 0,
      usedBytes: 0,
      wastedBytes: 0,
      accuracy: null,
      underWay: 0,
      window: 8,
      state: 'ok',
      failures: 0,
      byOrder: { bulk: { bytes: 200, usedBytes: 100, wastedBytes: 0 } },
      orders: [{ name: 'bulk', about: 'train', bytes: 200, usedBytes: 100, wastedBytes: 0, believed: true }],
      sets: [{ path: 'train', files: 1000, listed: true, repeats: false }],
      sequences: [{ path: 'shards', step: 2, readers: 2 }],
      ranges: [{ path: 'table.bin', ranges: 4096, repeats: true }],
    },
    stall: {
      share: 0.31,
      readersShare: 0.4,
      firstReadShare: 0.94,
      au: 0.69,
      lastEpoch: { seconds: 55, share: 0.31, firstReadShare: 0.94, au: 0.69, cachedSeconds: 38 },
      estimated: true,
      sentences: ['a reader waited'],
    },
    processes: Array.from({ length: processes }, (_, i) =>
      processOf(1000 + i, {
        threads: 2,
        opens: i,
        reads: 10,
        readBytes: 10_000,
        activeSeconds: 12,
        waitSeconds: 3,
        stallShare: 0.25,
      }),
    ),
    dataSets: Array.from({ length: dataSets }, (_, i) => ({
      path: `imagenet/train-${i}`,
      files: 1000,
      bytes: 1e8,
      opens: 2000 + i,
      reads: 3000,
      readBytes: 2e8,
      hits: 2000,
      hitBytes: 1e8,
      waitSeconds: 3,
      betweenSeconds: 7,
      epoch: 2,
      epochDone: 0.5,
      workers: 2,
      workersConfidence: 1,
      batchFiles: 32,
      batchConfidence: 0.9,
    })),
    streams: [
      {
        path: 'train.bin',
        process: 1000,
        pattern: 'strided',
        stepBytes: 1e6,
        reads: 40,
        bytes: 4e6,
        epoch: 2,
        epochDone: 0.3,
      },
    ],
    trace: { file: '/var/tmp/trace', events: 10, bytes: 100, lost: 0 },
    opens: {
      count: 10,
      byWay: { source: 4, sourcePassthrough: 2, tier: 3, tierPassthrough: 1 },
      keptPages: 1,
      pushed: 1,
      stale: 1,
      forWriting: 1,
    },
    reads: {
      count: 4,
      bytes: 4000,
      errors: 1,
      carried: 2,
      fromCache: { count: 3, bytes: 3000 },
      fromStore: { count: 1, bytes: 1000 },
      waitSeconds: 0.5,
      hidden: {
        opens: 4,
        reads: 100,
        readsError: 7,
        bytes: 100_000,
        bytesError: 7000,
        sampledOpens: 2,
        byWay: { keptPages: hiddenWay, tierPassthrough: hiddenWay, sourcePassthrough: hiddenWay },
      },
    },
    writes: { count: 1, bytes: 10 },
    operations: { READ: { count: 4, errors: 1, ...times }, OPEN: { count: 10, errors: 1, ...times } },
    now: {
      inodes: 5,
      restingInodes: 2,
      restingBytes: 600,
      files: 1,
      directories: 1,
      idleDescriptors: 1,
      pendingRequests: 1,
    },
    connection: {
      dropped: 0,
      malformed: 0,
      late: 4,
      interrupts: 1,
      interrupted: 1,
      undeliverable: 0,
      notifications: 2,
    },
    loop: { turns: 1000, p99Ms: 0.4, maxMs: 12, long: 0, ownMaxMs: 9, ownLong: 0 },
    daemon: { pid: 4242, residentBytes: 1e8, heapBytes: 2e7, cpuSeconds: 1.5, upSeconds: 61 },
    problems: { warnings: 1, errors: 0, defects: 0 },
  });
}

export const READ = 15;

/** READs of 10 us, 100 us, 10 ms and 2 minutes. */
export function sampleTimes(): LatencyTable {
  const table = new LatencyTable(16);
  for (const ms of [0.01, 0.1, 10, 120_000]) table.add(READ, ms);
  return table;
}
