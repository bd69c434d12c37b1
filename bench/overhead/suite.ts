/**
 * `npm run bench -- overhead`: what looking on costs. The same work on mounts with and without telemetry, in turn; what is
 * compared is the daemon's processor time an operation, of which both readers and neighbours take nothing.
 *
 * A round is one sample of each side, in alternating order; its figure is their ratio. The daemons are started anew several
 * times, since where a process' code and data come to lie moves such figures by a percent or two.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Bound, boundRow, holds } from '../support/bounds.ts';
import { makeFiles } from '../support/images.ts';
import { watchInterference } from '../support/interference.ts';
import { scripts } from '../support/loader.ts';
import { fileSystemOf, machine } from '../support/machine.ts';
import { mountOverlay, type OverlayMount } from '../support/overlay-mount.ts';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { median, table } from '../support/table.ts';

export interface OverheadOptions {
  python: string;
  quick: boolean;
  /** For each of the pairs of mounts. */
  rounds: number;
  only: string | undefined;
  directory: string | undefined;
}

const PERCENT_MOST = 2;
const PAIRS = 3;
/** Enough that a request is always waiting: a daemon without one looks for the next for a while, which is not work. */
const READERS = 4;
/** Every open asks the daemon for everything. */
const SERVED = ['--cache', 'none', '-o', 'ro', '-o', 'disable=passthrough', '-o', 'disable=keep-cache'];
const sides = { on: SERVED, off: [...SERVED, '-o', 'telemetry=off'] } as const;
type Side = keyof typeof sides;

interface Work {
  name: string;
  /** Of the source; read one after the other. */
  paths: string[];
  /** What is counted: files, or MiB. */
  unit: string;
  units: number;
  arguments: string[];
  /** Whether telemetry must not cost more than PERCENT_MOST here. */
  bounded: boolean;
}

interface Figure {
  name: string;
  unit: string;
  bounded: boolean;
  /** Processor microseconds a unit, a sample each. */
  on: number[];
  off: number[];
  /** on / off of each round. */
  ratios: number[];
}

export async function overheadSuite(scope: Scope, options: OverheadOptions): Promise<object> {
  const work = scope.directory(options.directory, 'ml-overlay-overhead-');
  const source = join(work, 'source');
  const works = makeWork(source, options.quick).filter(({ name }) => name.includes(options.only ?? ''));
  const figures: Figure[] = works.map(({ name, unit, bounded }) => ({
    name,
    unit,
    bounded,
    on: [],
    off: [],
    ratios: [],
  }));
  const interference = watchInterference();
  for (let pair = 1; pair <= PAIRS; pair++) {
    const mounts = {} as Record<Side, OverlayMount>;
    for (const side of pair % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
      const path = join(work, `${side}-${pair}`);
      mkdirSync(path);
      mounts[side] = await mountOverlay(scope, source, path, [...sides[side]]);
    }
    for (const [at, what] of works.entries()) await takePair(options, work, what, mounts, figures[at]!);
    console.log(`  mounts ${pair} of ${PAIRS}: ${figures.map(brief).join('; ')}`);
    await mounts.on.unmount();
    await mounts.off.unmount();
  }

  const header = ['daemon CPU', 'off', 'on', 'difference', '95 % of medians'];
  console.log(`\n${table(header, figures.map(row))}`);
  const bounds: Bound[] = figures
    .filter(({ bounded }) => bounded)
    .map((figure) => ({ what: figure.name, value: percentMore(figure), atMost: PERCENT_MOST, unit: '%' }));
  console.log(`\n${table(['telemetry on against off', 'measured', 'required', ''], bounds.map(boundRow))}`);
  const disturbed = interference();
  for (const warning of disturbed) console.log(`Note: ${warning}.`);
  if (bounds.some((bound) => holds(bound) === false)) process.exitCode = 1;
  return {
    suite: 'overhead',
    machine: machine(options.python),
    fileSystem: fileSystemOf(work),
    disturbed,
    sides,
    pairs: PAIRS,
    rounds: options.rounds,
    figures: figures.map((figure) => ({ ...figure, percent: percentMore(figure), interval: interval(figure.ratios) })),
    bounds: bounds.map((bound) => ({ ...bound, holds: holds(bound) })),
  };
}

