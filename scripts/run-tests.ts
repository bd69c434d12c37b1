/**
 * Format, lint, types, layers, then every test/**\/*.test.ts, each in a process of its own. Files that mount something
 * or measure time run one at a time, the others two at a time.
 *
 *     scripts/node scripts/run-tests.ts [--only TEXT] [--no-checks] [--verbose] [--coverage] [--bench] [FILE|DIRECTORY...]
 *
 * `--coverage` says at the end how much of src/ ran, and which of it did not. `--bench` ends with the microbenchmarks against
 * what the present state started from, and the quick benchmark with bounds that only a real loss crosses.
 * The last line is the sum: "N passed, N failed[, N skipped]". A check, a crash, a timeout and something left behind (a
 * mount, a process) count as one each.
 */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mounts } from '../bench/support/mounts.ts';
import { Coverage } from './coverage.ts';
import { clearLeftovers, type Traces } from './leftovers.ts';
import { type FileResult, limitOf, runFile } from './test-file.ts';

const root = resolve(import.meta.dirname, '..');
/** Twice and more what it takes on two cores: a slow machine is no failure, one that hangs is. */
const OVERALL_SECONDS = 60 * 60;
/** Folders whose tests mount, and single files that measure time: they would disturb each other's timing. */
const SERIAL = [
  ...['test/mount/', 'test/posix/', 'test/cli/', 'test/fuse/', 'test/fuse-native/'],
  ...['test/control/hostile', 'test/control/document', 'test/bench/micro'],
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    'no-checks': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
    bench: { type: 'boolean', default: false },
  },
});

const started = performance.now();
const run = `${process.pid}-${Date.now()}`;
const totals = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips: string[] = [];
let number = 0;
const coverage = values.coverage ? new Coverage(root) : undefined;

function fail(what: string): void {
  totals.failed++;
  failures.push(what);
}

function secondsLeft(): number {
  return OVERALL_SECONDS - (performance.now() - started) / 1000;
}

function node(args: string[], seconds: number): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    cwd: root,
    encoding: 'utf8',
    timeout: seconds * 1000,
    killSignal: 'SIGINT', // those that mount something clear up after themselves
  });
}

function check(name: string, args: string[]): void {
  const result = node(args, 180);
  const passed = result.status === 0;
  console.log(`${passed ? 'ok     ' : 'FAILED '} ${name}`);
  if (passed) {
    totals.passed++;
    return;
  }
  fail(name);
  console.log(`${result.stdout}${result.stderr}`.trimEnd());
}

/**
 * A benchmark with bounds. A machine that others use can look like a regression for a while: what fails is run once more,
 * and one that comes to no end in its time, or for which the tests have left none, is skipped with that reason.
 */
function benchmark(name: string, args: string[], seconds: number): void {
  const outcome = secondsLeft() < seconds ? 'there is no time left for it' : judged(args, seconds);
  if (typeof outcome === 'string') {
    totals.skipped++;
    skips.push(`${name}: ${outcome}`);
    return;
  }
  console.log(`${outcome ? 'ok     ' : 'FAILED '} ${name}`);
  if (outcome) totals.passed++;
  else fail(name);
}

/** Whether it passed, or why that cannot be said. */
function judged(args: string[], seconds: number): boolean | string {
  for (let attempt = 1; attempt <= 2 && secondsLeft() > seconds; attempt++) {
    const result = node(args, seconds);
    console.log(`${result.stdout}${result.stderr}`.trimEnd());
    // Of one that had nothing to compare with, as in a shallow clone.
    const unfit = /^Not compared .*/m.exec(result.stdout)?.[0];
    if (result.status === 0) return unfit ?? true;
    if (result.error !== undefined) return `no end within ${seconds} s: the machine is too slow for it now`;
  }
  return false;
}

function report(result: FileResult): void {
  const name = relative(root, result.file);
  const passed = result.tests.filter((test) => test.passed && test.skipped === undefined);
  const failed = result.tests.filter((test) => !test.passed);
  const skipped = result.tests.filter((test) => test.skipped !== undefined);
  totals.passed += passed.length;
  totals.skipped += skipped.length;
  for (const test of failed) {
    fail(`${name}: ${test.name}${test.error === undefined ? '' : `\n    ${test.error.replaceAll('\n', '\n    ')}`}`);
  }
  for (const complaint of result.complaints) fail(`${name}: ${complaint}`);
  for (const test of skipped) skips.push(`${name}: ${test.name}: ${test.skipped}`);
  const good = failed.length === 0 && result.complaints.length === 0;
  const counts = `${passed.length} passed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`;
  console.log(`${good ? 'ok     ' : 'FAILED '} ${name}  (${counts}, ${result.seconds.toFixed(1)} s)`);
  if (!good || values.verbose) console.log(result.output.trimEnd().replace(/^/gm, '    '));
  for (const complaint of result.complaints) console.log(`    ${complaint}`);
}

