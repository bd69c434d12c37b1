/**
 * The main job from end to end, as scripts/demo runs it: images behind a slow store, a PyTorch DataLoader over them for two
 * epochs, from the store itself and through the overlay; then every byte compared with the originals.
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type SlowStore, startSlowStore } from '../slow-store/client.ts';
import { type MeasuredEpoch, measureEpochs } from '../support/epochs.ts';
import { makeImages } from '../support/images.ts';
import { watchInterference } from '../support/interference.ts';
import { fileSystemOf, machine } from '../support/machine.ts';
import { mountOverlay } from '../support/overlay-mount.ts';
import { must, run } from '../support/processes.ts';
import { type Scope, scoped } from '../support/scope.ts';
import { formatBytes, parseSize } from '../support/sizes.ts';
import { count, percent, seconds, table } from '../support/table.ts';

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: '/usr/bin/python3' },
    files: { type: 'string' },
    quick: { type: 'boolean', default: false },
    decode: { type: 'boolean', default: false },
    'no-decode': { type: 'boolean', default: false },
    'step-ms': { type: 'string', default: '16' },
    'latency-ms': { type: 'string', default: '5' },
    bandwidth: { type: 'string', default: '200MB' },
    dir: { type: 'string' },
    json: { type: 'string' },
  },
});
const files = Number(values.files ?? (values.quick ? 300 : 2000));
const latencyMs = Number(values['latency-ms']);
const bandwidth = parseSize(values.bandwidth);
const stepMs = Number(values['step-ms']);
if (!(files > 0) || !(latencyMs >= 0) || !(stepMs >= 0)) throw new Error('--files, --latency-ms, --step-ms: numbers');
/** Reading only shows the file system; decoding is what a job does, with a step of an accelerator for each batch of 32. */
const modes = [...(values.decode ? [] : [false]), ...(values['no-decode'] ? [] : [true])];
if (modes.length === 0) modes.push(false, true);

interface Row {
  source: string;
  decode: boolean;
  epoch: MeasuredEpoch;
}

interface Places {
  originals: string;
  slow: string;
  mount: string;
  cache: string;
}

const startedAt = performance.now();
function say(text: string): void {
  console.log(`[${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s] ${text}`);
}

function stall(epoch: MeasuredEpoch): number {
  return epoch.waitedSeconds / epoch.seconds;
}

/** Compares every file with what `sha256sum` said of the originals; a pass of its own, so that it costs no epoch time. */
async function verify(directory: string, manifest: string): Promise<void> {
  const list = 'find . -type f | LC_ALL=C sort';
  const here = await must('sh', ['-c', `${list} | sha256sum`], { cwd: directory });
  const there = await must('sh', ['-c', `cut -c67- "$0" | LC_ALL=C sort | sha256sum`, manifest]);
  if (here.stdout !== there.stdout) throw new Error(`${directory} does not list the same files as the originals`);
  await must('sha256sum', ['--quiet', '--check', manifest], { cwd: directory });
}

function print(rows: Row[]): void {
  const cells = rows.map(({ source, decode, epoch }) => [
    `${decode ? 'decoding' : 'reading only'}, ${source}, epoch ${epoch.epoch}`,
    seconds(epoch.seconds),
    count(epoch.files / epoch.seconds),
    seconds(epoch.firstBatchSeconds),
    decode ? percent(stall(epoch)) : '-',
    epoch.store === undefined ? '-' : count(epoch.store.requests),
    epoch.store === undefined ? '-' : formatBytes(epoch.store.bytesRead),
  ]);
  console.log();
  console.log(table(['', 'epoch', 'files/s', 'first batch', 'stalled', 'store requests', 'store bytes'], cells));
}

function summarise(rows: Row[], bytes: number): void {
  console.log();
  for (const decode of modes) {
    const find = (source: string, number: number): MeasuredEpoch | undefined =>
      rows.find((row) => row.decode === decode && row.source === source && row.epoch.epoch === number)?.epoch;
    const bare = find('slow store', 2);
    const second = find('overlay', 2);
    if (bare === undefined || second === undefined) continue;
    const what = decode ? 'Decoding' : 'Reading only';
    const asked = second.store?.bytesRead ?? 0;
    console.log(
      `${what}: the second epoch takes ${seconds(second.seconds)} instead of ${seconds(bare.seconds)} ` +
        `(${count(bare.seconds / second.seconds)} times as fast) and asks the store for ${formatBytes(asked)}.`,
    );
  }
  console.log(
    `"stalled": the share of the epoch the training loop waited for a batch, with a step of ${stepMs} ms a batch of 32.`,
  );
  console.log(`Verified: ${count(files)} files, ${formatBytes(bytes)}, every byte as in the originals.`);
}

