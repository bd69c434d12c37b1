/**
 * What readers of known habits (programs/labelled.py) are taken for, by their first 32 READs as the kernel sends them: with
 * torch, numpy, mappings, threads and forked workers. `MLO_CLASSIFY_RUNS`: how many runs, each with other sizes and places.
 */
import assert from 'node:assert/strict';
import { existsSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Classification } from '../../src/access/classify.ts';
import { eventually, mlOk } from '../cli/support.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';
import { runProgram } from './programs.ts';

const RUNS = Number(process.env.MLO_CLASSIFY_RUNS ?? 1);
const SECONDS = 240 * RUNS;
const FILE_BYTES = 256 * 1024 * 1024;
/** As many READs as a reader must be known after; of fewer than the least nothing is asked. */
const READS = 32;
const READS_LEAST = 8;
const RIGHT_LEAST = 0.95;

let live: Mounted;
let place: string;
let names: string[];

before(
  async () => {
    if (noMounts) return;
    const source = temporaryDirectory('source');
    place = temporaryDirectory('traces');
    const said = await runProgram('labelled.py', ['.', 'names']);
    names = said.stdout.trim().split('\n');
    for (const name of names) {
      writeFileSync(join(source, `${name}.bin`), '');
      truncateSync(join(source, `${name}.bin`), FILE_BYTES);
    }
    // Nothing is kept, so that every READ comes here.
    live = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'ro,disable=passthrough'] });
  },
  { timeout: 120_000 },
);

after(async () => {
  if (live !== undefined && mountedAt(live.mountpoint) !== undefined) await live.unmount();
});

/** One run of all readers; what each was taken for, by what it is. */
async function classified(run: number): Promise<{ is: string; habit: string; taken: string; looked: number }[]> {
  const file = join(place, `${run}.trace`);
  const recording = launch(command, ['trace', 'record', live.mountpoint, file]);
  const ended = finished(recording, SECONDS);
  await eventually(`${file} is there`, () => existsSync(file) && statSync(file).size > 0);
  const { status, stderr } = await runProgram('labelled.py', [live.mountpoint, run], { seconds: SECONDS });
  assert.equal(status, 0, stderr);
  recording.kill('SIGINT');
  await ended;
  const { streams } = JSON.parse(
    await mlOk(['trace', 'classify', file, '--json', '--after', String(READS)]),
  ) as Classification;
  return streams
    .filter(({ looked }) => looked >= READS_LEAST)
    .map(({ path, pattern, looked }) => {
      const [is = '', ...habit] = path.replace('.bin', '').split('-');
      return { is, habit: habit.join('-'), taken: pattern, looked };
    });
}

test('readers of known habits are taken for what they are', { skip: noMounts }, async (context) => {
  await withWatchdog(live, SECONDS, async () => {
    const all: Awaited<ReturnType<typeof classified>> = [];
    for (let run = 1; run <= RUNS; run++) all.push(...(await classified(run)));
    const counts = new Map<string, number>();
    for (const { is, taken } of all) counts.set(`${is} as ${taken}`, (counts.get(`${is} as ${taken}`) ?? 0) + 1);
    for (const [what, count] of [...counts].sort()) context.diagnostic(`${what}: ${count}`);
    const wrong = all.filter(({ is, taken }) => is !== taken);
    for (const { is, habit, taken, looked } of wrong) context.diagnostic(`${is} ${habit}: ${taken} after ${looked}`);
    const seen = new Set(all.map(({ is, habit }) => `${is}-${habit}`));
    assert.deepEqual([...seen].sort(), [...names].sort(), 'every habit was seen');
    assert.ok(all.length - wrong.length >= RIGHT_LEAST * all.length, `${all.length - wrong.length} of ${all.length}`);
  });
});
