/** How many workers read a data set, and how many files are a batch: from sequences of opens as loaders make them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Readers } from '../../src/access/data-set-readers.ts';
import { DataSets } from '../../src/access/datasets.ts';
import { type Batches, batchesOf } from '../../src/access/detectors/batch.ts';
import { From } from '../../src/access/observer.ts';
import { OpenLog } from '../../src/access/open-log.ts';
import type { DataSetSnapshot } from '../../src/access/snapshot.ts';
import { type Random, randomFrom } from '../cache/damages.ts';
import { FakeFile, handleOf } from './trace-support.ts';

interface Loader {
  /** 0: no batches; each worker takes every so manyth file. */
  batch: number;
  workers: number;
  files?: number;
  epochs?: number;
  seed?: number;
  shuffled?: boolean;
  /** Before a batch, in pauses inside of one. */
  longer?: number;
  /** Its workers stay from epoch to epoch. */
  persistent?: boolean;
  dropLast?: boolean;
  /** It reads a share of the files in each epoch, another each time. */
  share?: number;
  /** A process beside them opens one of its files, once for so many of theirs. */
  stranger?: number;
}

interface Opened {
  file: number;
  reader: number;
  pauseMs: number;
}

const uniform = (random: Random): number => (random(2 ** 30) + 1) / 2 ** 30;

/** Log-normal, as times are, with outliers. */
function pause(random: Random): number {
  const normal = Math.sqrt(-2 * Math.log(uniform(random))) * Math.cos(2 * Math.PI * uniform(random));
  return Math.exp(0.8 * normal) * (random(50) === 0 ? 1 + 20 * uniform(random) : 1);
}

/** One epoch's opens, in the order in which workers that go on side by side come to them; `first`: the number of the first worker. */
function epoch(loader: Loader, random: Random, first: number, answered: Set<number>): Opened[] {
  const { batch, workers, files = 4001, shuffled = true, longer = 6, dropLast = false, share = 1, stranger } = loader;
  let order = Array.from({ length: files }, (_, at) => at);
  if (shuffled)
    order = order
      .map((file) => ({ file, at: random(2 ** 30) }))
      .sort((a, b) => a.at - b.at)
      .map(({ file }) => file);
  order = order.slice(0, Math.floor(files * share));
  const opens: (Opened & { atMs: number })[] = [];
  const clocks = Array.from({ length: workers }, () => 5 * uniform(random));
  const taken = batch === 0 ? 1 : batch;
  const groups = dropLast ? Math.floor(order.length / taken) : Math.ceil(order.length / taken);
  for (let group = 0; group < groups; group++) {
    const worker = group % workers;
    const reader = first + worker;
    for (const [nth, file] of order.slice(group * taken, (group + 1) * taken).entries()) {
      const begins = batch > 0 && nth === 0 && group >= workers;
      const pauseMs = pause(random) + (begins ? longer * pause(random) : 0);
      clocks[worker]! += pauseMs;
      opens.push({ file, reader, pauseMs: answered.has(reader) ? pauseMs : -1, atMs: clocks[worker]! });
      answered.add(reader);
    }
  }
  opens.sort((a, b) => a.atMs - b.atMs);
  if (stranger === undefined) return opens;
  return opens.flatMap((open, at) => (at % stranger === 0 ? [{ ...open, reader: 7 }, open] : [open]));
}

function run(loader: Loader): { opens: Opened[]; passes: number[] } {
  const random = randomFrom(loader.seed ?? 1);
  const opens: Opened[] = [];
  const passes: number[] = [];
  const answered = new Set<number>();
  for (let nth = 0; nth < (loader.epochs ?? 2); nth++) {
    passes.push(opens.length);
    opens.push(...epoch(loader, random, 100 + (loader.persistent ? 0 : nth * loader.workers), answered));
  }
  return { opens, passes };
}

