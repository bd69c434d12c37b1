/** The page of `ml-overlay stats`: one document as lines of text. Pure. */
import { ratio, type StatsDocument, type TierStats } from '../telemetry/stats.ts';
import { planColumns } from './plan-table.ts';
import {
  type Column,
  clean,
  fit,
  milliseconds,
  percent,
  size,
  span,
  table,
  whole,
  widthOf,
  wrap,
} from './stats-text.ts';

export type ProcessRow = StatsDocument['processes'][number];
export type DataSetRow = StatsDocument['dataSets'][number];
type StreamRow = StatsDocument['streams'][number];
type SequenceRow = StatsDocument['prefetch']['sequences'][number];
type RangesRow = StatsDocument['prefetch']['ranges'][number];
type OperationRow = StatsDocument['operations'][string] & { name: string };

/** Of each list, those that waited most. */
const ROWS = 10;
const LABEL = 10;
/** As good as certain: nothing is said of it. */
const SURE = 0.95;

/** `width`: of the terminal; Infinity where nothing is cut. */
export function page(stats: StatsDocument, width: number): string[] {
  const { mountpoint, source, version, upSeconds, stall } = stats;
  const lines: string[] = [];
  const say = (label: string, text: string): void => {
    const [first = '', ...more] = wrap(clean(text), width - LABEL - 1);
    lines.push(`${label.padEnd(LABEL)} ${first}`.trimEnd(), ...more.map((line) => `${' '.repeat(LABEL)} ${line}`));
  };
  say('mount', `${mountpoint} from ${source}`);
  say('', `ml-overlay ${version}, for ${span(upSeconds)}`);
  for (const [at, sentence] of stall.sentences.entries()) say(at === 0 ? 'what helps' : '', sentence);
  say('waiting', waiting(stats));
  say('reads', reads(stats));
  for (const text of origins(stats)) say('', text);
  say('cache', cache(stats));
  for (const tier of stats.cache.tiers.length > 1 ? stats.cache.tiers : []) say('', tierText(tier));
  say('store', store(stats));
  if (stats.metadata !== null) say('names', names(stats.metadata));
  say('opens', opens(stats));
  if (stats.writes.count > 0) say('writes', `${whole(stats.writes.count)}, ${size(stats.writes.bytes)}`);
  if (stats.trace !== null) {
    const { file, events, bytes, lost } = stats.trace;
    say('trace', `${whole(events)} events, ${size(bytes)} in ${file}${lost > 0 ? `; ${whole(lost)} lost` : ''}`);
  }
  say('daemon', daemon(stats));
  const body = [
    ...list('processes', processColumns, byWait(stats.processes), width),
    ...list('data sets', dataSetColumns, byWait(stats.dataSets), width),
    ...list('plans', planColumns, stats.plans, width),
    ...list('large files', streamColumns, stats.streams, width),
    ...list('records of files larger than the cache', rangesColumns, stats.prefetch.ranges, width),
    ...list('files in the order of their names', sequenceColumns, stats.prefetch.sequences, width),
    ...list('operations', operationColumns, operationRows(stats), width),
  ];
  return [...lines, ...body].map((line) => (widthOf(line) > width ? fit(line, width) : line));
}

export function waiting({ stall, reads, opens }: StatsDocument): string {
  const { share, readersShare, firstReadShare, au, estimated } = stall;
  if (share === null) return reads.count + opens.count === 0 ? 'nobody has read yet' : 'cannot be known';
  const about = estimated ? 'about ' : '';
  const first = firstReadShare === null ? '' : ` (${percent(firstReadShare)} of that in first reads)`;
  const readers = readersShare === null ? '' : `; its readers were held up ${percent(readersShare)} of theirs${first}`;
  const use = au === null ? '' : `; accelerator utilisation ${percent(au)}`;
  return `the job waited for data ${about}${percent(share)} of its time${use}${readers}`;
}

function reads({ reads }: StatsDocument): string {
  const waited = reads.waitSeconds === null ? '' : `, ${span(reads.waitSeconds)} in all`;
  return `${whole(reads.count)} answered by the daemon, ${size(reads.bytes)}${waited}; ${whole(reads.errors)} failed`;
}

