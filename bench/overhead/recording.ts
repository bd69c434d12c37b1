/**
 * What recording a trace of a million events costs: two mounts alike, of which one is recorded, read in turn; then the other
 * one is recorded. Of each two rounds in the same place of both halves the geometric mean counts: which daemon was recorded, and
 * is the faster one by chance, cancels out. Then each trace is shown, and has to hold what was done.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RecordingSnapshot } from '../../src/access/recording.ts';
import { callDaemon } from '../../src/control/client.ts';
import { findRecord, runtimeDirectory } from '../../src/control/registry.ts';
import { mountOverlay, type OverlayMount, overlayCommand } from '../support/overlay-mount.ts';
import { type Estimate, estimate, type Round, takeRound } from '../support/paired.ts';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { cpuMicroseconds } from './processor.ts';
import type { Readers } from './readers.ts';
import { SERVED } from './telemetry.ts';
import type { Work } from './works.ts';

/** An open, one READ and a release of each file. */
const EVENTS_A_FILE = 3;
const WARM_PASSES = 6;
const MIB = 2 ** 20;

export interface RecordingOptions {
  source: string;
  directory: string;
  /** Of files that one READ brings. */
  work: Work;
  readers: Readers;
  /** Of each of the two traces, at least. */
  events: number;
}

export interface RecordingCost {
  /** Of the time a pass over the files takes, and of the daemon's processor time; a round is of both halves. */
  seconds: Estimate;
  cpu: Estimate;
  /** Of the sides, files a second. */
  filesPerSecond: Round;
  traces: Trace[];
}

interface Trace {
  events: number;
  lost: number;
  bytes: number;
  /** What `trace show --summary` took, and found. */
  showSeconds: number;
  shownEvents: number;
  /** As the readers did it. */
  opens: number;
  shownOpens: number;
}

interface Half {
  trace: Trace;
  seconds: Round[];
  cpu: Round[];
}

export async function recordingCost(scope: Scope, options: RecordingOptions): Promise<RecordingCost> {
  const mounts: OverlayMount[] = [];
  for (const name of ['first', 'second']) {
    const path = join(options.directory, name);
    mkdirSync(path);
    mounts.push(await mountOverlay(scope, options.source, path, SERVED));
  }
  const [first, second] = mounts as [OverlayMount, OverlayMount];
  const halves = [await half(options, first, second), await half(options, second, first)] as const;
  for (const mount of mounts) await mount.unmount();
  const passes = halves.flatMap(({ seconds }) => seconds);
  const rate = (of: (round: Round) => number): number =>
    (options.work.units * passes.length) / passes.reduce((sum, round) => sum + of(round), 0);
  return {
    seconds: crossed(halves[0].seconds, halves[1].seconds),
    cpu: crossed(halves[0].cpu, halves[1].cpu),
    filesPerSecond: { on: rate(({ on }) => on), off: rate(({ off }) => off) },
    traces: halves.map(({ trace }) => trace),
  };
}

function crossed(one: readonly Round[], other: readonly Round[]): Estimate {
  const ratios = one.map(({ on, off }, at) => Math.sqrt((on / off) * (other[at]!.on / other[at]!.off)));
  return estimate([ratios]);
}

async function half(options: RecordingOptions, on: OverlayMount, off: OverlayMount): Promise<Half> {
  const { work, readers } = options;
  const mounts = { on, off };
  for (let pass = 0; pass < WARM_PASSES; pass++) {
    for (const { mountpoint } of [on, off]) await readers.read(work, mountpoint);
  }
  const pids = { on: on.pids(), off: off.pids() };
  const file = join(options.directory, `${on.mountpoint.split('/').at(-1)}.trace`);
  await traceOf(on, { action: 'start', file });
  const seconds: Round[] = [];
  const cpu: Round[] = [];
  const rounds = Math.ceil(options.events / (EVENTS_A_FILE * 2 * work.units));
  for (let turn = 0; turn < rounds; turn++) {
    const took: Round = { on: 0, off: 0 };
    const used = await takeRound(turn, async (side) => {
      const before = await cpuMicroseconds(pids[side]);
      took[side] += (await readers.read(work, mounts[side].mountpoint)).seconds / 2;
      return ((await cpuMicroseconds(pids[side])) - before) / work.units;
    });
    seconds.push(took);
    cpu.push(used);
  }
  const { events, lost } = await traceOf(on, { action: 'stop' });
  return { seconds, cpu, trace: { events, lost, ...(await shown(file)), opens: rounds * 2 * work.units } };
}

async function shown(file: string): Promise<Omit<Trace, 'events' | 'lost' | 'opens'>> {
  const { stdout, seconds } = await must(overlayCommand, ['trace', 'show', file, '--summary', '--json']);
  const { events, opens } = JSON.parse(stdout) as { events: number; opens: number };
  return { bytes: statSync(file).size, showSeconds: seconds, shownEvents: events, shownOpens: opens };
}

async function traceOf({ mountpoint }: OverlayMount, body: object): Promise<RecordingSnapshot> {
  const record = findRecord(runtimeDirectory(), mountpoint);
  if (record === undefined) throw new Error(`no record of the mount at ${mountpoint}`);
  const answer = await callDaemon(record.socket, 'POST', '/trace', { body, timeoutMs: 30_000 });
  return (answer as unknown as { recording: RecordingSnapshot }).recording;
}

/** What is wrong with the traces, one sentence each. */
export function faults({ traces }: RecordingCost): string[] {
  return traces.flatMap((trace, at) => {
    const { events, lost, shownEvents, opens, shownOpens } = trace;
    const wrong: string[] = [];
    if (shownEvents !== events) wrong.push(`${events} events were recorded and ${shownEvents} are shown`);
    if (lost > 0) wrong.push(`${lost} events were lost: the disk was too slow`);
    else if (shownOpens !== opens) wrong.push(`${opens} files were opened and ${shownOpens} opens are shown`);
    return wrong.map((what) => `trace ${at + 1}: ${what}`);
  });
}

export function traceRow({ events, bytes, showSeconds, lost }: Trace): string[] {
  const each = `${(bytes / events).toFixed(1)} bytes`;
  return [
    events.toLocaleString('en-US'),
    String(lost),
    `${(bytes / MIB).toFixed(1)} MiB`,
    each,
    `${showSeconds.toFixed(1)} s`,
  ];
}
