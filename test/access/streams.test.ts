/** How a file is read, from its READs as the kernel sends them: runs, strides, and what each stream is taken for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Readers } from '../../src/access/data-set-readers.ts';
import { Runs } from '../../src/access/detectors/sequential.ts';
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
  'backward, READs that overtake each other': {
    is: 'backward',
    reads: overtaking(
      times(READS, (at) => [SIZE - (at + 1) * 128 * KIB, 128 * KIB]),
      3,
    ),
  },
  'pieces, each from its end': {
    is: 'backward',
    reads: times(READS, (at) => [((at >> 3) + 1) * MIB - ((at & 7) + 1) * 128 * KIB, 128 * KIB]),
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

test('who reads by turns with another on one descriptor reads on and on, though the later READs come first', () => {
  const known = streams();
  const handle = handleOf(new FakeFile('big', SIZE));
  for (let turn = 0; turn < 2 * READS; turn += 2) {
    known.reading(handle, 8, (turn + 1) * MIB, MIB / 2, turn);
    for (const half of [0, 1]) known.reading(handle, 7, turn * MIB + (half * MIB) / 2, MIB / 2, turn);
    known.reading(handle, 8, (turn + 1) * MIB + MIB / 2, MIB / 2, turn);
  }
  for (const { pattern, stepBytes } of known.snapshot()) assert.deepEqual([pattern, stepBytes], ['sequential', null]);
});

test('eight processes that copy a mapping in pieces, each from its end, read backward', () => {
  const known = streams();
  const handles = times(8, () => [0, 0]).map(() => handleOf(new FakeFile('model', SIZE)));
  const file = handles[0]!.inode;
  const next = numbers(11);
  const PIECE = 4 * MIB;
  for (let piece = 0; piece < 8; piece++) {
    for (let left = PIECE; left > 0; left -= 16 * KIB) {
      const process = next(8);
      known.reading(
        { ...handles[process]!, inode: file },
        100 + process,
        piece * PIECE + left - 16 * KIB,
        16 * KIB,
        left,
      );
    }
  }
  const seen = known.snapshot();
  assert.equal(seen.length, 8);
  for (const { pattern } of seen) assert.equal(pattern, 'backward');
});

test('a run goes backward, past what came early, to where the file begins, and forward from there', () => {
  const runs = new Runs();
  const run = runs.came(4 * MIB - 64 * KIB, 64 * KIB);
  for (let end = 4 * MIB - 64 * KIB; end > 0; end -= 64 * KIB) {
    // A page of the READ after the next; of all that was read no more than an eighth may be missing meanwhile.
    if (end === 2.5 * MIB || end === MIB) assert.equal(runs.came(end - 128 * KIB, 4 * KIB), run);
    assert.equal(runs.came(end - 64 * KIB, 64 * KIB), run);
  }
  assert.deepEqual([run.begin, run.end, run.backward], [0, 4 * MIB, true]);
  assert.equal(runs.came(4 * MIB, 64 * KIB), run);
  assert.ok(!run.backward);
});

test('pieces that are each read from their end make one run, and the next is believed at its second READ', () => {
  const runs = new Runs();
  const whole = runs.came(0, 64 * KIB);
  const piece = (begin: number, end: number): boolean[] => {
    const sure: boolean[] = [];
    for (let at = end; at > begin; at -= 64 * KIB) sure.push(runs.came(at - 64 * KIB, 64 * KIB).sure);
    return sure;
  };
  assert.equal(piece(64 * KIB, 4 * MIB).indexOf(true), 15); // as long as anybody else
  assert.deepEqual([whole.begin, whole.end, whole.backward], [0, 4 * MIB, false]);
  assert.equal(piece(4 * MIB, 9 * MIB).indexOf(true), 1);
  // The READ in between goes on with both.
  assert.deepEqual([whole.end, whole.pieceBytes], [9 * MIB, 5 * MIB - 64 * KIB]);
  assert.equal(piece(32 * MIB, 33 * MIB).indexOf(true), 15); // too far away to be the next
});

test('pieces that are read forward, each before the last, make one run; a second pass over all of it is another', () => {
  const runs = new Runs();
  const last = new Set<number>();
  for (let begin = 30 * MIB; begin >= 0; begin -= 2 * MIB) {
    for (let at = 0; at < 2 * MIB; at += 128 * KIB) last.add(runs.came(begin + at, 128 * KIB).begun);
  }
  const whole = runs.came(32 * MIB - 128 * KIB, 128 * KIB);
  assert.deepEqual([whole.begin, whole.end, last.size], [0, 32 * MIB, 16]);
  const again = new Set<number>();
  for (let at = 0; at < 32 * MIB; at += 128 * KIB) again.add(runs.came(at, 128 * KIB).begun);
  assert.deepEqual([...again], [whole.begun, 17]); // the first ones may be late
});

test('who comes to where an earlier pass began goes on by himself', () => {
  const runs = new Runs();
  for (let at = MIB; at < 32 * MIB; at += 128 * KIB) runs.came(at, 128 * KIB);
  const again = runs.came(0, 128 * KIB);
  for (let at = 128 * KIB; at < 32 * MIB; at += 128 * KIB) assert.equal(runs.came(at, 128 * KIB), again);
});

test('of two readers that come to each other each goes on by itself', () => {
  const runs = new Runs();
  const upper = runs.came(8 * MIB, 128 * KIB);
  const lower = runs.came(0, 128 * KIB);
  for (let at = 128 * KIB; at < 8 * MIB; at += 128 * KIB) {
    assert.equal(runs.came(8 * MIB + at, 128 * KIB), upper);
    assert.equal(runs.came(at, 128 * KIB), lower);
  }
  assert.equal(runs.came(16 * MIB, 128 * KIB), upper);
  assert.deepEqual([lower.end, upper.begin, upper.backward], [8 * MIB, 8 * MIB, false]);
});

test('a READ that closes several gaps makes one run of all', () => {
  const runs = new Runs();
  const run = runs.came(0, 64 * KIB);
  for (const at of [3, 2, 5, 1]) runs.came(at * 64 * KIB, 64 * KIB);
  assert.equal(runs.came(4 * 64 * KIB, 64 * KIB), run);
  assert.deepEqual([run.begin, run.end, run.reads], [0, 6 * 64 * KIB, 6]);
});

test('what is known of files and streams is bounded', () => {
  const known = streams();
  const forgotten: string[] = [];
  known.listener = {
    began: () => {},
    joined: () => {},
    read: () => {},
    forgotten: (file) => forgotten.push(file.path()),
  };
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
