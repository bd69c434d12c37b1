/**
 * What loaders of known batches (programs/batches.py) are taken for, by torch's DataLoader through a mount. `MLO_CLASSIFY_RUNS`: how
 * many runs of all loaders, in place of one of a few.
 */
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

const RUNS = Number(process.env.MLO_CLASSIFY_RUNS ?? 0);
const FEW = ['b8-w2-shuffled', 'b32-w1-shuffled', 'b32-w4-shuffled', 'b100-w2-ordered', 'none-w2-shuffled'];
const ALL = [8, 32, 100].flatMap((batch) =>
  [1, 2, 4].flatMap((workers) => ['shuffled', 'ordered'].map((order) => `b${batch}-w${workers}-${order}`)),
);
const NAMES = RUNS === 0 ? FEW : [...ALL, 'b32-w2-shuffled-persistent', 'none-w1-shuffled', 'none-w2-shuffled'];
const FILES = RUNS === 0 ? 600 : 1000;
const EPOCHS = RUNS === 0 ? 1 : 2;
const SECONDS = 240 + 900 * RUNS;
const RIGHT_LEAST = 0.7;

let live: Mounted;
let place: string;

before(
  async () => {
    if (noMounts) return;
    const source = temporaryDirectory('source');
    place = temporaryDirectory('traces');
    const made = await runProgram('batches.py', [source, FILES, 'make', ...NAMES]);
    assert.equal(made.status, 0, made.stderr);
    live = await mountOverlay({ source, options: ['--cache', 'none', '-o', 'ro'] });
  },
  { timeout: 120_000 },
);

after(async () => {
  if (live !== undefined && mountedAt(live.mountpoint) !== undefined) await live.unmount();
});

type Told = Pick<Classification['dataSets'][number], 'path' | 'workers' | 'batchFiles' | 'batchConfidence'>;

async function classified(run: number): Promise<Told[]> {
  const file = join(place, `${run}.trace`);
  const recording = launch(command, ['trace', 'record', live.mountpoint, file]);
  const ended = finished(recording, SECONDS);
  await eventually(`${file} is there`, () => existsSync(file) && statSync(file).size > 0);
  const read = await runProgram('batches.py', [live.mountpoint, FILES, EPOCHS, ...NAMES], { seconds: SECONDS });
  assert.equal(read.status, 0, read.stderr);
  recording.kill('SIGINT');
  await ended;
  return (JSON.parse(await mlOk(['trace', 'classify', file, '--json'])) as Classification).dataSets;
}

/** `right`: what it is; `none`: that it cannot be told; or what else. */
function judged({ path, workers, batchFiles }: Told): string {
  const [batch = '', readers = ''] = path.split('-');
  const wanted = batch === 'none' ? null : Number(batch.slice(1));
  if (wanted !== null && workers !== Number(readers.slice(1))) return `${workers} workers`;
  if (batchFiles === wanted) return 'right';
  return batchFiles === null ? 'none' : `${batchFiles} files`;
}

test("a loader's workers and batches", { skip: noMounts }, async (context) => {
  await withWatchdog(live, SECONDS, async () => {
    const all: Told[] = [];
    for (let run = 0; run < Math.max(1, RUNS); run++) all.push(...(await classified(run)));
    const found = all.map((told) => ({ ...told, judged: judged(told) }));
    for (const { path, workers, batchFiles, batchConfidence, judged } of found) {
      context.diagnostic(`${path}: ${judged}; ${workers} workers, ${batchFiles} (${batchConfidence?.toFixed(2)})`);
    }
    assert.deepEqual([...new Set(found.map(({ path }) => path))].sort(), [...NAMES].sort());
    const wrong = found.filter(({ judged }) => judged !== 'right' && judged !== 'none');
    assert.ok(wrong.length * 20 <= found.length, JSON.stringify(wrong));
    const right = found.filter(({ judged }) => judged === 'right');
    assert.ok(right.length >= RIGHT_LEAST * found.length, `${right.length} of ${found.length}`);

    // And a mount says the same while it is read.
    const { dataSets } = JSON.parse(await mlOk(['stats', live.mountpoint, '--json'])) as StatsDocument;
    const last = NAMES.findLast((name) => !name.startsWith('none'));
    const { workers, batchFiles } = right.findLast(({ path }) => path === last) ?? {};
    const { workers: told, batchFiles: batch } = dataSets.find(({ path }) => path === last) ?? {};
    if (batchFiles !== undefined) assert.deepEqual([told, batch], [workers, batchFiles]);
    assert.match(await mlOk(['stats', live.mountpoint]), /EPOCH +WORKERS +BATCH/);
  });
});
