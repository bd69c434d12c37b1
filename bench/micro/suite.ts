/**
 * `npm run bench -- micro [--against REF]`: the hot functions by themselves, in nanoseconds.
 *
 * Each round is a fresh process a tree, the trees in turn, so that both meet the same machine; the best round of each
 * counts, since noise only ever adds. What then looks more than twice as slow is measured again before it is called so.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileSystemOf, machine } from '../support/machine.ts';
import { must } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import { percent, spread, table } from '../support/table.ts';
import { type Against, checkOut } from './against.ts';
import type { Taken } from './bench.ts';
import { micros } from './benches/index.ts';

export interface MicroOptions {
  quick: boolean;
  rounds: number;
  /** Only benchmarks whose name contains this. */
  only: string | undefined;
  directory: string | undefined;
  /** Compare with this commit; 'merge-base' finds what the present one started from. */
  against: string | undefined;
}

/** Slower than this many times the other tree fails. */
const SLOWER_MOST = 2;
const MORE_ROUNDS = 4;
const SECONDS_MOST = 300;

interface Tree {
  root: string;
  /** By benchmark, a figure a round, in ns an operation. */
  values: Map<string, number[]>;
  reasons: Map<string, string>;
}

export interface Compared {
  name: string;
  /** ns an operation: the best round, and every one. */
  ns: number | undefined;
  values: number[];
  reason?: string | undefined;
  /** The other tree's, and ours as a multiple of it. */
  before?: number | undefined;
  ratio?: number | undefined;
  beforeReason?: string | undefined;
}

export interface MicroResult {
  /** What was compared with, or why nothing was. */
  against: Against | null;
  results: Compared[];
  /** Benchmarks that failed: without a figure, or slower than they may be. */
  failed: string[];
}

/** `root`: the checkout that is measured; tests give another than this one. */
export async function microSuite(
  scope: Scope,
  options: MicroOptions,
  root = resolve(import.meta.dirname, '../..'),
): Promise<MicroResult> {
  const work = scope.directory(options.directory ?? memoryDirectory(), 'ml-overlay-micro-');
  const names = micros.map(({ name }) => name).filter((name) => name.includes(options.only ?? ''));
  if (names.length === 0) throw new Error(`no microbenchmark is called "${options.only}"`);
  const ours: Tree = { root, values: new Map(), reasons: new Map() };
  const against = options.against === undefined ? undefined : checkOut(scope, root, options.against);
  if (against !== undefined && 'reason' in against)
    console.log(`Not compared with ${options.against}: ${against.reason}.`);
  const before: Tree | undefined =
    against === undefined || 'reason' in against
      ? undefined
      : { root: against.root, values: new Map(), reasons: new Map() };
  if (against !== undefined && 'commit' in against) console.log(`compared with ${against.commit}`);

  const trees = before === undefined ? [ours] : [before, ours];
  const take = async (which: readonly string[], rounds: number, milliseconds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      for (const tree of round % 2 === 0 ? trees : trees.toReversed()) {
        await takeOnce(tree, join(work, 'run'), milliseconds, which);
      }
    }
  };
  await take(names, options.rounds, options.quick ? 30 : 80);
  const doubtful = slower(compare(names, ours, before));
  if (doubtful.length > 0) {
    console.log(`measuring again: ${doubtful.join('; ')}`);
    await take(doubtful, MORE_ROUNDS, 150);
  }
  const results = compare(names, ours, before);
  console.log(`\n${table(['', 'ns', 'spread', ...(before ? ['before', 'ratio', ''] : [])], results.map(row))}`);
  for (const { name, reason, beforeReason } of results) {
    if (reason !== undefined) console.log(`Failed: ${name}: ${reason}`);
    else if (beforeReason !== undefined) console.log(`Skipped: ${name}: the other tree: ${beforeReason}`);
  }
  const failed = [...results.filter(({ reason }) => reason !== undefined).map(({ name }) => name), ...slower(results)];
  if (failed.length > 0) process.exitCode = 1;
  return {
    suite: 'micro',
    machine: machine(undefined),
    fileSystem: fileSystemOf(work),
    rounds: options.rounds,
    against: against ?? null,
    slowerMost: SLOWER_MOST,
    results,
    failed,
  } as MicroResult;
}

async function takeOnce(tree: Tree, directory: string, milliseconds: number, names: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const worker = join(import.meta.dirname, 'worker.ts');
  const args = ['--disable-warning=ExperimentalWarning', worker, tree.root, directory, String(milliseconds), ...names];
  await must(process.execPath, args, {
    timeoutSeconds: SECONDS_MOST,
    onLine: (line) => {
      const { name, ns, reason } = JSON.parse(line) as Taken;
      if (reason !== undefined) tree.reasons.set(name, reason);
      if (ns === undefined) return;
      const values = tree.values.get(name);
      if (values === undefined) tree.values.set(name, [ns]);
      else values.push(ns);
    },
  });
}

function best(tree: Tree | undefined, name: string): number | undefined {
  const values = tree?.values.get(name);
  return values === undefined ? undefined : Math.min(...values);
}

function compare(names: readonly string[], ours: Tree, before: Tree | undefined): Compared[] {
  return names.map((name) => {
    const ns = best(ours, name);
    const was = best(before, name);
    return {
      name,
      ns,
      values: ours.values.get(name) ?? [],
      reason: ours.reasons.get(name),
      before: was,
      ratio: ns === undefined || was === undefined ? undefined : ns / was,
      beforeReason: before?.reasons.get(name),
    };
  });
}

function tooSlow({ name, ns, ratio }: Compared): boolean {
  if (ns === undefined || ratio === undefined || ratio <= SLOWER_MOST) return false;
  return ns > (micros.find((micro) => micro.name === name)?.budgetNs ?? 0);
}

function slower(results: readonly Compared[]): string[] {
  return results.filter(tooSlow).map(({ name }) => name);
}

function row(compared: Compared): string[] {
  const { name, ns, values, before, ratio } = compared;
  const figure = (value: number | undefined): string =>
    value === undefined ? '-' : value.toFixed(value < 100 ? 1 : 0);
  const verdict = ratio === undefined ? 'skipped' : tooSlow(compared) ? 'FAILED' : 'ok';
  const spreadOf = values.length < 2 ? '-' : percent(spread(values));
  return [name, figure(ns), spreadOf, figure(before), ratio?.toFixed(2) ?? '-', verdict];
}

/** In memory, so that no disk is measured. */
function memoryDirectory(): string {
  return existsSync('/dev/shm') && fileSystemOf('/dev/shm') === 'tmpfs' ? '/dev/shm' : tmpdir();
}
