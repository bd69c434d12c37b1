/** The general suite and `report` as commands: what their options mean. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { choosePeers } from '../peers/index.ts';
import { anyMissed, boundsTable } from '../support/result.ts';
import type { Scope } from '../support/scope.ts';
import { parseSize } from '../support/sizes.ts';
import { type Work, works } from '../works/index.ts';
import { boundsOf } from './bounds.ts';
import { markerOf, report, writeReport } from './report.ts';
import type { Result, SourceSays } from './result.ts';
import { generalSuite } from './suite.ts';

export interface GeneralValues {
  peers: string;
  quick: boolean;
  rounds?: string | undefined;
  latency?: string | undefined;
  bandwidth?: string | undefined;
  plain: boolean;
  only?: string | undefined;
  dir?: string | undefined;
  python: string;
  resume: boolean;
  bounds: boolean;
  'no-drop': boolean;
}

/** Names of works are suites too: "epochs", "sequential". */
export const isWork = (name: string): boolean => works.some((work) => work.name === name);

export function chooseWorks(name: string | undefined, only: string | undefined): Work[] {
  const chosen = works.filter((work) => (name === undefined || work.name === name) && work.name.includes(only ?? ''));
  if (chosen.length === 0) throw new Error(`no such work (there are ${works.map((work) => work.name).join(', ')})`);
  return chosen;
}

/** Quick runs have fewer bytes to move, so their link is wider: the shares of latency and bandwidth stay alike. */
export function chooseSource(values: Pick<GeneralValues, 'plain' | 'quick' | 'latency' | 'bandwidth'>): SourceSays {
  if (values.plain) return { kind: 'plain' };
  const latencyMs = Number(values.latency ?? (values.quick ? 2 : 5));
  const bandwidth = megabytes(values.bandwidth ?? (values.quick ? '400' : '200'));
  if (!(latencyMs >= 0) || !(bandwidth > 0)) throw new Error('--latency: milliseconds; --bandwidth: MB/s');
  return { kind: 'slow', latencyMs, bandwidth };
}

/** "200" is MB/s, "200MB" and "1GiB" are what they say. */
function megabytes(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1e6 : parseSize(text);
}

export async function runGeneral(scope: Scope, name: string | undefined, values: GeneralValues): Promise<Result> {
  const result = await generalSuite(scope, {
    works: chooseWorks(name, values.only),
    peers: choosePeers(values.peers),
    python: values.python,
    quick: values.quick,
    rounds: Number(values.rounds ?? 3),
    source: chooseSource(values),
    directory: values.dir,
    resume: values.resume,
    mayDrop: process.getuid?.() === 0 && !values['no-drop'],
  });
  console.log(`\n${report(result)}`);
  const failed = result.cells.filter(({ system, failed }) => failed !== undefined && system === 'overlay');
  if (failed.length > 0) process.exitCode = 1;
  if (values.bounds) {
    const bounds = boundsOf(result);
    console.log(boundsTable(bounds));
    if (anyMissed(bounds)) process.exitCode = 1;
  }
  return result;
}

/** `report FILE... [--write]`: the tables of results; into docs/BENCHMARKS.md, each at its place. */
export function runReport(files: readonly string[], write: boolean): void {
  const document = resolve(import.meta.dirname, '../../docs/BENCHMARKS.md');
  if (files.length === 0) throw new Error('usage: npm run bench -- report FILE... [--write]');
  for (const file of files) {
    const result = JSON.parse(readFileSync(file, 'utf8')) as Result;
    if (result.suite !== 'general') throw new Error(`${file} is no result of the general suite`);
    const text = report(result);
    if (write) writeReport(document, markerOf(result), text);
    else console.log(text);
  }
}