function origins({ reads, opens }: StatsDocument): string[] {
  const { fromCache, fromStore, hidden } = reads;
  const lines: string[] = [];
  if (fromCache !== null && fromStore !== null && fromCache.count + fromStore.count > 0) {
    for (const [from, { count, bytes }, other] of [
      ['cache', fromCache, fromStore],
      ['store', fromStore, fromCache],
    ] as const) {
      const share = percent(ratio(count, other.count));
      lines.push(
        `from the ${from}: ${whole(count)} (${share}), ${size(bytes)} (${percent(ratio(bytes, other.bytes))})`,
      );
    }
  }
  if (hidden.opens === null) lines.push('the kernel opens and reads files by itself; what it does is not seen');
  else if (hidden.opens > 0) {
    lines.push(`by the kernel itself: ${whole(hidden.opens)} of ${whole(opens.count)} opens; ${estimated(hidden)}`);
  }
  return lines;
}

/** Twice the standard error: nineteen estimates of twenty are no further off. */
function estimated({ reads, readsError, bytes, bytesError, sampledOpens }: StatsDocument['reads']['hidden']): string {
  if (reads === null || bytes === null) return 'how much cannot be seen';
  const off = Math.max((readsError ?? 0) / Math.max(1, reads), (bytesError ?? 0) / Math.max(1, bytes));
  const about = `about ${whole(reads)} reads, ${size(bytes)}`;
  return `${about}, give or take ${percent(2 * off)} (estimated from ${whole(sampledOpens)} opens)`;
}

export function cache({ cache }: StatsDocument): string {
  if (cache.health === 'none') return 'none';
  const { hits, misses, hitRatio, hitBytes, missBytes } = cache;
  const ratios =
    hitRatio === null
      ? 'nothing was asked of it'
      : `${percent(hitRatio)} of ${whole(hits + misses)} reads hit (${percent(ratio(hitBytes, missBytes))} of bytes)`;
  const { noRoom, disk, neverCache } = cache.refusedFor;
  const full = noRoom + disk > 0 ? `; ${whole(noRoom + disk)} files did not fit` : '';
  const never = neverCache > 0 ? `; ${whole(neverCache)} not to be cached` : '';
  const evicted = cache.evictions > 0 ? `; ${whole(cache.evictions)} evicted (${size(cache.evictedBytes)})` : '';
  const pins = cache.pins.length === 1 ? 'pin' : 'pins';
  const pinned = cache.pins.length > 0 ? `; ${size(cache.pinnedBytes)} pinned by ${cache.pins.length} ${pins}` : '';
  const kept = `${size(cache.bytes)} of ${size(cache.sizeBytes)}`;
  const complete = `${whole(cache.completeObjects)} of ${whole(cache.objects)} files complete`;
  const { damagedChunks } = cache;
  const chunks = damagedChunks === 1 ? 'chunk' : 'chunks';
  const damaged = damagedChunks > 0 ? `; ${whole(damagedChunks)} damaged ${chunks} fetched again` : '';
  const moved = `${full}${never}${evicted}${pinned}${damaged}`;
  return `${ratios}; ${kept}, ${complete}${moved}; ${cache.policy}; ${cache.health}`;
}

/** One of several tiers. */
export function tierText(tier: TierStats): string {
  const { path, bytes, sizeBytes, objects, hits, hitBytes, promotions, promotedBytes, demotions, demotedBytes } = tier;
  const up = promotions > 0 ? `; ${whole(promotions)} moved up to it (${size(promotedBytes)})` : '';
  const down = demotions > 0 ? `; ${whole(demotions)} moved down to it (${size(demotedBytes)})` : '';
  const kept = `${size(bytes)} of ${size(sizeBytes)} in ${whole(objects)} files`;
  return `${path}: ${kept}; ${whole(hits)} hits (${size(hitBytes)})${up}${down}; ${tier.health}`;
}

function store({ store, prefetch }: StatsDocument): string {
  const kinds = Object.entries(store.byKind).filter(([, count]) => count > 0);
  kinds.sort(([, a], [, b]) => b - a);
  const of = kinds.length === 0 ? '' : `: ${kinds.map(([kind, count]) => `${kind} ${whole(count)}`).join(', ')}`;
  const { bytes, accuracy } = prefetch;
  const ahead = accuracy === null ? '' : `; ${size(bytes)} ahead of readers (${percent(accuracy)} read since)`;
  return `${whole(store.requests)} requests, ${size(store.bytes)}, ${whole(store.errors)} failed${of}${ahead}`;
}

