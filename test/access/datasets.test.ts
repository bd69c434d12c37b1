/** Which data sets are found, and what is counted of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KnownFiles } from '../../src/access/data-set-files.ts';
import { type ProcessIdentity, Readers } from '../../src/access/data-set-readers.ts';
import { DataSets } from '../../src/access/datasets.ts';
import { From } from '../../src/access/observer.ts';
import type { DataSetSnapshot } from '../../src/access/snapshot.ts';
import { FakeFile, handleOf, O_RDWR } from './trace-support.ts';

const JOB = 1000;
const PROCESS = 10;
/** Thread 2034: job 2, its fourth process (2030), its fourth thread there. */
const identify = (thread: number): ProcessIdentity => ({
  pid: thread - (thread % PROCESS),
  command: 'python3',
  job: Math.trunc(thread / JOB),
});

class Scene {
  readonly sets = new DataSets(new Readers(identify));
  readonly #files = new Map<string, FakeFile>();
  nowMs = 0;

  file(path: string, size = 1000): FakeFile {
    const file = this.#files.get(path) ?? new FakeFile(path, size);
    this.#files.set(path, file);
    return file;
  }

  open(path: string, thread = JOB, size = 1000): void {
    this.nowMs += 1;
    this.sets.opened(handleOf(this.file(path, size)), thread, this.nowMs - 0.5, this.nowMs);
  }

  /** By so many workers, each the next as a data loader hands out. */
  read(paths: readonly string[], { job = 1, workers = 1, first = 0 } = {}): void {
    for (const [i, path] of paths.entries()) this.open(path, job * JOB + (first + (i % workers)) * PROCESS);
  }