/** Test files under way. */
const under = new Set<Traces>();

async function runOne(file: string): Promise<void> {
  const left = secondsLeft();
  if (left < 5) {
    fail(`${relative(root, file)}: not run: the ${OVERALL_SECONDS / 60} minutes for all tests are over`);
    return;
  }
  // Short: the paths of Unix sockets in it end at 107 bytes. Open to all: some tests act as another user.
  const directory = mkdtempSync(join(tmpdir(), 't-'));
  chmodSync(directory, 0o755);
  const traces = { mark: `${run}-${number++}`, directory };
  under.add(traces);
  const ran = coverage?.directory();
  const result = await runFile(file, traces, Math.min(limitOf(file), left), ran);
  result.complaints.push(...(await clearUp(traces)));
  if (ran !== undefined) coverage?.take(ran);
  report(result);
}

async function clearUp(traces: Traces): Promise<string[]> {
  const complaints = await clearLeftovers(traces);
  under.delete(traces);
  if (!mounts().some((mount) => mount.mountpoint.startsWith(`${traces.directory}/`))) {
    rmSync(traces.directory, { recursive: true, force: true, maxRetries: 3 });
  }
  return complaints;
}

async function runAll(files: string[], lanes: number): Promise<void> {
  const waiting = [...files];
  const lane = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await runOne(file);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** The test files that a path stands for; a file stands for itself. Ends with an error where there are none. */
function testFiles(path: string): string[] {
  const place = resolve(root, path);
  const found = statSync(place, { throwIfNoEntry: false });
  if (found?.isFile()) return [place];
  const files = found === undefined ? [] : globSync('**/*.test.ts', { cwd: place }).sort();
  if (files.length > 0) return files.map((file) => join(place, file));
  console.error(`${path}: ${found === undefined ? 'there is no such file or directory' : 'no tests are below it'}`);
  process.exit(2);
}

/** One with torch, where the project made itself such. */
function python(): string {
  const own = join(root, '.bench/venv/bin/python');
  return existsSync(own) ? own : '/usr/bin/python3';
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: clearing up`);
    coverage?.clear();
    void Promise.all([...under].map(clearUp)).then(() => process.exit(130));
  });
}

if (!values['no-checks']) {
  const biome = 'node_modules/.bin/biome';
  check('format', [biome, 'format', '.']);
  check('lint', [biome, 'lint', '--error-on-warnings', '.']);
  check('types', ['node_modules/.bin/tsc', '--noEmit', '-p', 'tsconfig.json']);
  check('layers', ['scripts/check-layers.ts']);
}

const wanted = (positionals.length > 0 ? positionals : ['test']).flatMap(testFiles);
const files = [...new Set(wanted)].filter((file) => file.includes(values.only ?? ''));
const serial = files.filter((file) => SERIAL.some((folder) => file.startsWith(join(root, folder))));
await runAll(
  files.filter((file) => !serial.includes(file)),
  2,
);
await runAll(serial, 1);

if (values.bench) {
  const bench = 'bench/main.ts';
  benchmark(
    'microbenchmarks, against what this started from',
    [bench, 'micro', '--against', 'merge-base', '--quick'],
    300,
  );
  benchmark('benchmark, quick', [bench, '--quick', '--rounds', '1', '--bounds', '--python', python()], 400);
}

if (skips.length > 0) console.log(`\nSkipped:\n${skips.map((skip) => `  ${skip}`).join('\n')}`);
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((failure) => `  ${failure}`).join('\n')}`);
if (coverage !== undefined) console.log(`\n${coverage.report()}`);
const minutes = (performance.now() - started) / 60_000;
console.log(`\n${files.length} files in ${minutes.toFixed(1)} minutes`);
const skippedToo = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skippedToo}`);
process.exitCode = totals.failed === 0 ? 0 : 1;