function names({ hits, misses, aheadRequests, aheadUsed, bytes }: NonNullable<StatsDocument['metadata']>): string {
  const known = `${percent(ratio(hits, misses))} of ${whole(hits + misses)} look-ups answered from what was known`;
  const ahead = aheadRequests > 0 ? `; ${whole(aheadRequests)} asked for ahead, ${whole(aheadUsed)} of them used` : '';
  return `${known}${ahead}; ${size(bytes)} in memory`;
}

function opens({ opens }: StatsDocument): string {
  const { byWay } = opens;
  const ways: [number, string][] = [
    [byWay.tier, 'cache'],
    [byWay.tierPassthrough, 'cache by the kernel'],
    [byWay.source, 'source'],
    [byWay.sourcePassthrough, 'source by the kernel'],
    [opens.keptPages, 'of them with pages the kernel kept'],
    [opens.forWriting, 'for writing'],
    [opens.stale, 'looked up again'],
  ];
  const used = ways.filter(([count]) => count > 0).map(([count, way]) => `${whole(count)} ${way}`);
  return `${whole(opens.count)}${used.length === 0 ? '' : `: ${used.join(', ')}`}`;
}

function daemon({ daemon, problems }: StatsDocument): string {
  const { pid, residentBytes, heapBytes, cpuSeconds, upSeconds } = daemon;
  const usage = `${size(residentBytes)} resident (heap ${size(heapBytes)}), ${span(cpuSeconds)} of CPU time`;
  const share = upSeconds > 0 ? ` (${percent(cpuSeconds / upSeconds)})` : '';
  return `pid ${pid}, ${usage}${share}; ${troubles(problems)}`;
}