  forget(): void {
    for (const [path, file] of this.#files) this.#files.set(path, file.forgotten());
  }

  get found(): Record<string, DataSetSnapshot> {
    return Object.fromEntries(this.sets.snapshot().map((set) => [set.path, set]));
  }

  get paths(): string[] {
    return Object.keys(this.found).sort();
  }
}

let seed = 1;
function random(): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

function shuffled<T>(values: readonly T[]): T[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** root/class0/0.jpg and so on. */
function classes(root: string, count: number, each: number, extension = 'jpg'): string[] {
  return Array.from({ length: count * each }, (_, i) => {
    const label = Math.trunc(i / each);
    return `${root}/class${label}/${i % each}.${extension}`;
  });
}

describe('which directory trees are data sets', () => {
  for (const [how, order] of [
    ['shuffled', shuffled],
    ['class after class', (paths: readonly string[]) => [...paths]],
  ] as const) {
    for (const [count, each] of [
      [2, 100],
      [10, 30],
      [200, 5],
      [1000, 1],
    ] as const) {
      for (const workers of [1, 8]) {
        test(`${count} classes of ${each}, ${how}, ${workers} workers: one, at their common root`, () => {
          const scene = new Scene();
          const files = classes('data/imagenet/train', count, each);
          for (let epoch = 1; epoch <= 3; epoch++) {
            scene.read(order(files), { workers });
            const { found } = scene;
            assert.deepEqual(Object.keys(found), ['data/imagenet/train']);
            const [set] = Object.values(found);
            assert.equal(set?.files, count * each);
            assert.equal(set?.opens, count * each * epoch);
            assert.equal(set?.epoch, epoch);
          }
        });
      }
    }
  }

  test('while it is still being found out, the set has one root at any time', () => {
    const scene = new Scene();
    for (const path of classes('train', 40, 40)) {
      scene.open(path);
      assert.ok(scene.paths.length <= 1, scene.paths.join());
    }
    assert.deepEqual(scene.paths, ['train']);
  });

  test('classes of very unequal size are one', () => {
    const scene = new Scene();
    const files = [...classes('xray/ok', 1, 2000), ...classes('xray/broken', 1, 40)];
    for (let epoch = 0; epoch < 2; epoch++) scene.read(shuffled(files), { workers: 4 });
    assert.deepEqual(scene.paths, ['xray']);
  });

  test('images and their masks, of another kind but read together, are one', () => {
    const scene = new Scene();
    const pairs = shuffled(Array.from({ length: 300 }, (_, i) => i));
    for (const i of pairs) scene.read([`seg/images/${i}.jpg`, `seg/masks/${i}.png`]);
    assert.deepEqual(scene.paths, ['seg']);
  });

  test('two jobs on two trees are two, though the trees lie side by side', () => {
    const scene = new Scene();
    const a = shuffled(classes('data/a', 10, 30));
    const b = shuffled(classes('data/b', 10, 30));
    for (let i = 0; i < a.length; i++) {
      scene.read([a[i]!], { job: 1, first: i % 3 });
      scene.read([b[i]!], { job: 2, first: i % 3 });
    }
    assert.deepEqual(scene.paths, ['data/a', 'data/b']);
  });

  test('so are two processes of one job on two trees', () => {
    const scene = new Scene();
    const a = shuffled(classes('data/a', 4, 30));
    const b = shuffled(classes('data/b', 4, 30));
    for (let i = 0; i < a.length; i++) {
      scene.read([a[i]!], { first: 0 });
      scene.read([b[i]!], { first: 1 });
    }
    assert.deepEqual(scene.paths, ['data/a', 'data/b']);
  });

  test('workers that have each their own classes share one data set', () => {
    const scene = new Scene();
    const files = classes('train', 8, 50);
    for (let i = 0; i < 50; i++) for (let w = 0; w < 8; w++) scene.read([files[w * 50 + i]!], { first: w });
    assert.deepEqual(scene.paths, ['train']);
  });

  test('an interpreter with its library on the same mount is not part of the data', () => {
    const scene = new Scene();
    for (let i = 0; i < 600; i++) scene.open(`env/lib/python3/site-packages/torch/m${i % 20}/f${i}.py`);
    for (let epoch = 0; epoch < 2; epoch++) scene.read(shuffled(classes('data/set', 10, 40)), { workers: 4 });
    const { paths } = scene;
    assert.ok(paths.includes('data/set'), paths.join());
    assert.ok(!paths.includes(''), paths.join());
    assert.equal(scene.found['data/set']?.files, 400);
  });

  test('a job that goes on to another tree has another data set', () => {
    const scene = new Scene();
    for (const tree of ['first', 'second']) {
      for (let epoch = 0; epoch < 3; epoch++) scene.read(shuffled(classes(`data/${tree}`, 6, 30)));
    }
    assert.deepEqual(scene.paths, ['data/first', 'data/second']);
    assert.deepEqual([scene.found['data/first']?.epoch, scene.found['data/second']?.epoch], [3, 3]);
  });

  test('another tree is found after as few files when the one before had many', () => {
    const scene = new Scene();
    scene.read(shuffled(classes('first', 200, 50)), { job: 1, workers: 2 });
    const second = shuffled(classes('second', 10, 100)).slice(0, 64);
    const unplaced = second.filter((path, i) => {
      scene.open(path, 2 * JOB + (i % 2) * PROCESS);
      return scene.sets.setOf(scene.file(path)) === undefined;
    });
    assert.ok(unplaced.length < 40, `${unplaced.length} of 64 files were of no data set`);
    assert.equal(scene.sets.setOf(scene.file(second.at(-1)!))?.root?.path, 'second');
  });

  test('so is one beside stray files that have made the root a data set', () => {
    const scene = new Scene();
    scene.read(shuffled(classes('first', 200, 50)), { job: 1, workers: 2 });
    for (let i = 0; i < 64; i++) scene.open(`stray${i % 16}/${i}.cfg`, 3 * JOB);
    assert.deepEqual(scene.paths, ['', 'first']);
    const second = shuffled(classes('second', 10, 100)).slice(0, 64);
    const strays = second.filter((path, i) => {
      scene.open(path, 2 * JOB + (i % 2) * PROCESS);
      return scene.sets.setOf(scene.file(path))?.root?.path !== 'second';
    });
    assert.ok(strays.length < 40, `${strays.length} of 64 files were not of their data set`);
  });

  test('files with a directory each are placed by one decision', () => {
    const scene = new Scene();
    scene.read(classes('data', 1000, 8), { job: 1, workers: 2 });
    const sets = Array.from({ length: 1000 }, (_, i) => {
      const path = `tree${i}/deep/only.txt`;
      scene.open(path, 2 * JOB + i * PROCESS);
      return scene.sets.setOf(scene.file(path))?.root?.path;
    });
    // Each of them is placed from that decision on: nothing is left for another.
    const placed = sets.indexOf('');
    assert.ok(placed >= 7 && placed < 16, `placed from file ${placed} on`);
    assert.deepEqual(new Set(sets.slice(placed)), new Set(['']));
  });

  test('a table beside its parts is another set than they are', () => {
    const scene = new Scene();
    for (let i = 0; i < 100; i++) scene.open(`corpus/${i}.tar`, JOB, 1 << 26);
    for (let i = 0; i < 50; i++) scene.open(`corpus/meta/${i}.json`, 2 * JOB);
    assert.deepEqual(scene.paths, ['corpus', 'corpus/meta']);
    assert.equal(scene.found.corpus?.files, 100);
  });

  test('few files are none, unless there is much in them', () => {
    const scene = new Scene();
    for (let i = 0; i < 7; i++) scene.open(`etc/${i}.conf`);
    assert.deepEqual(scene.paths, []);
    scene.open('models/llm.safetensors', JOB, 2 ** 31);
    assert.deepEqual(scene.paths, ['models']);
  });

  test('files at the root of the mount make the root a set', () => {
    const scene = new Scene();
    for (let i = 0; i < 20; i++) scene.open(`${i}.parquet`);
    assert.deepEqual(scene.paths, ['']);
    assert.equal(scene.found['']?.files, 20);
  });

  test('a name that is no UTF-8, and one that is', () => {
    const scene = new Scene();
    const name = Buffer.from('größe').toString('latin1');
    for (let i = 0; i < 20; i++) scene.open(`${name}/${i}.bin`);
    assert.deepEqual(scene.paths, ['größe']);
  });
});

describe('epochs', () => {
  const N = 500;
  const files = classes('set', 10, N / 10);

  for (const [how, order] of [
    ['in a new order each', shuffled],
    ['in the same order', (paths: readonly string[]) => [...paths]],
  ] as const) {
    for (const workers of [1, 8]) {
      test(`are each file once, ${how}, ${workers} workers`, () => {
        const scene = new Scene();
        for (let epoch = 1; epoch <= 6; epoch++) {
          const paths = order(files);
          scene.read(paths.slice(0, N / 2), { workers });
          const half = scene.found.set;
          if (epoch > 1) {
            assert.equal(half?.epoch, epoch);
            assert.ok(Math.abs((half?.epochDone ?? 0) - 0.5) < 0.02, `${half?.epochDone} done`);
          }
          scene.read(paths.slice(N / 2), { workers });
          assert.equal(scene.found.set?.epoch, epoch);
          assert.ok((scene.found.set?.epochDone ?? 0) > 0.98);
        }
      });
    }
  }

  test('files that are opened twice in a row do not make more of them', () => {
    const scene = new Scene();
    for (let epoch = 1; epoch <= 4; epoch++) {
      for (const path of shuffled(files)) scene.read([path, path]);
      assert.equal(scene.found.set?.epoch, epoch);
    }
  });

  test('nor does a file that is looked at again and again', () => {
    const scene = new Scene();
    for (let epoch = 1; epoch <= 3; epoch++) {
      for (const [i, path] of shuffled(files).entries()) {
        if (i % 60 === 0) scene.open('set/labels.jpg');
        scene.open(path);
      }
      assert.equal(scene.found.set?.epoch, epoch);
    }
  });

  test('they go on when the kernel forgets the inodes', () => {
    const scene = new Scene();
    for (let epoch = 1; epoch <= 3; epoch++) {
      scene.read(shuffled(files));
      scene.forget();
      const { set } = scene.found;
      assert.deepEqual([set?.files, set?.bytes, set?.opens, set?.epoch], [N, N * 1000, N * epoch, epoch]);
    }
  });

  test('new files make the set larger', () => {
    const scene = new Scene();
    scene.read(shuffled(files));
    scene.read(shuffled([...files, ...classes('set', 20, 50).slice(N)]));
    const { set } = scene.found;
    assert.deepEqual([set?.files, set?.epoch], [2 * N, 2]);
    assert.ok((set?.epochDone ?? 0) > 0.98);
  });

  test('whoever reads only a part of it, over and over, has epochs too', () => {
    const scene = new Scene();
    scene.read(shuffled(files));
    for (let pass = 0; pass < 5; pass++) scene.read(shuffled(files.slice(0, N / 5)));
    assert.ok((scene.found.set?.epoch ?? 0) >= 4, `${scene.found.set?.epoch}`);
  });
});

describe('what is counted', () => {
  test('opens, reads, bytes, hits, waiting and the time between', () => {
    const scene = new Scene();
    const { sets } = scene;
    const handles = Array.from({ length: 10 }, (_, i) => handleOf(scene.file(`d/${i}`, 4096 * (i + 1))));
    let now = 1000;
    for (const handle of handles) {
      sets.opened(handle, JOB, now, now + 2); // waits 2 ms
      now += 2;
      sets.read(handle, JOB, 4096, From.STORE, now, now + 8); // 8 ms
      now += 8;
      now += 5; // works 5 ms
      sets.read(handle, JOB, 100, From.TIER, now, now + 1); // 1 ms
      now += 1;
    }
    sets.read(handles[0]!, JOB, -5, From.STORE, now, now); // an error
    const { d } = scene.found;
    assert.deepEqual(
      { ...d, waitSeconds: undefined, betweenSeconds: undefined },
      {
        path: 'd',
        files: 10,
        bytes: 4096 * 55,
        opens: 10,
        reads: 21,
        readBytes: 10 * 4196,
        hits: 10,
        hitBytes: 1000,
        waitSeconds: undefined,
        betweenSeconds: undefined,
        epoch: 1,
        epochDone: 1,
        workers: null,
        workersConfidence: null,
        batchFiles: null,
        batchConfidence: null,
      },
    );
    assert.ok(Math.abs(d!.waitSeconds - 0.11) < 1e-9, `${d?.waitSeconds}`);
    assert.ok(Math.abs(d!.betweenSeconds - (10 * 5 + 9 * 2) / 1000) < 1e-9, `${d?.betweenSeconds}`);
  });

  test('a file that has grown counts with what it has now', () => {
    const scene = new Scene();
    for (let i = 0; i < 10; i++) scene.open(`d/${i}`);
    scene.file('d/3').attributes.size = 5000;
    scene.open('d/3');
    assert.equal(scene.found.d?.bytes, 9 * 1000 + 5000);
    assert.equal(scene.found.d?.files, 10);
  });

  test('what is opened for writing is nobody’s data set', () => {
    const scene = new Scene();
    for (let i = 0; i < 100; i++) {
      const handle = handleOf(scene.file(`checkpoints/${i}.pt`), 'source', O_RDWR);
      scene.sets.opened(handle, JOB, 1, 2);
      scene.sets.read(handle, JOB, 10, From.STORE, 1, 2);
    }
    assert.deepEqual(scene.paths, []);
  });

  test('where the kernel opens files by itself, the first read of a file stands for its open', () => {
    const scene = new Scene();
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 30; i++) scene.sets.read(handleOf(scene.file(`d/${i}`)), JOB, 10, From.STORE, 1, 2);
    }
    const { d } = scene.found;
    assert.deepEqual([d?.files, d?.opens, d?.reads], [30, 30, 60]);
  });

  test('a path is asked for once, however often its file is opened', () => {
    const scene = new Scene();
    for (let i = 0; i < 100; i++) for (let j = 0; j < 20; j++) scene.open(`d/${j}`);
    assert.equal(scene.file('d/7').asked, 1);
  });

  test('with more files than there is room for, counts go on and the epoch is unknown', () => {
    const sets = new DataSets(new Readers(identify), new KnownFiles(100));
    for (let i = 0; i < 300; i++) sets.opened(handleOf(new FakeFile(`d/${i}`)), JOB, i, i);
    const [d] = sets.snapshot();
    assert.deepEqual([d?.files, d?.opens, d?.epochDone], [300, 300, null]);
  });
});

test('a million files take less than 40 bytes each, and an open no more than the shuffle of one', () => {
  const N = 1_000_000;
  const known = new KnownFiles();
  const sets = new DataSets(new Readers(identify), known);
  const file = {
    nodeId: 1,
    fileKey: '1',
    attributes: { size: 1000 },
    observed: undefined as object | undefined,
    path: () => path,
  };
  const handle = handleOf(file);
  let path = '';
  let slowest = 0;
  for (let i = 0; i < N; i++) {
    path = `train/class${i % 1000}/image_${i}.jpg`;
    file.observed = undefined; // as a file that was never seen
    const began = performance.now();
    sets.opened(handle, JOB, began, began);
    slowest = Math.max(slowest, performance.now() - began);
  }
  const [set] = sets.snapshot();
  assert.deepEqual([set?.path, set?.files, set?.opens, set?.epoch], ['train', N, N, 1]);
  assert.ok(known.heldBytes / N < 40, `${known.heldBytes / N} bytes a file`);
  assert.equal(known.count, N);
  console.log(`${(known.heldBytes / N).toFixed(1)} bytes a file; the slowest open took ${slowest.toFixed(2)} ms`);
});
