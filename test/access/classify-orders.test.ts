/** What `trace classify` says of the files a job opened: passes, their order, and files taken by their names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Classification, Classifier } from '../../src/access/classify.ts';
import type { TracedFile, TraceEvent } from '../../src/access/trace-format.ts';
import { type Random, randomFrom } from '../cache/damages.ts';

const KIB = 1024;

/** A trace, written as a job goes. */
class Job {
  readonly #classifier = new Classifier();
  readonly #files = new Map<string, TracedFile>();
  #atUs = 0;
  #handle = 0;

  open(path: string, sizeBytes: number, pid = 10, thread = pid): void {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { node: this.#files.size + 2, content: 1, path };
      this.#files.set(path, file);
    }
    this.#atUs += 500;
    const handle = ++this.#handle;
    const by = { thread, pid, command: 'python3' };
    const event: TraceEvent = {
      ...{ kind: 'open', atUs: this.#atUs, waitUs: 100, by, handle, file, size: sizeBytes },
      ...{ way: 'source', keptPages: false, writes: false, before: false },
    };
    this.#classifier.add(event);
    this.#classifier.add({ kind: 'release', atUs: this.#atUs, handle, file });
  }

  /** One pass over a set by two workers, in that order. `pid`: of the first. */
  pass(directory: string, order: readonly number[], pid = 10): void {
    for (const [at, number] of order.entries()) this.open(`${directory}/${number}.jpg`, 100 * KIB, pid + (at % 2));
  }

  found(): Promise<Classification> {
    return this.#classifier.document();
  }
}

function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, at) => at);
  for (let at = count - 1; at > 0; at--) {
    const other = random(at + 1);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

test('passes over a data set, in another order each time', async () => {
  const job = new Job();
  const random = randomFrom(7);
  for (let pass = 0; pass < 3; pass++) job.pass('train', shuffled(2000, random));
  job.pass('train', shuffled(2000, random).slice(0, 500));
  const { dataSets, sequences } = await job.found();
  assert.equal(dataSets.length, 1);
  const [{ path, files, bytes, opens, readers, passes, passDone, repeats }] = dataSets as [(typeof dataSets)[0]];
  assert.deepEqual(
    { path, files, bytes, opens, readers, passes, repeats },
    { path: 'train', files: 2000, bytes: 2000 * 100 * KIB, opens: 6500, readers: 2, passes: 4, repeats: false },
  );
  assert.ok(Math.abs(passDone - 0.25) < 0.01, `${passDone}`);
  assert.deepEqual(sequences, [], 'small files are no shards');
});

test('passes in the same order, and one alone', async () => {
  const job = new Job();
  const order = shuffled(1500, randomFrom(8));
  for (let pass = 0; pass < 2; pass++) job.pass('a', order);
  job.pass('b', shuffled(1200, randomFrom(9)), 50);
  const { dataSets } = await job.found();
  const said = dataSets.map(({ path, passes, passDone, repeats }) => ({ path, passes, passDone, repeats }));
  assert.deepEqual(said, [
    { path: 'a', passes: 2, passDone: 1, repeats: true },
    { path: 'b', passes: 1, passDone: 1, repeats: null },
  ]);
});

test('shards that three workers share, in the order of their numbers; others by chance', async () => {
  const job = new Job();
  for (let shard = 0; shard < 30; shard++) job.open(`shards/imagenet-${shard}.tar`, 64 << 20, 20 + (shard % 3));
  for (const part of shuffled(30, randomFrom(10))) job.open(`parts/${part}.parquet`, 64 << 20, 30);
  for (let part = 29; part >= 0; part--) job.open(`back/${part}.bin`, 64 << 20, 40);
  const { sequences } = await job.found();
  assert.deepEqual(
    sequences.map(({ path, step, readers, files }) => ({ path, step, readers, files })),
    [
      { path: 'shards', step: 3, readers: 3, files: 30 },
      { path: 'back', step: -1, readers: 1, files: 30 },
    ],
  );
  for (const { share } of sequences) assert.ok(share > 0.8, `${share}`);
});

test('what a job writes is not read in passes', async () => {
  const classifier = new Classifier();
  const file = { node: 2, content: 1, path: 'out/1.tar' };
  const by = { thread: 1, pid: 1, command: 'cp' };
  const open = {
    kind: 'open',
    waitUs: 1,
    by,
    handle: 1,
    file,
    size: 1 << 30,
    way: 'source',
    keptPages: false,
  } as const;
  for (let at = 0; at < 20; at++) classifier.add({ ...open, atUs: at, writes: true, before: false });
  const { dataSets, sequences } = await classifier.document();
  assert.deepEqual({ dataSets, sequences }, { dataSets: [], sequences: [] });
});
