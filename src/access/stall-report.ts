/** What the stall meter tells of what it measured: figures, and sentences for a person. */
import type { ReadingProcess } from './processes.ts';
import { NO_STALL, type ProcessSnapshot, type StallSnapshot } from './snapshot.ts';
import type { ConsumerSamples } from './stall-consumer.ts';
import type { WaitTotals } from './stall-totals.ts';

/** One pass over the data, that has ended. */
export interface EndedEpoch {
  seconds: number;
  totals: WaitTotals;
  consumed: ConsumerSamples;
}

export interface Measured {
  /** All epochs of the job that runs. */
  run: WaitTotals;
  consumed: ConsumerSamples;
  /** Their pids. */
  consumers: number[];
  /** Since the epoch that goes on has begun. */
  seconds: number;
  epoch: number;
  ended: EndedEpoch | undefined;
  processes: ProcessSnapshot[];
}

/** A look at a file or two is no job whose waiting means anything. */
const ACTIVE_LEAST_MS = 1000;
/** Less than this share of waiting is not worth a remedy. */
const WORTH_TELLING = 0.05;

export function processSnapshots(
  processes: Iterable<ReadingProcess>,
  unfinished: ReadonlyMap<ReadingProcess, WaitTotals>,
): ProcessSnapshot[] {
  const told: ProcessSnapshot[] = [];
  for (const process of processes) {
    if (process.opens + process.reads === 0) continue;
    const totals = unfinished.get(process) ?? process.totals;
    told.push({
      pid: process.pid,
      command: process.command,
      threads: process.threadsEver,
      opens: process.opens,
      reads: process.reads,
      readBytes: process.readBytes,
      activeSeconds: Math.max(0, process.lastMs - process.firstMs) / 1000,
      waitSeconds: totals.waitMs / 1000,
      // Threads that cannot be told apart have no order of requests, and nobody knows how many they are.
      stallShare: process.nameless ? null : totals.share,
      estimated: process.pid === null || totals.estimated,
    });
  }
  return told.sort((a, b) => b.waitSeconds - a.waitSeconds);
}

interface Shares {
  share: number | null;
  au: number | null;
  firstReadShare: number | null;
}

/** Of the job: its consumer's, where it has one that can be seen, else its readers'. */
function sharesOf(totals: WaitTotals, consumed: ConsumerSamples): Shares {
  const readers = totals.share;
  const share = consumed.consumes === false ? readers : consumed.share;
  return { share, au: share === null ? null : 1 - share, firstReadShare: totals.firstShare };
}

export function stallSnapshot(measured: Measured): StallSnapshot {
  const { run, consumed, ended, processes } = measured;
  if (run.activeMs < ACTIVE_LEAST_MS || processes.length === 0) return NO_STALL;
  const shares = sharesOf(run, consumed);
  return {
    ...shares,
    readersShare: run.share,
    lastEpoch:
      ended === undefined
        ? null
        : { seconds: ended.seconds, ...sharesOf(ended.totals, ended.consumed), cachedSeconds: cachedSeconds(ended) },
    estimated: consumed.share !== null || run.estimated,
    sentences: sentences(measured, shares),
  };
}

/**
 * How long the epoch would have taken with everything in the cache: what its readers need without the waiting that this
 * spares, or what the consumer computes, whichever is more.
 */
export function cachedSeconds({ seconds, totals, consumed }: EndedEpoch): number {
  const { share, cachedShare, idleShare } = totals;
  const spared = (share ?? 0) * (1 - cachedShare);
  const readers = seconds * Math.max(0, 1 - spared - (consumed.share === null ? 0 : idleShare));
  const consumer = consumed.share === null ? 0 : seconds * (1 - consumed.share);
  return Math.min(seconds, Math.max(readers, consumer));
}

function sentences(measured: Measured, shares: Shares): string[] {
  const { ended, consumers, consumed, processes, run } = measured;
  const { share, firstReadShare } = ended === undefined ? shares : sharesOf(ended.totals, ended.consumed);
  if (share === null) return [];
  const period = ended === undefined ? 'its time' : 'the last epoch';
  const told: string[] = [];
  let text = `${subject(measured)} waited ${percent(share)} of ${period} for data`;
  if (share >= WORTH_TELLING) {
    if (firstReadShare !== null) text += `; ${percent(firstReadShare)} of it in first reads of files`;
    if (ended !== undefined) {
      const cached = cachedSeconds(ended);
      if (cached < ended.seconds * (1 - WORTH_TELLING)) {
        text += `; with the data set cached the epoch would take about ${seconds(cached)} s instead of ${seconds(ended.seconds)}`;
      }
    }
  }
  told.push(text);
  if (consumed.share !== null && consumers.length > 0) {
    const readers = run.share ?? 0;
    if (share < WORTH_TELLING)
      told.push(`its readers waited ${percent(readers)} of their time, and were early enough nevertheless`);
    else if (readers < share / 2) {
      told.push(
        `its readers waited only ${percent(readers)} of their time for data: what they do with it takes longer`,
      );
    }
  }
  if (processes.some(({ pid, stallShare }) => pid === null && stallShare === null)) {
    told.push('some readers live where their processes cannot be seen: their waiting is not in these figures');
  }
  return told;
}

function subject({ consumers, consumed: now, ended, processes }: Measured): string {
  const consumed = ended?.consumed ?? now; // of the period that is told of
  if (consumed.share !== null && consumers.length === 1) return `process ${consumers[0]}`;
  if (consumed.share !== null) return `${consumers.length} processes`;
  const readers = processes.filter(({ pid }) => pid !== null);
  if (readers.length === 0) return 'readers whose processes cannot be seen';
  return readers.length === 1 ? `process ${readers[0]!.pid}` : `${readers.length} processes`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function seconds(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
