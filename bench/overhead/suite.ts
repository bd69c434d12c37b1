/**
 * `npm run bench -- overhead`: what looking on costs. Telemetry (telemetry.ts), and recording a trace (recording.ts), each on
 * mounts that are read with and without it in turn (support/paired.ts).
 */
import type { Bound } from '../support/bounds.ts';
import { watchInterference } from '../support/interference.ts';
import { type Estimate, type Round, shown } from '../support/paired.ts';
import { boundsTable, concluded } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { count, median, table } from '../support/table.ts';
import { Readers } from './readers.ts';
import { faults, type RecordingCost, recordingCost, traceRow } from './recording.ts';
import { type Cost, more, sides, telemetryCost } from './telemetry.ts';
import { makeWorks } from './works.ts';

export interface OverheadOptions {
  python: string;
  quick: boolean;
  /** Of each work, for each pair of daemons. */
  rounds: number;
  /** For telemetry, at most. */
  minutes: number;
  only: string | undefined;
  directory: string | undefined;
}

const PERCENT_MOST = 2;
const EVENTS = 1_000_000;
const EVENTS_QUICK = 30_000;
const RECORDING = 'recording a trace';

export async function overheadSuite(scope: Scope, options: OverheadOptions): Promise<object> {
  const directory = scope.directory(options.directory, 'ml-overlay-overhead-');
  const { source, works } = makeWorks(directory, options.quick);
  const readers = new Readers(scope, options.python);
  const wanted = (name: string): boolean => name.includes(options.only ?? '');
  const interference = watchInterference();
  const bounds: Bound[] = [];

  const { rounds, minutes } = options;
  const chosen = works.filter(({ name }) => wanted(name));
  const costs =
    chosen.length === 0
      ? []
      : await telemetryCost(scope, { source, directory, works: chosen, readers, rounds, minutes });
  for (const cost of costs) {
    if (cost.work.bounded) bounds.push(bound(`telemetry, ${cost.work.name}: processor time`, more(cost)));
  }
  if (costs.length > 0) console.log(`\n${table(TELEMETRY_HEADER, costs.map(costRow))}`);

  const events = options.quick ? EVENTS_QUICK : EVENTS;
  const recording = wanted(RECORDING)
    ? await recordingCost(scope, { source, directory, work: works[0]!, readers, events })
    : undefined;
  const wrong = recording === undefined ? [] : faults(recording);
  if (recording !== undefined) {
    bounds.push(bound(`${RECORDING}, small files: time`, recording.seconds));
    tellRecording(recording);
  }

  console.log(`\n${boundsTable(bounds)}`);
  for (const fault of wrong) console.log(`Wrong: ${fault}.`);
  if (wrong.length > 0) process.exitCode = 1;
  const telemetry = costs.map((cost) => ({ ...cost, estimate: more(cost) }));
  const ending = { suite: 'overhead', python: options.python, directory, bounds, interference };
  return concluded(ending, { sides, rounds, telemetry, recording, wrong });
}

function bound(what: string, { percent, low, high }: Estimate): Bound {
  return { what, value: percent, between: [low, high], atMost: PERCENT_MOST, unit: '%' };
}

const TELEMETRY_HEADER = ['daemon CPU', 'off', 'on', 'telemetry costs', 'rounds', 'daemons'];

function costRow(cost: Cost): string[] {
  const { work, groups } = cost;
  const estimate = more(cost);
  const us = (of: (round: Round) => number): string => `${median(groups.flat().map(of)).toFixed(2)} us/${work.unit}`;
  const taken = [String(estimate.rounds), String(2 * estimate.groups)];
  return [work.name, us(({ off }) => off), us(({ on }) => on), shown(estimate), ...taken];
}

function tellRecording({ seconds, cpu, filesPerSecond, traces }: RecordingCost): void {
  const { on, off } = filesPerSecond;
  console.log(`\n${table(['trace', 'lost', 'size', 'an event', 'shown in'], traces.map(traceRow))}`);
  console.log(
    `\nRecording, small files: ${count(on)} files/s, ${count(off)} without; ${shown(seconds)} more time, ${shown(cpu)} more ` +
      `of the daemon's processor time (${seconds.rounds} rounds of each half).`,
  );
}
