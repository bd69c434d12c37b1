/** Passes over the records of large files, by real readers (programs/passes.py): in `stats` and in a trace. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Classification } from '../../src/access/classify.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { eventually, mlOk } from '../cli/support.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';
import { runProgram } from './programs.ts';

const SECONDS = 180;
const PASSES = 3;
const WANTED = {
  'sequential.bin': PASSES,
  'shuffled_pieces.bin': PASSES,
  'shuffled_numpy.bin': PASSES,
  'replaced_direct.bin': null,
};

let live: Mounted;

before(
  async () => {
    if (noMounts) return;
    const source = temporaryDirectory('source');
    const made = await runProgram('passes.py', [source, 'make']);
    assert.equal(made.status, 0, made.stderr);
    live = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'ro,disable=passthrough'] });
  },
  { timeout: 120_000 },
);

after(async () => {
  if (live !== undefined && mountedAt(live.mountpoint) !== undefined) await live.unmount();
});

test('passes over records are counted, and none are where there are none', { skip: noMounts }, async () => {
  await withWatchdog(live, SECONDS, async () => {
    const file = join(temporaryDirectory('traces'), 'trace');
    const recording = launch(command, ['trace', 'record', live.mountpoint, file]);
    const ended = finished(recording, SECONDS);
    await eventually(`${file} is there`, () => existsSync(file) && statSync(file).size > 0);
    const read = await runProgram('passes.py', [live.mountpoint, PASSES], { seconds: SECONDS });
    assert.equal(read.status, 0, read.stderr);
    recording.kill('SIGINT');
    await ended;

    const { streams: told } = JSON.parse(await mlOk(['stats', live.mountpoint, '--json'])) as StatsDocument;
    assert.deepEqual(Object.fromEntries(told.map(({ path, epoch }) => [path, epoch])), WANTED);
    for (const { path, epoch, epochDone } of told) {
      if (epoch !== null) assert.ok(epochDone! > 0.9 && epochDone! <= 1, `${path}: ${epochDone}`);
    }
    const { streams } = JSON.parse(await mlOk(['trace', 'classify', file, '--json'])) as Classification;
    assert.deepEqual(Object.fromEntries(streams.map(({ path, passes }) => [path, passes])), WANTED);
    assert.match(await mlOk(['trace', 'classify', file]), / {2}3 \(100 %\)/);
  });
});
