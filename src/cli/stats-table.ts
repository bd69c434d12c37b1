/** The live table of `ml-overlay stats --watch`: two documents as the lines of a screen. Pure. */
import { ratio, type StatsDocument } from '../telemetry/stats.ts';
import {
  byWait,
  type DataSetRow,
  epochOf,
  nameOf,
  type ProcessRow,
  pathOf,
  stallColumn,
  troubles,
  waiting,
} from './stats-page.ts';
import {
  type Column,
  clean,
  fit,
  milliseconds,
  percent,
  short,
  size,
  span,
  table,
  whole,
  wrapMost,
} from './stats-text.ts';

export interface Screen {
  columns: number;
  rows: number;
}

const TALL = 30;
const LABEL = 8;
/** Widths that hold "999.9k", "1023 MiB" and "99.9 %". */
const NUMBER = 7;
const SIZE = 8;
const SHARE = 6;

/** How a line stands out. */
export interface Line {
  text: string;
  look?: 'heading' | 'alarm';
}

export interface Watched {
  now: StatsDocument;
  /** The one before, of the same daemon; undefined at first: no rates yet. */
  before: StatsDocument | undefined;
  /** Why there is no newer document. */
  trouble?: string | undefined;
  /** "14:03:22" */
  clock: string;
}

/** What the numbers of both documents come to in a second. */
class Rates {
  readonly seconds: number;

  constructor({ now, before }: Watched) {
    this.seconds = before === undefined ? 0 : now.upSeconds - before.upSeconds;
  }

  get known(): boolean {
    return this.seconds > 0;
  }

  of(now: number, before: number | undefined): number {
    return this.known ? Math.max(0, now - (before ?? 0)) / this.seconds : 0;
  }
}

/** Whether the two are of one run of one daemon. */
export function comparable(now: StatsDocument, before: StatsDocument | undefined): boolean {
  return before !== undefined && before.daemon.pid === now.daemon.pid && before.upSeconds < now.upSeconds;
}

export function frame(watched: Watched, { columns, rows }: Screen): Line[] {
  const { now, trouble } = watched;
  const rates = new Rates(watched);
  const lines: Line[] = [title(watched, columns)];
  if (trouble !== undefined) {
    for (const text of wrapMost(clean(trouble), columns, 2)) lines.push({ text: fit(text, columns), look: 'alarm' });
  }
  for (const [label, text] of summary(watched, rates)) {
    const [first = '', second] = wrapMost(text, columns - LABEL - 1, 2);
    lines.push({ text: fit(`${label.padEnd(LABEL)} ${first}`, columns) });
    if (second !== undefined) lines.push({ text: fit(`${' '.repeat(LABEL)} ${second}`, columns) });
  }
  for (const text of advice(now, columns - 2, rows)) lines.push({ text: fit(text, columns) });
  const blank: Line[] = rows < TALL ? [] : [{ text: '' }];
  const lists = [
    (most: number) => processes(watched, rates, columns, most),
    (most: number) => dataSets(watched, rates, columns, most),
    (most: number) => operations(watched, rates, columns, most),
  ];
  for (const list of share(lists, rows - lines.length - blank.length * lists.length)) {
    if (list.length > 0) lines.push(...blank, ...list);
  }
  return lines.slice(0, rows);
}

/** What a small screen has room for; the most important sentence comes first. */
function advice({ stall }: StatsDocument, width: number, rows: number): string[] {
  const [most, each] = rows < TALL ? [1, 3] : [3, 4];
  return stall.sentences
    .slice(0, most)
    .flatMap((sentence) => wrapMost(clean(sentence), width, each).map((line, at) => `${at === 0 ? '>' : ' '} ${line}`));
}

/** The least of a list that says something: the heading, a row and how many more there are. */
const LEAST = 3;