async function withOverlay(
  scope: Scope,
  places: Places,
  store: SlowStore,
  decode: boolean,
  bytes: number,
  manifest: string,
): Promise<Row[]> {
  rmSync(places.cache, { recursive: true, force: true });
  mkdirSync(places.cache);
  const overlay = await mountOverlay(scope, places.slow, places.mount, ['--cache', `${places.cache}:${bytes * 2}`]);
  say(`mounted the overlay in ${seconds(overlay.mountSeconds)}`);
  const rows = await epochs(scope, 'overlay', places.mount, decode, store);
  await verify(places.mount, manifest);
  say('verified every byte against the originals');
  await overlay.unmount();
  return rows;
}

async function epochs(
  scope: Scope,
  source: string,
  directory: string,
  decode: boolean,
  store: SlowStore | undefined,
): Promise<Row[]> {
  const options = { python: values.python, root: directory, decode, epochs: 2, stepMs: decode ? stepMs : 0 };
  const rows: Row[] = [];
  const { reader } = await measureEpochs(scope, options, store, (epoch) => {
    rows.push({ source, decode, epoch });
    const name = `${decode ? 'decoding' : 'reading only'}, ${source}`;
    say(`${name}: epoch ${epoch.epoch} took ${seconds(epoch.seconds)}, ${count(epoch.files / epoch.seconds)} files/s`);
  });
  if (!reader.startsWith('PyTorch') && rows.length > 0) readerUsed = reader;
  return rows;
}
let readerUsed = 'PyTorch';

await scoped(async (scope) => {
  const work = scope.directory(values.dir, 'ml-overlay-demo-');
  const places: Places = {
    originals: join(work, 'originals'),
    slow: join(work, 'slow'),
    mount: join(work, 'mount'),
    cache: join(work, 'cache'),
  };
  for (const path of Object.values(places)) mkdirSync(path);
  const { bavail, bsize } = statfsSync(work);
  const needed = files * 120e3 * 2.5;
  if (bavail * bsize < needed) throw new Error(`${work} has no room for ${formatBytes(needed)}: use --dir or --files`);

  say(`making ${count(files)} images in ${places.originals} (${fileSystemOf(work)})`);
  const bytes = await makeImages(values.python, places.originals, files, (done) => {
    if (done % 500 === 0 || done === files) say(`  ${count(done)} made`);
  });
  const manifest = join(work, 'sha256');
  await must('sh', ['-c', 'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > "$0"', manifest], {
    cwd: places.originals,
  });

  const store = await startSlowStore({ source: places.originals, mountpoint: places.slow, latencyMs, bandwidth });
  scope.defer('the slow store', () => store.stop());
  say(`slow store: ${latencyMs} ms a request, ${formatBytes(bandwidth)}/s for all data, ${formatBytes(bytes)} in it`);

  if (modes.includes(true) && (await run(values.python, ['-c', 'import PIL'])).code !== 0) {
    say('no Pillow to be had: decoding is skipped, and the images hold random bytes');
    modes.splice(modes.indexOf(true), 1);
  }
  const rows: Row[] = [];
  const interference = watchInterference();
  for (const decode of modes) {
    rows.push(...(await epochs(scope, 'local disk', places.originals, decode, undefined)));
    rows.push(...(await epochs(scope, 'slow store', places.slow, decode, store)));
    rows.push(...(await withOverlay(scope, places, store, decode, bytes, manifest)));
  }
  print(rows);
  summarise(rows, bytes);
  if (readerUsed !== 'PyTorch')
    console.log('PyTorch was not to be had: a reader of ours with its discipline was used.');
  for (const warning of interference()) console.log(`Note: ${warning}.`);
  if (values.json !== undefined) {
    const disturbed = interference();
    const result = { machine: machine(values.python), disturbed, files, bytes, latencyMs, bandwidth, stepMs, rows };
    writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  }
});