/** `from`: the opens before are not known any more. */
function found(loader: Loader, from = 0): Batches {
  const { opens: all, passes } = run(loader);
  const opens = all.slice(from);
  return batchesOf({
    count: opens.length,
    readers: Int32Array.from(opens, ({ reader }) => reader),
    places: [Int32Array.from(opens, ({ file }) => file)],
    directories: new Int32Array(opens.length),
    pausesMs: Float64Array.from(opens, ({ pauseMs }) => pauseMs),
    passes: passes.map((pass) => Math.max(0, pass - from)),
    fromStart: from === 0,
  });
}

function isFound(loader: Loader, from = 0): void {
  const { workers, batchFiles, workersConfidence, batchConfidence } = found(loader, from);
  assert.deepEqual([workers, batchFiles], [loader.workers, loader.batch], JSON.stringify(loader));
  assert.ok(workersConfidence! > 0.9 && batchConfidence! >= 0.5 && batchConfidence! <= 1, `${batchConfidence}`);
}

describe('shuffled, by the pauses', () => {
  for (const batch of [2, 3, 7, 8, 32, 64, 100, 128]) {
    for (const workers of [1, 2, 4, 8]) {
      test(`batches of ${batch}, ${workers} workers`, () =>
        isFound({ batch, workers, files: Math.max(1500, batch * workers * 6) }));
    }
  }
  test('batches of 256 and 512', () => {
    isFound({ batch: 256, workers: 4, files: 12_000 });
    isFound({ batch: 512, workers: 8, files: 16_000, longer: 20 });
  });
  test('workers that stay, whose last batch was short', () => isFound({ batch: 32, workers: 2, persistent: true }));
  test('the last batch is left out', () => isFound({ batch: 32, workers: 2, dropLast: true, persistent: true }));
  test('a share of the files each time', () => isFound({ batch: 32, workers: 2, share: 0.5, files: 8000 }));
  test('another process in between', () => isFound({ batch: 32, workers: 2, stranger: 40 }));
  test('where a pass began is not known any more', () => isFound({ batch: 32, workers: 2, epochs: 1 }, 1013));
  test('in many runs no batch is found that is none of it', () => {
    let right = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const { batchFiles } = found({ batch: 24, workers: 2, files: 2000, longer: 2, epochs: 1, seed });
      assert.ok(batchFiles === null || batchFiles === 24, `${batchFiles}, seed ${seed}`);
      if (batchFiles === 24) right++;
    }
    assert.ok(right >= 30, `${right} of 40`);
  });
});

test('in the order of the names, by what is opened', () => {
  for (const batch of [2, 8, 32, 100, 512]) {
    for (const workers of [2, 3, 8]) {
      const loader = { batch, workers, shuffled: false, longer: 0, files: Math.max(200, batch * workers * 5 + 1) };
      assert.equal(found(loader).batchFiles, batch, `${batch}, ${workers} workers`);
    }
  }
});

describe('nothing is made up', () => {
  test('without batches', () => {
    for (let seed = 1; seed <= 60; seed++) {
      for (const [workers, shuffled] of [
        [1, true],
        [2, true],
        [4, true],
        [1, false],
        [2, false],
      ] as const) {
        const { workers: told, batchFiles } = found({ batch: 0, workers, shuffled, files: 800, epochs: 1, seed });
        assert.deepEqual([told, batchFiles], [workers, null], `${workers} workers, seed ${seed}`);
      }
    }
  });
  test('of a few opens', () => {
    assert.equal(found({ batch: 8, workers: 2, files: 40, epochs: 1 }).workers, null);
    assert.equal(
      found({ batch: 100, workers: 4, files: 500, epochs: 1 }).batchFiles,
      null,
      'a batch or two of each worker',
    );
  });
  test('where most opens are of others', () =>
    assert.equal(found({ batch: 32, workers: 2, stranger: 5 }).workers, null));
  test('of who lists one directory after the other', () => {
    const random = randomFrom(3);
    const count = 2000;
    const directories = Int32Array.from({ length: count }, (_, at) => Math.floor(at / 20));
    const { batchFiles } = batchesOf({
      count,
      readers: new Int32Array(count),
      places: [Int32Array.from({ length: count }, (_, at) => at)],
      directories,
      pausesMs: Float64Array.from({ length: count }, (_, at) => pause(random) + (at % 20 === 0 ? 50 : 0)),
      passes: [0],
      fromStart: true,
    });
    assert.equal(batchFiles, null);
  });
});