/** Each list gets its least; of what is left half goes to the first and so on, and what one does not need to the others. */
function share(lists: readonly ((most: number) => Line[])[], room: number): Line[][] {
  const wanted = lists.map((list) => list(Math.max(room, LEAST)).length);
  let left = room;
  const given = wanted.map((want) => {
    const least = Math.min(want, LEAST);
    if (least > left) return 0;
    left -= least;
    return least;
  });
  for (const [at, want] of wanted.entries()) {
    const others = wanted.slice(at + 1).reduce((sum, each, later) => sum + each - (given[at + 1 + later] ?? 0), 0);
    const more = Math.min(want - (given[at] ?? 0), Math.max(Math.ceil(left / 2), left - others));
    given[at] = (given[at] ?? 0) + more;
    left -= more;
  }
  return lists.map((list, at) => list(given[at] ?? 0));
}

function title({ now, clock }: Watched, columns: number): Line {
  const right = `up ${span(now.upSeconds)}  ${clock}`;
  const left = fit(clean(`${now.mountpoint} from ${now.source}`), Math.max(8, columns - right.length - 2));
  return { text: fit(left.padEnd(columns - right.length) + right, columns), look: 'heading' };
}

function summary(watched: Watched, rates: Rates): [label: string, text: string][] {
  const { now, before } = watched;
  const rate = (take: (stats: StatsDocument) => number | undefined | null): number =>
    rates.of(take(now) ?? 0, before && (take(before) ?? 0));
  const per = (take: (stats: StatsDocument) => number | undefined | null): string =>
    rates.known ? `${short(rate(take))}/s` : '-';
  const bytes = (take: (stats: StatsDocument) => number | undefined | null): string =>
    rates.known ? `${size(rate(take))}/s` : '-';
  const cached = ratio(
    rate(({ reads }) => reads.fromCache?.count),
    rate(({ reads }) => reads.fromStore?.count),
  );
  const { daemon } = now;
  const evictions = rate(({ cache }) => cache.evictions);
  const evicted = evictions > 0 ? `   evicts ${short(evictions)}/s` : '';
  const cpu = percent(rates.known ? rate((stats) => stats.daemon.cpuSeconds) : null);
  const waitingNow = rates.known ? `${short(rate(waitSeconds))} threads at a time now; ` : '';
  const hidden =
    rate(({ reads }) => reads.hidden.opens ?? 0) > 0 ? `, ${per(hiddenOpens)} with reads the kernel serves` : '';
  const served = `${per(({ reads }) => reads.count)}   ${bytes(({ reads }) => reads.bytes)}   from the cache ${percent(cached)}`;
  return [
    ['reads', served],
    ['opens', `${per(({ opens }) => opens.count)}${hidden}   writes ${bytes(({ writes }) => writes.bytes)}`],
    [
      'store',
      `${per(({ store }) => store.requests)}   ${bytes(({ store }) => store.bytes)}   ${failures(now)}${named(now)}`,
    ],
    ['cache', `${kept(now)}${evicted}`],
    ['waiting', `${waitingNow}${waiting(now)}`],
    ['daemon', `${cpu} CPU   ${size(daemon.residentBytes)}   ${troubles(now.problems)}`],
  ];
}

function kept({ cache }: StatsDocument): string {
  if (cache.health === 'none') return 'none';
  const used = `${size(cache.bytes)} of ${size(cache.sizeBytes)}`;
  return `hits ${percent(cache.hitRatio)} in all   ${used}   ${clean(cache.health)}`;
}

/** Of the look-ups of names, where a source's are kept. */
function named({ metadata }: StatsDocument): string {
  return metadata === null ? '' : `   names known ${percent(ratio(metadata.hits, metadata.misses))} in all`;
}

const hiddenOpens = ({ reads }: StatsDocument): number => reads.hidden.opens ?? 0;

const waitSeconds = ({ processes }: StatsDocument): number =>
  processes.reduce((sum, { waitSeconds: seconds }) => sum + seconds, 0);

function failures({ store, reads }: StatsDocument): string {
  return store.errors + reads.errors === 0
    ? 'no errors'
    : `${whole(store.errors)} failed in all, ${whole(reads.errors)} failed reads`;
}

