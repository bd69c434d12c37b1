/**
 * The statistics as Prometheus reads them: its text format 0.0.4. Written by hand: prom-client keeps counters of its own that
 * would have to be fed on the way of a request, and cannot be given the counts of a histogram.
 */
import { bucketEndMs, type LatencyTable } from './latency.ts';
import type { Metric } from './metric.ts';
import { info, metrics, operationDuration } from './metrics.ts';
import { samplesOf } from './samples.ts';
import type { StatsDocument } from './stats.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Series by data set cost the server that stores them: the most read come first. */
const DATA_SETS_MAX = 50;

/** The rows of the table of latencies by the name of their operation. */
export type OperationRows = ReadonlyMap<string, number>;

export function prometheusText(document: StatsDocument, times?: LatencyTable, rows?: OperationRows): string {
  const lines: string[] = [];
  const told = { ...document, dataSets: mostRead(document) };
  for (const metric of metrics) {
    if (metric.name === undefined) continue;
    if (metric === info) {
      const { version, source, mountpoint } = document;
      head(lines, metric);
      lines.push(`${metric.name}${labels({ version, source, mountpoint })} 1`);
    } else if (metric === operationDuration) {
      if (times && rows) histograms(lines, document, times, rows);
    } else if (metric.key !== undefined) plain(lines, metric, told);
  }
  return `${lines.join('\n')}\n`;
}

function mostRead({ dataSets }: StatsDocument): StatsDocument['dataSets'] {
  return [...dataSets].sort((a, b) => b.opens + b.reads - a.opens - a.reads).slice(0, DATA_SETS_MAX);
}

function plain(lines: string[], metric: Metric, document: object): void {
  const samples = samplesOf(document, metric.key ?? '').filter(({ value }) => typeof value === 'number');
  if (samples.length === 0) return;
  head(lines, metric);
  for (const { label, value } of samples) {
    const shown = metric.label === undefined ? '' : labels({ [metric.label]: label ?? '' });
    lines.push(`${metric.name}${shown} ${number(value as number)}`);
  }
}

/** Bounds of the buckets: four times the one before, from 16 us to 17 s. Each is the end of a bucket of the table. */
const BOUNDS_US = Array.from({ length: 11 }, (_, i) => 16 * 4 ** i);

function histograms(lines: string[], { operations }: StatsDocument, times: LatencyTable, rows: OperationRows): void {
  const name = operationDuration.name;
  head(lines, operationDuration);
  for (const operation of Object.keys(operations)) {
    const row = rows.get(operation);
    if (row === undefined) continue;
    const counts = times.counts(row);
    let bucket = 0;
    let seen = 0;
    for (const bound of BOUNDS_US) {
      for (; bucket < counts.length && bucketEndMs(bucket) * 1000 <= bound; bucket++) seen += counts[bucket]!;
      lines.push(`${name}_bucket${labels({ operation, le: String(bound / 1e6) })} ${number(seen)}`);
    }
    for (; bucket < counts.length; bucket++) seen += counts[bucket]!;
    lines.push(`${name}_bucket${labels({ operation, le: '+Inf' })} ${number(seen)}`);
    lines.push(`${name}_sum${labels({ operation })} ${number(times.sum(row) / 1000)}`);
    lines.push(`${name}_count${labels({ operation })} ${number(seen)}`);
  }
}

function head(lines: string[], { name, kind, meaning }: Metric): void {
  lines.push(`# HELP ${name} ${meaning.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`, `# TYPE ${name} ${kind}`);
}

function labels(values: Record<string, string>): string {
  const pairs = Object.entries(values).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n').toWellFormed();
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