describe('of a mount', () => {
  const PROCESS = 10;
  /** Threads of a process have its number and the nine that follow. */
  const readers = (): Readers =>
    new Readers((thread) => ({ pid: thread - (thread % PROCESS), command: 'python3', job: 1 }));

  /** What is told of the data set; `log`: what is remembered. `name`: of a file. */
  function told(
    loader: Loader,
    { log = new OpenLog(), name = (file: number): string => `${file}.jpg` } = {},
  ): DataSetSnapshot {
    const sets = new DataSets(readers(), undefined, log);
    const files = new Map<number, FakeFile>();
    let nowMs = 1000;
    const answeredMs = new Map<number, number>();
    for (const { file, reader, pauseMs } of run(loader).opens) {
      const inode = files.get(file) ?? new FakeFile(`train/${file % 3}/${name(file)}`);
      files.set(file, inode);
      // Each is asked 2 ms after the one before in the order they came, and answered when its worker's next pause begins.
      nowMs += 2;
      const begunMs = pauseMs < 0 ? nowMs : answeredMs.get(reader)! + pauseMs;
      const thread = reader * PROCESS;
      sets.opened(handleOf(inode), thread, begunMs, begunMs + 0.1);
      sets.read(handleOf(inode), thread, 1000, From.STORE, begunMs + 0.2, begunMs + 7);
      answeredMs.set(reader, begunMs + 7);
    }
    const all = sets.snapshot();
    assert.equal(all.length, 1);
    return all[0]!;
  }

  test('workers and batches, whatever the store takes', () => {
    const { workers, batchFiles } = told({ batch: 16, workers: 3, files: 1500 });
    assert.deepEqual([workers, batchFiles], [3, 16]);
  });

  test('from the last opens, where the others are not remembered', () => {
    const { workers, batchFiles } = told({ batch: 16, workers: 2, files: 3000, epochs: 1 }, { log: new OpenLog(1024) });
    assert.deepEqual([workers, batchFiles], [2, 16]);
  });

  test('names in order, as numbers and as letters, with what follows them', () => {
    const ordered = { batch: 10, workers: 2, files: 999, shuffled: false, longer: 0 };
    const alphabetical = Array.from({ length: 999 }, (_, at) => String(at)).sort();
    const padded = (file: number): string => `clip_${String(file).padStart(6, '0')}.mp4`;
    for (const name of [padded, (file: number) => `${alphabetical[file]}.jpg`]) {
      const sets = new DataSets(readers());
      for (const { file, reader } of run(ordered).opens) {
        sets.opened(handleOf(new FakeFile(`train/${name(file)}`)), reader * PROCESS, 1, 1);
      }
      const [{ batchFiles, batchConfidence } = {}] = sets.snapshot();
      assert.deepEqual([batchFiles, batchConfidence], [10, 1], name(7));
    }
  });

  test('where the kernel opens files by itself nothing is told', () => {
    const sets = new DataSets(readers());
    for (const { file, reader } of run({ batch: 16, workers: 2, files: 1500 }).opens) {
      sets.read(handleOf(new FakeFile(`train/${file}.jpg`)), reader * PROCESS, 1000, From.STORE, 1, 2);
    }
    const [{ workers, batchFiles } = {}] = sets.snapshot();
    assert.deepEqual([workers, batchFiles], [null, null]);
  });
});