/** The heading, at most `most` - 1 rows, and how many more there are. */
function listed<T>(columns: readonly Column<T>[], rows: readonly T[], width: number, most: number): Line[] {
  if (most < 2 || rows.length === 0) return [];
  const room = most - 1;
  const shown = rows.length <= room ? rows : rows.slice(0, room - 1);
  const [heading = '', ...body] = table(columns, shown, width);
  const lines: Line[] = [{ text: heading.padEnd(width), look: 'heading' }, ...body.map((text) => ({ text }))];
  const more = rows.length - shown.length;
  if (more > 0) lines.push({ text: fit(`  and ${whole(more)} more`, width) });
  return lines;
}

interface Changed<T> {
  row: T;
  before: T | undefined;
}

function processes(watched: Watched, rates: Rates, width: number, most: number): Line[] {
  const key = ({ pid, command }: ProcessRow): string => `${pid ?? ''} ${command}`;
  const earlier = new Map(watched.before?.processes.map((row) => [key(row), row]));
  const rows = changed(watched.now.processes, (row) => earlier.get(key(row)), rates);
  const waits = ({ row, before }: Changed<ProcessRow>): string =>
    rates.known ? percent(rates.of(row.waitSeconds, before?.waitSeconds) / Math.max(1, row.threads)) : '-';
  const columns: Column<Changed<ProcessRow>>[] = [
    { title: 'PID', least: NUMBER, text: ({ row }) => (row.pid === null ? '-' : String(row.pid)) },
    { title: 'COMMAND', least: 15, text: ({ row }) => nameOf(row), left: true, flexible: 'end' },
    { title: 'THREADS', text: ({ row }) => whole(row.threads), fromWidth: 100 },
    { title: 'OPENS/s', least: NUMBER, text: perSecond(rates, 'opens') },
    { title: 'READS/s', least: NUMBER, text: perSecond(rates, 'reads') },
    { title: 'BYTES/s', least: SIZE, text: bytesPerSecond(rates) },
    { title: 'READ', least: NUMBER, text: ({ row }) => size(row.readBytes), fromWidth: 100 },
    { title: 'WAITS', least: SHARE, text: waits },
    { title: 'WAITED', least: NUMBER, text: ({ row }) => span(row.waitSeconds), fromWidth: 100 },
    { title: stallColumn.title, text: ({ row }) => stallColumn.text(row) },
  ];
  return listed(columns, rows, width, most);
}

function dataSets(watched: Watched, rates: Rates, width: number, most: number): Line[] {
  const earlier = new Map(watched.before?.dataSets.map((row) => [row.path, row]));
  const rows = changed(watched.now.dataSets, ({ path }) => earlier.get(path), rates);
  const hits = ({ row, before }: Changed<DataSetRow>): string => {
    const [reads, hit] = [row.reads - (before?.reads ?? 0), row.hits - (before?.hits ?? 0)];
    return rates.known ? percent(ratio(hit, reads - hit)) : '-';
  };
  const columns: Column<Changed<DataSetRow>>[] = [
    { title: 'DATA SET', text: ({ row }) => pathOf(row), left: true, flexible: 'start' },
    { title: 'FILES', least: NUMBER, text: ({ row }) => short(row.files) },
    { title: 'SIZE', least: NUMBER, text: ({ row }) => size(row.bytes), fromWidth: 100 },
    { title: 'OPENS/s', least: NUMBER, text: perSecond(rates, 'opens') },
    { title: 'READS/s', least: NUMBER, text: perSecond(rates, 'reads'), fromWidth: 100 },
    { title: 'BYTES/s', least: SIZE, text: bytesPerSecond(rates) },
    { title: 'HITS', least: SHARE, text: hits },
    { title: 'WAITED', least: NUMBER, text: ({ row }) => span(row.waitSeconds), fromWidth: 100 },
    { title: 'EPOCH', text: ({ row }) => epochOf(row) },
  ];
  return listed(columns, rows, width, most);
}

type Readers = 'opens' | 'reads';
type Counted = Record<Readers | 'readBytes', number>;

function perSecond<T extends Counted>(rates: Rates, name: Readers): Column<Changed<T>>['text'] {
  return ({ row, before }) => (rates.known ? short(rates.of(row[name], before?.[name])) : '-');
}

function bytesPerSecond<T extends Counted>(rates: Rates): Column<Changed<T>>['text'] {
  return ({ row, before }) => (rates.known ? size(rates.of(row.readBytes, before?.readBytes)) : '-');
}

