/** Documents of statistics as a daemon would tell them, for tests of what is made of them. */
import type { StatsDocument } from '../../src/telemetry/stats.ts';

type Process = StatsDocument['processes'][number];

const noWay = { opens: 0, reads: null, readsError: null, bytes: null, bytesError: null, sampledOpens: 0 };
export const NOTHING_HIDDEN = { keptPages: noWay, tierPassthrough: noWay, sourcePassthrough: noWay };

export function processOf(pid: number | null, more: Partial<Process> = {}): Process {
  return {
    pid,
    command: 'python3',
    threads: 4,
    opens: 1200,
    reads: 5000,
    readBytes: 640 << 20,
    activeSeconds: 100,
    waitSeconds: 31,
    stallShare: 0.31,
    estimated: false,
    ...more,
  };
}

/** Two workers of a job, 100 s after the mount. */
export function sample(more: Partial<StatsDocument> = {}): StatsDocument {
  return {
    schema: 1,
    mountpoint: '/mnt/imagenet',
    source: '/srv/nfs/imagenet',
    version: '0.1.0',
    at: '2026-11-21T09:00:00.000Z',
    upSeconds: 100,
    cache: {
      hits: 8900,
      misses: 1100,
      hitRatio: 0.89,
      bytes: 3 * 2 ** 30,
      sizeBytes: 100 * 2 ** 30,
      hitBytes: 2.5 * 2 ** 30,
      missBytes: 0.5 * 2 ** 30,
      objects: 2400,
      completeObjects: 2390,
      objectsInMemory: 2400,
      waitingBytes: 0,
      refused: 0,
      checkedChunks: 40,
      damagedChunks: 1,
      scrub: { state: 'paused', bytesPerSecond: 8388608, checkedBytes: 1e9, damagedChunks: 1, passes: 2, done: 0.25 },
      refusedFor: { noRoom: 0, disk: 0, neverCache: 0 },
      policy: 'mix',
      evictions: 0,
      evictedBytes: 0,
      pinnedBytes: 0,
      pins: [],
      heldBytes: 0,
      tiers: [],
      health: 'ok',
    },
    store: {
      requests: 4321,
      bytes: 600 << 20,
      bytesWritten: 0,
      errors: 0,
      closes: 0,
      walks: 0,
      byKind: { read: 2000, lookup: 1500, attributes: 821, list: 0 },
    },
    metadata: {
      hits: 900,
      misses: 20,
      listings: 4,
      directories: 4,
      entries: 1000,
      bytes: 700_000,
      budgetBytes: 64 * 2 ** 20,
      aheadRequests: 990,
      aheadUsed: 890,
      aheadUnused: 10,
      aheadListings: 3,
      aheadListingsUsed: 2,
      shelf: { bytes: 3_000_000, limitBytes: 16 * 2 ** 20, directories: 21, recalled: 4, written: 17, damaged: 0 },
    },
    prefetch: {
      bytes: 200 * 2 ** 20,
      usedBytes: 194 * 2 ** 20,
      wastedBytes: 0,
      accuracy: 0.97,
      underWay: 0,
      window: 8,
      state: 'ok',
      failures: 0,
      byOrder: {},
      orders: [],
      sets: [],
      sequences: [],
      ranges: [],
    },
    plans: [
      {
        name: 'train',
        items: 2000,
        pending: 500,
        given: 1500,
        used: 900,
        late: 40,
        passed: 0,
        missing: 1,
        failed: 0,
        malformed: 0,
        broughtBytes: 150 * 2 ** 20,
        usedBytes: 94 * 2 ** 20,
        bytes: 180_000,
        idleSeconds: 0.1,
      },
    ],
    warmups: { running: 0, jobs: 0, files: 0, bytes: 0, errors: 0 },
    stall: {
      share: 0.31,
      readersShare: 0.4,
      lastEpoch: null,
      firstReadShare: 0.94,
      au: 0.69,
      estimated: true,
      sentences: [
        'process 4121 waited 31 % of the last epoch for data; 94 % of it in first reads of files; with the data set cached the epoch would take about 38 s instead of 55',
      ],
    },
    processes: [processOf(4121), processOf(4122, { waitSeconds: 12, stallShare: 0.12, estimated: true })],
    dataSets: [
      {
        path: 'train/n01440764',
        files: 2400,
        bytes: 3 * 2 ** 30,
        opens: 2400,
        reads: 10_000,
        readBytes: 3 * 2 ** 30,
        hits: 8900,
        hitBytes: 2.5 * 2 ** 30,
        waitSeconds: 43,
        betweenSeconds: 57,
        epoch: 2,
        epochDone: 0.4,
        workers: 4,
        workersConfidence: 1,
        batchFiles: 32,
        batchConfidence: 0.9,
      },
    ],
    streams: [
      {
        path: 'tables/rows.bin',
        process: 4121,
        pattern: 'strided',
        stepBytes: 2 ** 20,
        reads: 1200,
        bytes: 75 * 2 ** 20,
        epoch: null,
        epochDone: null,
      },
    ],
    trace: null,
    opens: {
      count: 2400,
      byWay: { source: 0, sourcePassthrough: 0, tier: 2000, tierPassthrough: 400 },
      keptPages: 20,
      pushed: 0,
      stale: 1,
      forWriting: 0,
    },
    reads: {
      count: 10_000,
      bytes: 3 * 2 ** 30,
      errors: 0,
      carried: 2,
      fromCache: { count: 8900, bytes: 2.5 * 2 ** 30 },
      fromStore: { count: 1100, bytes: 0.5 * 2 ** 30 },
      waitSeconds: 43,
      hidden: {
        opens: 420,
        reads: 5100,
        readsError: 102,
        bytes: 2 ** 30,
        bytesError: 2 ** 25,
        sampledOpens: 21,
        byWay: NOTHING_HIDDEN,
      },
    },
    writes: { count: 0, bytes: 0 },
    operations: {
      READ: { count: 10_000, errors: 0, meanMs: 4.3, p50Ms: 0.2, p90Ms: 12, p99Ms: 80, maxMs: 400 },
      LOOKUP: { count: 3000, errors: 12, meanMs: 0.5, p50Ms: 0.02, p90Ms: 1, p99Ms: 9, maxMs: 30 },
      OPEN: { count: 2400, errors: 0, meanMs: 0.1, p50Ms: 0.02, p90Ms: 0.1, p99Ms: 1, maxMs: 9 },
      INIT: { count: 1, errors: 0, meanMs: null, p50Ms: null, p90Ms: null, p99Ms: null, maxMs: null },
    },
    now: {
      inodes: 2500,
      restingInodes: 0,
      restingBytes: 0,
      files: 4,
      directories: 0,
      idleDescriptors: 100,
      pendingRequests: 1,
    },
    connection: {
      dropped: 0,
      malformed: 0,
      late: 0,
      interrupts: 0,
      interrupted: 0,
      undeliverable: 0,
      notifications: 0,
    },
    loop: { turns: 40_000, p99Ms: 0.5, maxMs: 11, long: 0, ownMaxMs: 8, ownLong: 0 },
    daemon: { pid: 4000, residentBytes: 120 << 20, heapBytes: 30 << 20, cpuSeconds: 9, upSeconds: 101 },
    problems: { warnings: 0, errors: 0, defects: 0 },
    ...more,
  };
}

/** The same daemon `seconds` later, with `factor` times as much of everything done. */
export function later(stats: StatsDocument, seconds: number, factor: number): StatsDocument {
  const grown = structuredClone(stats);
  const batch = ['workers', 'workersConfidence', 'batchFiles', 'batchConfidence'];
  const constant = ['schema', 'pid', 'upSeconds', 'threads', 'share', 'sizeBytes', 'epoch', 'epochDone', ...batch];
  const grow = (value: object): void => {
    for (const [key, each] of Object.entries(value)) {
      if (typeof each === 'object' && each !== null) grow(each);
      else if (typeof each === 'number' && !constant.includes(key) && !/Ms$|Share$|Ratio$|^au$/.test(key)) {
        Object.assign(value, { [key]: each * factor });
      }
    }
  };
  grow(grown);
  grown.upSeconds = stats.upSeconds + seconds;
  return grown;
}

/** A thousand processes; each waited as many milliseconds as its pid says. */
export function thousandReaders(): StatsDocument {
  const processes = Array.from({ length: 1000 }, (_, at) =>
    processOf(10_000 + at, { waitSeconds: (10_000 + at) / 1000 }),
  );
  return sample({ processes });
}
