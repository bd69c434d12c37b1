/** `ml-overlay simulate` on traces that are made here: what it counts, what it assumes, and what it says to wrong words. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Readers } from '../../src/access/data-set-readers.ts';
import { From, type Way } from '../../src/access/observer.ts';
import { Recorder } from '../../src/access/recorder.ts';
import type { Simulation } from '../../src/cli/simulate-text.ts';
import { FakeFile, handleOf, O_RDWR, traceFile } from '../access/trace-support.ts';
import { temporaryDirectory } from '../support/mounts.ts';
import { ml, mlOk } from './support.ts';

const FILE = 100_000;
const ABOUT = { mountpoint: '/mnt', source: '/src', version: '0' };

interface Step {
  file: FakeFile;
  from?: From;
  way?: Way;
  kept?: boolean;
  writes?: boolean;
}

/** Each file opened, read whole and closed. */
async function recorded(steps: readonly Step[]): Promise<string> {
  const path = traceFile();
  const recorder = new Recorder({ readers: new Readers(() => ({ pid: 1, command: 'x', job: 1 })), about: ABOUT });
  await recorder.start({ file: path, force: false });
  let nowMs = performance.now();
  for (const { file, from = From.STORE, way = 'tier', kept = false, writes = false } of steps) {
    const handle = handleOf(file, way, writes ? O_RDWR : 0);
    nowMs += 10;
    recorder.recording!.opened(handle, 7, kept, nowMs, nowMs);
    const hidden = kept || way === 'tier-passthrough';
    if (!writes && !hidden) {
      recorder.recording!.read(handle, 7, 0, file.attributes.size, from, nowMs, nowMs);
    }
    recorder.recording!.released(handle, nowMs);
  }
  await recorder.stop();
  return path;
}

async function simulated(trace: string, words: readonly string[]): Promise<Simulation> {
  return JSON.parse(await mlOk(['simulate', '--trace', trace, ...words, '--json'])) as Simulation;
}

const files = (count: number): FakeFile[] =>
  Array.from({ length: count }, (_, at) => new FakeFile(`train/${at}.jpg`, FILE));

test('epochs in a fixed order, with half of the data: known ratios', async () => {
  const all = files(100);
  const steps: Step[] = [];
  for (let epoch = 0; epoch < 4; epoch++) {
    for (const [at, file] of all.entries()) steps.push({ file, from: epoch > 0 && at < 10 ? From.TIER : From.STORE });
  }
  const trace = await recorded(steps);
  const { results, recorded: did, compulsory, ...rest } = await simulated(trace, ['--cache', `${50 * FILE},10000000`]);
  assert.deepEqual([rest.reads, rest.files, rest.bytes, rest.assumed], [400, 100, 100 * FILE, 0]);
  assert.deepEqual(did, { reads: 400, readHits: 30, readBytes: 400 * FILE, hitBytes: 30 * FILE });
  const of = (policy: string, cacheBytes: number): number =>
    results.find((one) => one.policy === policy && one.cacheBytes === cacheBytes)!.hitRatio!;
  assert.deepEqual(
    ['mix', 'epoch-keep', 'belady', 'lru'].map((policy) => of(policy, 50 * FILE)),
    [150 / 400, 150 / 400, 150 / 400, 0],
  );
  for (const { policy, cacheBytes, hitRatio } of results) {
    if (cacheBytes === 10_000_000) assert.equal(hitRatio, 0.75, `${policy}: everything fits`);
  }
  assert.deepEqual([compulsory.hitRatio, compulsory.storeBytes], [0.75, 100 * FILE]);
  const page = await mlOk(['simulate', '--trace', trace, '--cache', '5M', '--policy', 'mix,lru']);
  assert.match(page, /recorded +7\.5 % of 400 reads hit/);
  assert.match(page, /^ *4\.8 MiB|^ *5 MiB +mix +\d/m);
  assert.match(page, /any +compulsory +75\.0 %/);
});

test('what the kernel reads unseen counts as one read of the whole file; what is written, or is new, is a miss', async () => {
  const [a, b] = files(2) as [FakeFile, FakeFile];
  const replaced = new FakeFile('train/0.jpg', FILE, 'another version');
  const trace = await recorded([
    { file: a }, //                                 miss
    { file: a, kept: true }, //                     hit, assumed
    { file: a.forgotten(), way: 'tier-passthrough' }, // hit, assumed: the same content under another inode
    { file: b }, //                                 miss
    { file: b, writes: true },
    { file: b }, //                                 miss: it was open for writing
    { file: replaced }, //                          miss
    { file: replaced }, //                          hit
  ]);
  const { results, reads, assumed, recorded: did } = await simulated(trace, ['--cache', '10M', '--policy', 'lru']);
  assert.deepEqual([reads, assumed, did.reads], [7, 2, 5]);
  assert.equal(results.length, 1);
  assert.deepEqual([results[0]!.hitRatio, results[0]!.storeBytes], [3 / 7, 4 * FILE]);
});

test('wrong words, and what is no trace', async () => {
  const trace = await recorded(files(1).map((file) => ({ file })));
  for (const [words, said] of [
    [[], /^MLO_USAGE: .*needs a trace and a size/],
    [['--trace', trace, '--cache', '5X'], /^MLO_USAGE: .*"5X" is no size/],
    [['--trace', trace, '--cache', '1'], /^MLO_USAGE: .*holds nothing/],
    [['--trace', trace, '--cache', '1G', '--policy', 'lur'], /^MLO_USAGE: .*"lur".*"lru"/],
    [['--trace', join(temporaryDirectory('none'), 'none'), '--cache', '1G'], /^MLO_TRACE: /],
  ] as const) {
    const { status, stderr } = await ml(['simulate', ...words]);
    assert.match(stderr, said);
    assert.notEqual(status, 0);
  }
  const empty = await recorded([]);
  assert.match((await ml(['simulate', '--trace', empty, '--cache', '1G'])).stderr, /^MLO_TRACE: .*no reads.*record/);
  const text = join(temporaryDirectory('text'), 'text');
  writeFileSync(text, 'no trace');
  assert.match((await ml(['simulate', '--trace', text, '--cache', '1G'])).stderr, /^MLO_TRACE: .*is no trace/);
});