/** Those that waited most since the document before first, then those that read most, then by all they waited. */
function changed<T extends { waitSeconds: number; readBytes: number }>(
  rows: readonly T[],
  beforeOf: (row: T) => T | undefined,
  rates: Rates,
): Changed<T>[] {
  const pairs = byWait(rows).map((row) => ({ row, before: beforeOf(row) }));
  if (!rates.known) return pairs;
  const gain = ({ row, before }: Changed<T>, of: 'waitSeconds' | 'readBytes'): number => row[of] - (before?.[of] ?? 0);
  return pairs.sort(
    (a, b) => gain(b, 'waitSeconds') - gain(a, 'waitSeconds') || gain(b, 'readBytes') - gain(a, 'readBytes'),
  );
}

type OperationStats = StatsDocument['operations'][string];

interface OperationRow {
  name: string;
  now: OperationStats;
  before: OperationStats | undefined;
}

function operations({ now, before }: Watched, rates: Rates, width: number, most: number): Line[] {
  const rows = Object.entries(now.operations).map(
    ([name, stats]): OperationRow => ({ name, now: stats, before: before?.operations[name] }),
  );
  const gain = (row: OperationRow): number => row.now.count - (rates.known ? (row.before?.count ?? 0) : 0);
  rows.sort((a, b) => gain(b) - gain(a) || b.now.count - a.now.count);
  const columns: Column<OperationRow>[] = [
    { title: 'OPERATION', text: ({ name }) => name, left: true },
    {
      title: 'PER s',
      least: NUMBER,
      text: (row) => (rates.known ? short(rates.of(row.now.count, row.before?.count)) : '-'),
    },
    { title: 'MEAN NOW', text: (row) => milliseconds(rates.known ? meanSince(row) : null) },
    { title: 'P50', least: NUMBER, text: ({ now: { p50Ms } }) => milliseconds(p50Ms) },
    { title: 'P90', least: NUMBER, text: ({ now: { p90Ms } }) => milliseconds(p90Ms), fromWidth: 100 },
    { title: 'P99', least: NUMBER, text: ({ now: { p99Ms } }) => milliseconds(p99Ms) },
    { title: 'MOST', least: NUMBER, text: ({ now: { maxMs } }) => milliseconds(maxMs), fromWidth: 100 },
    { title: 'COUNT', least: NUMBER, text: ({ now: { count } }) => short(count) },
    { title: 'FAILED', least: NUMBER, text: ({ now: { errors } }) => short(errors) },
  ];
  return listed(columns, rows, width, most);
}

/** The mean of what was answered between the two documents; null: nothing was. */
function meanSince({ now, before }: OperationRow): number | null {
  const count = now.count - (before?.count ?? 0);
  if (count <= 0 || now.meanMs === null) return null;
  return Math.max(0, now.meanMs * now.count - (before?.meanMs ?? 0) * (before?.count ?? 0)) / count;
}

/** One line for those who have no terminal. */
export function tick(watched: Watched): string {
  const { now, before, clock } = watched;
  const rates = new Rates(watched);
  const rate = (take: (stats: StatsDocument) => number | undefined): number =>
    rates.of(take(now) ?? 0, before && take(before));
  if (!rates.known)
    return `${clock}  ${whole(now.reads.count)} reads so far, ${size(now.reads.bytes)}; ${waiting(now)}`;
  const cached = ratio(
    rate(({ reads }) => reads.fromCache?.count),
    rate(({ reads }) => reads.fromStore?.count),
  );
  return [
    `${clock}  reads ${short(rate(({ reads }) => reads.count))}/s ${size(rate(({ reads }) => reads.bytes))}/s`,
    `cache ${percent(cached)}`,
    `store ${short(rate(({ store }) => store.requests))}/s ${size(rate(({ store }) => store.bytes))}/s`,
    `waiting ${short(rate(waitSeconds))}`,
    `stalled ${percent(now.stall.share)}`,
    `cpu ${percent(rate(({ daemon }) => daemon.cpuSeconds))}`,
    `memory ${size(now.daemon.residentBytes)}`,
  ].join('  ');
}
