/**
 * The benchmarks: `npm run bench -- [SUITE] [options]`.
 *
 *     (none)  every kind of work, beside the bare source, the local disk and peers: fifteen minutes; --quick: two
 *     WORK    one of them: sequential, strided, random, epochs, "half cached", shards, ... (bench/works)
 *     report  FILE...: the tables of results of these; --write puts them into docs/BENCHMARKS.md
 *     mount   what the mount costs over a source in memory; bindfs and the source itself beside it
 *     slow    two epochs from a slow store, with and without the overlay
 *     find    walks over a slow store: the first, the second, the first after a remount
 *     cache   what the cache is required to do: warm, too small, mapped, shared by jobs
 *     prefetch  what prefetching is required to do: orders in a file, epochs, jobs, a store that hangs
 *     micro   the hot functions by themselves, in nanoseconds
 *     soak    everything at once for long: whether memory, descriptors or timers grow
 *     million  a million small files: what the daemon holds, its longest pause, and a mount with a full index
 *     overhead  what telemetry, and recording a trace, cost: with and without them, in turn
 *
 *     --json FILE        the result with machine and versions
 *     --quick            less data; bounds are for the standard sizes
 *     --rounds N         interleaved rounds (works, mount: 3, slow: 1; overhead: 10 for each pair of daemons)
 *     --only TEXT        works, mount, cache, prefetch, overhead: those whose name contains TEXT
 *     --options LIST     cache, prefetch: more -o options of every mount, to compare with a run without them
 *     --dir DIR          where data are made (and removed): default the temporary directory
 *     --python PATH      one with torch and Pillow
 *     --cold             mount: drop the machine's caches before each measurement (root)
 *     --files N          million: how many (1,000,000); bounds are for that many
 *     --source DIR       million: files that are there already, instead of making them
 *     --minutes N        soak: for how long (30); overhead: telemetry, at most (4)
 *     --warm-up N        soak: minutes that count for nothing (a fifth of them all)
 *     --pause-ms N       soak: how long each kind of work rests between its rounds (20)
 *     --against REF      micro: fail when a benchmark is more than twice as slow as at REF ("merge-base" finds one)
 *     --latency MS, --bandwidth MB/s       the slow store that is the source (5, 200; --quick: 2, 400)
 *     --plain            works: the source is a local directory instead
 *     --peers all|installed|NAME,...       works: what else is measured (none)
 *     --resume           works: keep the figures of an earlier run with the same settings and code that did not end
 *     --bounds           works: exit with 1 when the overlay is far from what it should be
 *     --no-drop          works: never drop the machine's caches; figures that need it are left out
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { cacheSuite } from './cache/suite.ts';
import { findSuite } from './find/suite.ts';
import { isWork, runGeneral, runReport } from './general/command.ts';
import { microSuite } from './micro/suite.ts';
import { millionSuite } from './million/suite.ts';
import { mountSuite } from './mount/suite.ts';
import { overheadSuite } from './overhead/suite.ts';
import { prefetchSuite } from './prefetch/suite.ts';
import { slowSuite } from './slow/suite.ts';
import { soakSuite } from './soak/suite.ts';
import { type Scope, scoped } from './support/scope.ts';
import { parseSize } from './support/sizes.ts';
import type { StagedOptions } from './support/staged.ts';

const OPTIONS = {
  json: { type: 'string' },
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  only: { type: 'string' },
  options: { type: 'string' },
  dir: { type: 'string' },
  python: { type: 'string', default: '/usr/bin/python3' },
  cold: { type: 'boolean', default: false },
  latency: { type: 'string' },
  bandwidth: { type: 'string' },
  plain: { type: 'boolean', default: false },
  peers: { type: 'string', default: 'none' },
  resume: { type: 'boolean', default: false },
  bounds: { type: 'boolean', default: false },
  'no-drop': { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  against: { type: 'string' },
  minutes: { type: 'string' },
  'warm-up': { type: 'string' },
  'pause-ms': { type: 'string', default: '20' },
  files: { type: 'string', default: '1000000' },
  source: { type: 'string' },
} as const;

const { values, positionals } = parsed();

function parsed() {
  try {
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    console.error(`${(error as Error).message}\nThe options are in bench/main.ts and docs/BENCHMARKS.md.`);
    process.exit(2);
  }
}
const { python, quick } = values;
const directory = values.dir;

const suites: Readonly<Record<string, (scope: Scope) => Promise<object>>> = {
  mount: (scope) => {
    const rounds = Number(values.rounds ?? 3);
    return mountSuite(scope, { python, quick, rounds, only: values.only, directory, cold: values.cold });
  },
  micro: (scope) => {
    const { only, against } = values;
    return microSuite(scope, { quick, rounds: Number(values.rounds ?? 5), only, directory, against });
  },
  overhead: (scope) => {
    const rounds = Number(values.rounds ?? 10);
    const minutes = Number(values.minutes ?? 4);
    return overheadSuite(scope, { python, quick, rounds, minutes, only: values.only, directory });
  },
  soak: (scope) => {
    const minutes = Number(values.minutes ?? 30);
    const warmMinutes = Number(values['warm-up'] ?? minutes / 5);
    return soakSuite(scope, { python, minutes, warmMinutes, pauseMs: Number(values['pause-ms']), directory });
  },
  find: (scope) => {
    const latencyMs = Number(values.latency ?? 5);
    const bandwidth = parseSize(values.bandwidth ?? '200MB');
    return findSuite(scope, { quick, rounds: Number(values.rounds ?? 3), directory, latencyMs, bandwidth });
  },
  cache: (scope) => cacheSuite(scope, staged()),
  prefetch: (scope) => prefetchSuite(scope, staged()),
  million: (scope) => {
    return millionSuite(scope, { python, directory, files: Number(values.files), source: values.source });
  },
  slow: (scope) => {
    const latencyMs = Number(values.latency ?? 5);
    const bandwidth = parseSize(values.bandwidth ?? '200MB');
    return slowSuite(scope, { python, quick, rounds: Number(values.rounds ?? 1), directory, latencyMs, bandwidth });
  },
};

function staged(): StagedOptions {
  return {
    ...{ python, quick, directory },
    rounds: Number(values.rounds ?? 3),
    only: values.only,
    mountOptions: values.options === undefined ? [] : [values.options],
    latencyMs: Number(values.latency ?? 5),
    bandwidth: parseSize(values.bandwidth ?? '200MB'),
  };
}

const [name] = positionals;
const general = (scope: Scope): Promise<object> => runGeneral(scope, name, values);
const suite = name === undefined || isWork(name) ? general : suites[name];
if (name === 'report') {
  runReport(positionals.slice(1), values.write);
} else if (suite === undefined || positionals.length > 1) {
  const names = Object.keys(suites).join('|');
  console.error(`usage: npm run bench -- [WORK|${names}|report] [--json FILE] [--quick] (see bench/main.ts)`);
  process.exitCode = 1;
} else {
  await scoped(async (scope) => {
    const result = await suite(scope);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  });
}
