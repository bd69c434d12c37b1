/** What the tests of the command line share. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { command, isRoot } from '../support/mounts.ts';
import { type Finished, type RunOptions, run } from '../support/run.ts';

export const needsRoot: string | false = isRoot ? false : 'needs root';

export function ml(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run(command, words, { seconds: 30, ...options });
}

/** Runs it and asserts the status; returns what it printed. */
export async function mlOk(words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await ml(words, options);
  assert.equal(status, 0, `${words.join(' ')}: ${stderr}`);
  return stdout;
}

export interface StatusJson {
  pid: number;
  source: string;
  log: string;
  logLevel: string;
  health: string;
  transport: string;
  capabilities: { on: string[]; off: Record<string, string> };
  options: Record<string, { value: string; from: string }>;
  effective: { storeSpeed: string; attributesTtlMs: number; negativeTtlMs: number; cache: unknown };
  stats: StatsDocument;
}

export async function statusOf(mountpoint: string, options: RunOptions = {}): Promise<StatusJson> {
  return JSON.parse(await mlOk(['status', mountpoint, '--json'], options)) as StatusJson;
}

export async function eventually(what: string, condition: () => boolean, seconds = 10): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(20)) if (condition()) return;
  assert.fail(`not within ${seconds} s: ${what}`);
}

/** A process that has ended and was not collected yet counts as gone. */
export function lives(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
