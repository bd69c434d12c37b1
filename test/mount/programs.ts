/** The Python programs that read and write mounts for the tests. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { type Finished, launch, type RunOptions, run } from '../support/run.ts';

export const python = process.env.MLO_TEST_PYTHON ?? '/usr/bin/python3';

const words = (program: string, args: readonly (string | number)[]): string[] => [
  '-B',
  join(import.meta.dirname, 'programs', program),
  ...args.map(String),
];

export function runProgram(
  program: string,
  args: readonly (string | number)[],
  options: RunOptions = {},
): Promise<Finished> {
  return run(python, words(program, args), options);
}

export function launchProgram(
  program: string,
  args: readonly (string | number)[],
  options: RunOptions = {},
): ChildProcess {
  return launch(python, words(program, args), options);
}

/** Files of records, as programs/files.py makes them. */
export interface FileSet {
  count: number;
  /** About how many bytes each. */
  size: number;
}

export async function makeFiles(directory: string, set: FileSet): Promise<void> {
  const made = await runProgram('files.py', ['make', directory, set.count, set.size]);
  assert.equal(made.status, 0, made.stderr);
}

/** Reads all files and asserts that every byte is right; returns bytes and seconds. */
export async function verifyFiles(
  directory: string,
  set: FileSet,
  flags: readonly string[] = [],
  options: RunOptions = {},
): Promise<{ bytes: number; seconds: number }> {
  const done = await runProgram('files.py', ['verify', directory, set.count, set.size, ...flags], options);
  assert.equal(done.status, 0, `${flags.join(' ')}: ${done.stdout}${done.stderr}`);
  return JSON.parse(done.stdout) as { bytes: number; seconds: number };
}
