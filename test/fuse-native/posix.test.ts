/** The POSIX checks on a mount through libfuse 2: all pass but those documented. */
// time limit: 900 s
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { expectedFailures } from './expected-failures.ts';
import { noLibfuse, Served } from './support.ts';

const program = resolve(import.meta.dirname, '../posix/run.py');
/** A tenth of it on a machine that does nothing else. */
const SUITE_SECONDS = 400;

interface Outcome {
  check: string;
  result: 'ok' | 'not ok' | 'skip';
  message: string;
}

async function suite(path: string): Promise<Outcome[]> {
  const { stdout, stderr } = await run('/usr/bin/python3', [program, path, '--json'], { seconds: SUITE_SECONDS });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"check"'));
  assert.ok(lines.length > 200, `the suite broke: ${stderr}${stdout.slice(-500)}`);
  return lines.map((line) => JSON.parse(line) as Outcome);
}

test('a mount through libfuse does what a plain directory does, less what is documented', {
  skip: noLibfuse,
}, async (t) => {
  const onPlain = new Map((await suite(temporaryDirectory('plain'))).map((outcome) => [outcome.check, outcome.result]));
  const mount = await new Served({ allowOther: true }).ready();
  const outcomes = await suite(mount.mountpoint);
  const surprises = outcomes.filter(
    ({ check, result }) => result !== 'ok' && onPlain.get(check) === 'ok' && expectedFailures[check] === undefined,
  );
  t.diagnostic(`${outcomes.filter(({ result }) => result === 'ok').length} of ${outcomes.length} checks pass`);
  assert.deepEqual(surprises, []);
  const report = await mount.end();
  assert.deepEqual([report.pending, report.defects, report.nodes, report.openFiles], [0, 0, 0, 0]);
  assert.equal(report.overlay.inodes, 1, 'every lookup was given back');
});