function makeWork(source: string, quick: boolean): Work[] {
  const files = quick ? 500 : 2000;
  const repeats = 6; // readers live as long as those of a job: each new process costs a look at it
  const listed = (folder: string): string[] => {
    const root = join(source, folder);
    const names = readdirSync(root).flatMap((name) =>
      readdirSync(join(root, name)).map((file) => join(folder, name, file)),
    );
    return Array.from({ length: repeats }, () => names).flat();
  };
  makeFiles(join(source, 'small'), files, 10);
  makeFiles(join(source, 'tiny'), files, 10, 4096);
  const megabytes = quick ? 32 : 256;
  const noise = randomBytes(1 << 20);
  const large = Array.from({ length: READERS }, (_, number) => `large-${number}`);
  for (const name of large) {
    const fd = openSync(join(source, name), 'w');
    for (let at = 0; at < megabytes; at++) writeSync(fd, noise);
    closeSync(fd);
  }
  const small = ['--readers', String(READERS)];
  return [
    {
      name: 'small files',
      paths: listed('small'),
      unit: 'file',
      units: files * repeats,
      arguments: small,
      bounded: true,
    },
    {
      name: 'sequential',
      paths: large,
      unit: 'MiB',
      units: READERS * megabytes,
      arguments: ['--readers', String(READERS), '--buffer', String(1 << 20)],
      bounded: true,
    },
    // Nothing but opening: the most that telemetry can be seen by. For orientation.
    {
      name: 'files of 4 KiB',
      paths: listed('tiny'),
      unit: 'file',
      units: files * repeats,
      arguments: small,
      bounded: false,
    },
  ];
}

async function takePair(
  options: OverheadOptions,
  directory: string,
  what: Work,
  mounts: Readonly<Record<Side, OverlayMount>>,
  figure: Figure,
): Promise<void> {
  const list = join(directory, 'list');
  for (let round = 0; round <= options.rounds; round++) {
    const taken = { on: 0, off: 0 };
    for (const side of round % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
      const mount = mounts[side];
      writeFileSync(list, `${what.paths.map((path) => join(mount.mountpoint, path)).join('\n')}\n`);
      const before = cpuMicroseconds(mount.pids());
      await must(options.python, [scripts.readFiles, list, '--seed', String(round), ...what.arguments]);
      taken[side] = (cpuMicroseconds(mount.pids()) - before) / what.units;
    }
    if (round === 0) continue; // names are looked up, code is compiled
    figure.on.push(taken.on);
    figure.off.push(taken.off);
    figure.ratios.push(taken.on / taken.off);
  }
}

/** User and system time so far of every thread. The scheduler counts in nanoseconds; /proc/PID/stat in ticks of 10 ms. */
function cpuMicroseconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    }
  }
  return nanoseconds / 1000;
}

function percentMore({ ratios }: Figure): number {
  return (median(ratios) - 1) * 100;
}

/** Within which the median lies with 95 % certainty, in percent: order statistics, no distribution assumed. */
function interval(ratios: readonly number[]): [number, number] {
  const sorted = [...ratios].sort((a, b) => a - b);
  const half = 0.98 * Math.sqrt(sorted.length); // 1.96 standard deviations of a binomial of one half
  const at = (index: number): number =>
    ((sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(index)))] ?? Number.NaN) - 1) * 100;
  return [at(sorted.length / 2 - half - 0.5), at(sorted.length / 2 + half - 0.5)];
}

function brief(figure: Figure): string {
  return `${figure.name} ${percentMore(figure).toFixed(1)} %`;
}

function row(figure: Figure): string[] {
  const [low, high] = interval(figure.ratios);
  const us = (values: number[]): string => `${median(values).toFixed(2)} us/${figure.unit}`;
  const difference = `${percentMore(figure).toFixed(1)} %`;
  return [figure.name, us(figure.off), us(figure.on), difference, `${low.toFixed(1)} to ${high.toFixed(1)} %`];
}
