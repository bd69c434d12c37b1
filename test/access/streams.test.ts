/** How a file is read, from its READs as the kernel sends them: runs, strides, and what each stream is taken for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Readers } from '../../src/access/data-set-readers.ts';
import { Strides } from '../../src/access/detectors/stride.ts';
import type { ReadPattern } from '../../src/access/stream.ts';
import { Streams } from '../../src/access/streams.ts';
import { FakeFile, handleOf } from './trace-support.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 1024 * MIB;
/** As many READs as a pattern must be known after. */
const READS = 32;

type Read = [offset: number, size: number];

/** Threads stand for processes of their own. */
function streams(): Streams {
  return new Streams(new Readers((thread) => ({ pid: thread, command: 'reader', job: 1 })));
}

/** What one process is taken for after each READ. */
function patterns(reads: readonly Read[]): ReadPattern[] {
  const known = streams();
  const handle = handleOf(new FakeFile('big', SIZE));
  return reads.map(([offset, size], at) => {
    known.reading(handle, 7, offset, size, at);
    return known.snapshot()[0]!.pattern;
  });
}

const times = (count: number, read: (at: number) => Read): Read[] => Array.from({ length: count }, (_, at) => read(at));
/** The same numbers each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Neighbours change places now and then, as READs do that are under way together. */
function overtaking(reads: Read[], seed: number): Read[] {
  const next = numbers(seed);
  const mixed = [...reads];
  for (let at = 0; at + 1 < mixed.length; at++) {
    if (next(4) === 0) [mixed[at], mixed[at + 1]] = [mixed[at + 1]!, mixed[at]!];
  }
  return mixed;
}

const random = numbers(5);
const labelled: Record<string, { is: ReadPattern; reads: Read[] }> = {
  'from start to end': { is: 'sequential', reads: times(READS, (at) => [at * MIB, MIB]) },
  'READs that overtake each other': {
    is: 'sequential',
    reads: overtaking(
      times(READS, (at) => [at * 128 * KIB, 128 * KIB]),
      3,
    ),
  },
  'two places by turns': {
    is: 'sequential',
    reads: times(READS, (at) => [((at % 2) * SIZE) / 2 + (at >> 1) * 256 * KIB, 256 * KIB]),
  },
  backward: { is: 'backward', reads: times(READS, (at) => [SIZE - (at + 1) * 256 * KIB, 256 * KIB]) },
  'backward in pieces of several READs': {
    is: 'backward',
    reads: times(READS, (at) => [SIZE - ((at >> 2) + 1) * 4 * MIB + (at & 3) * MIB, MIB]),
  },
  'a part of each MiB': { is: 'strided', reads: times(READS, (at) => [at * MIB, 64 * KIB]) },
  'steps that are no pages': {
    is: 'strided',
    reads: times(READS, (at) => [Math.floor((12_345 + at * 700_001) / 4096) * 4096, 68 * KIB]),
  },
  'every other 64 KiB': { is: 'strided', reads: times(READS, (at) => [at * 128 * KIB, 64 * KIB]) },
  'strides within strides': {
    is: 'strided',
    reads: times(READS, (at) => [(at >> 2) * 16 * MIB + (at & 3) * 256 * KIB, 64 * KIB]),
  },
  'two strides by turns': {
    is: 'strided',
    reads: times(READS, (at) => [((at & 1) * SIZE) / 2 + (at >> 1) * 2 * MIB, 128 * KIB]),
  },
  'a stride, and now and then something else': {
    is: 'strided',
    reads: times(READS, (at) => (at % 11 === 10 ? [random(1000) * MIB, 4 * KIB] : [at * MIB, 64 * KIB])),
  },
  'here and there': { is: 'random', reads: times(READS, () => [random(SIZE / 4096) * 4096, 8 * KIB]) },
  'pages around rows here and there': {
    is: 'random',
    reads: times(READS, () => [random(SIZE / MIB) * MIB, MIB]),
  },
};

for (const [name, { is, reads }] of Object.entries(labelled)) {
  test(`${name}: ${is}, known after ${READS} READs`, () => {
    assert.equal(patterns(reads).at(-1), is);
  });
}

test('a constant stride is known after three places, and told on', () => {
  const strides = new Strides();
  const place = { offset: 0, length: 0 };
  for (const at of [0, 1]) strides.jumped(at * MIB, 64 * KIB);
  assert.ok(!strides.foretell(1, place));
  strides.jumped(2 * MIB, 64 * KIB);
  assert.ok(strides.foretell(1, place));
  assert.deepEqual(place, { offset: 3 * MIB, length: 64 * KIB });
  assert.ok(strides.foretell(9, place));
  assert.deepEqual(place, { offset: 11 * MIB, length: 64 * KIB });
});

test('a nested stride is foretold over the end of its row', () => {
  const strides = new Strides();
  const start = (at: number): number => Math.floor(at / 3) * 100 * MIB + (at % 3) * 5 * MIB;
  for (let at = 0; at < 12; at++) strides.jumped(start(at), 64 * KIB);
  const place = { offset: 0, length: 0 };
  for (let nth = 1; nth <= 9; nth++) {
    assert.ok(strides.foretell(nth, place));
    assert.equal(place.offset, start(11 + nth), `the ${nth}th`);
  }
});

test('processes that share a descriptor are streams of their own', () => {
  const known = streams();
  const handle = handleOf(new FakeFile('table', SIZE));
  const next = numbers(9);
  const at = [0, 0, 0];
  for (let read = 0; read < 96; read++) {
    const process = next(3);
    known.reading(handle, 100 + process, process * 300 * MIB + at[process]!++ * MIB, 64 * KIB, read);
  }
  const seen = known.snapshot();
  assert.deepEqual(
    seen.map(({ process, pattern }) => [process, pattern]).sort(),
    [100, 101, 102].map((process) => [process, 'strided']),
  );
});

test('what is known of files and streams is bounded', () => {
  const known = streams();
  const forgotten: string[] = [];
  known.listener = { began: () => {}, read: () => {}, forgotten: (file) => forgotten.push(file.path()) };
  for (let file = 0; file < 300; file++) {
    const handle = handleOf(new FakeFile(`file ${file}`, SIZE));
    for (let thread = 0; thread < 40; thread++) known.reading(handle, thread + 1, thread * MIB, 4096, file);
  }
  assert.equal(forgotten.length, 300 - 256);
  assert.equal(forgotten[0], 'file 0');
  assert.ok(known.snapshot().length <= 32);
});

test('what is expected of a file is how others of its directory were read last, of the first what its name says', () => {
  const known = streams();
  const next = new FakeFile('tables/next', SIZE);
  const read = (path: string, offset: (at: number) => number): void => {
    const handle = handleOf(new FakeFile(path, SIZE));
    for (let at = 0; at < READS; at++) known.reading(handle, 7, offset(at), 128 * KIB, at);
  };
  assert.equal(known.expects(next), 'unknown');
  read('tables/a', (at) => at * 128 * KIB);
  assert.equal(known.expects(next), 'sequential');
  assert.equal(known.expects(new FakeFile('other/next', SIZE)), 'unknown');
  read('tables/b', () => random(SIZE / 4096) * 4096);
  assert.equal(known.expects(next), 'random');
  assert.equal(known.expects(new FakeFile('shards/000.tar', SIZE)), 'sequential');
  assert.equal(known.expects(new FakeFile('tables/000.tar', SIZE)), 'random');
});