export function troubles({ warnings, errors, defects }: StatsDocument['problems']): string {
  const some = [
    [warnings, 'warning'],
    [errors, 'error'],
    [defects, 'defect'],
  ].filter(([count]) => count !== 0);
  if (some.length === 0) return 'no problems';
  return some.map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`).join(', ');
}

export function nameOf({ pid, command }: ProcessRow): string {
  return pid === null ? clean(command) || 'unknown' : clean(command);
}

function stalled({ stallShare, estimated }: ProcessRow): string {
  return stallShare !== null && estimated ? `~${percent(stallShare)}` : percent(stallShare);
}

export const pathOf = ({ path }: { path: string }): string => (path === '' ? '/' : clean(path));

export const stallColumn: Column<ProcessRow> = { title: 'STALLED', text: stalled };

const processColumns: Column<ProcessRow>[] = [
  { title: 'PID', text: ({ pid }) => (pid === null ? '-' : String(pid)) },
  { title: 'COMMAND', text: nameOf, left: true, flexible: 'end' },
  { title: 'THREADS', text: ({ threads }) => whole(threads), fromWidth: 100 },
  { title: 'OPENS', text: ({ opens }) => whole(opens) },
  { title: 'READS', text: ({ reads }) => whole(reads) },
  { title: 'READ', text: ({ readBytes }) => size(readBytes) },
  { title: 'ACTIVE', text: ({ activeSeconds }) => span(activeSeconds), fromWidth: 100 },
  { title: 'WAITED', text: ({ waitSeconds }) => span(waitSeconds) },
  stallColumn,
];

export const epochOf = ({ epoch, epochDone }: Pick<DataSetRow | StreamRow, 'epoch' | 'epochDone'>): string => {
  if (epoch === null) return '-';
  return epochDone === null ? String(epoch) : `${epoch} (${percent(epochDone)})`;
};

/** A number that was made out, and how sure it is where there is doubt. */
export const sureOf = (found: number | null, confidence: number | null): string => {
  if (found === null) return '-';
  return confidence === null || confidence > SURE ? whole(found) : `${whole(found)} (${percent(confidence)})`;
};

const dataSetColumns: Column<DataSetRow>[] = [
  { title: 'PATH', text: pathOf, left: true, flexible: 'start' },
  { title: 'FILES', text: ({ files }) => whole(files) },
  { title: 'SIZE', text: ({ bytes }) => size(bytes) },
  { title: 'OPENS', text: ({ opens }) => whole(opens), fromWidth: 100 },
  { title: 'READS', text: ({ reads }) => whole(reads), fromWidth: 100 },
  { title: 'READ', text: ({ readBytes }) => size(readBytes) },
  { title: 'HITS', text: ({ hits, reads }) => percent(ratio(hits, reads - hits)) },
  {
    title: 'OF BYTES',
    text: ({ hitBytes, readBytes }) => percent(ratio(hitBytes, readBytes - hitBytes)),
    fromWidth: 100,
  },
  { title: 'WAITED', text: ({ waitSeconds }) => span(waitSeconds) },
  { title: 'BETWEEN', text: ({ betweenSeconds }) => span(betweenSeconds), fromWidth: 100 },
  { title: 'EPOCH', text: epochOf },
  { title: 'WORKERS', text: ({ workers, workersConfidence }) => sureOf(workers, workersConfidence), fromWidth: 100 },
  { title: 'BATCH', text: ({ batchFiles, batchConfidence }) => sureOf(batchFiles, batchConfidence), fromWidth: 100 },
];

const sequenceColumns: Column<SequenceRow>[] = [
  { title: 'PATH', text: pathOf, left: true, flexible: 'start' },
  { title: 'STEP', text: ({ step }) => String(step) },
  { title: 'READERS', text: ({ readers }) => whole(readers) },
];
const rangesColumns: Column<RangesRow>[] = [
  { title: 'PATH', text: ({ path }) => clean(path), left: true, flexible: 'start' },
  { title: 'RECORDS', text: ({ ranges }) => whole(ranges) },
  {
    title: 'READ',
    text: ({ repeats }) => (repeats ? 'in the order of the pass before' : 'in no known order'),
    left: true,
  },
];
const streamColumns: Column<StreamRow>[] = [
  { title: 'PATH', text: ({ path }) => clean(path), left: true, flexible: 'start' },
  { title: 'PID', text: ({ process }) => String(process) },
  { title: 'PATTERN', text: ({ pattern }) => pattern, left: true },
  { title: 'STEP', text: ({ stepBytes }) => (stepBytes === null ? '-' : step(stepBytes)) },
  { title: 'READS', text: ({ reads }) => whole(reads) },
  { title: 'READ', text: ({ bytes }) => size(bytes) },
  { title: 'EPOCH', text: epochOf },
];

const step = (bytes: number): string => (bytes < 0 ? `-${size(-bytes)}` : size(bytes));

const operationColumns: Column<OperationRow>[] = [
  { title: 'OPERATION', text: ({ name }) => name, left: true },
  { title: 'COUNT', text: ({ count }) => whole(count) },
  { title: 'FAILED', text: ({ errors }) => whole(errors) },
  { title: 'MEAN', text: ({ meanMs }) => milliseconds(meanMs) },
  { title: 'P50', text: ({ p50Ms }) => milliseconds(p50Ms) },
  { title: 'P90', text: ({ p90Ms }) => milliseconds(p90Ms) },
  { title: 'P99', text: ({ p99Ms }) => milliseconds(p99Ms) },
  { title: 'MOST', text: ({ maxMs }) => milliseconds(maxMs) },
];

/** The most time spent first: where a latency matters. */
function operationRows({ operations }: StatsDocument): OperationRow[] {
  const rows = Object.entries(operations).map(([name, row]) => ({ name, ...row }));
  return rows.sort((a, b) => b.count * (b.meanMs ?? 0) - a.count * (a.meanMs ?? 0) || b.count - a.count);
}

export function byWait<T extends { waitSeconds: number; readBytes: number }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => b.waitSeconds - a.waitSeconds || b.readBytes - a.readBytes);
}

function list<T>(title: string, columns: readonly Column<T>[], rows: readonly T[], width: number): string[] {
  if (rows.length === 0) return [];
  const more = rows.length - ROWS;
  const lines = table(columns, rows.slice(0, ROWS), width - 2);
  if (more > 0) lines.push(`and ${whole(more)} more: ml-overlay stats MOUNTPOINT --json`);
  return ['', title, ...lines.map((line) => `  ${line}`)];
}
