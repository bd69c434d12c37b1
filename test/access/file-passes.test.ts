/** Passes over the records of one large file, from its READs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Readers } from '../../src/access/data-set-readers.ts';
import { FilePasses } from '../../src/access/file-passes.ts';
import { Streams } from '../../src/access/streams.ts';
import { type Random, randomFrom } from '../cache/damages.ts';
import { FakeFile, handleOf } from './trace-support.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function shuffled(count: number, random: Random): number[] {
  const keyed = Array.from({ length: count }, (_, value) => ({ value, at: random(2 ** 30) }));
  return keyed.sort((a, b) => a.at - b.at).map(({ value }) => value);
}

/** What is told once so many records were read. */
function read(passes: FilePasses, records: Iterable<number>, recordBytes: number): [number | null, number | null] {
  for (const record of records) passes.read(record * recordBytes, recordBytes);
  const { epoch, epochDone } = passes;
  return [epoch, epochDone === null ? null : Math.round(epochDone * 100)];
}

describe('records in another order each time', () => {
  for (const [sizeBytes, recordBytes] of [
    [8 * MIB, 4 * KIB],
    [64 * MIB, 8 * KIB],
    [256 * MIB, 256 * KIB],
    [1024 * MIB, 12 * KIB],
    [3 * MIB + 1, 4 * KIB],
  ] as const) {
    test(`${sizeBytes} bytes, records of ${recordBytes}`, () => {
      const passes = new FilePasses(sizeBytes);
      const count = Math.floor(sizeBytes / recordBytes);
      const random = randomFrom(5);
      for (let pass = 1; pass <= 3; pass++) {
        const order = shuffled(count, random);
        const [epoch, done] = read(passes, order.slice(0, Math.floor(count / 2)), recordBytes);
        assert.equal(epoch, pass);
        assert.ok(done! >= 46 && done! <= 54, `half: ${done}`);
        const all = read(passes, order.slice(Math.floor(count / 2)), recordBytes);
        assert.equal(all[0], pass);
        assert.ok(all[1]! >= 97, `all: ${all[1]}`);
      }
    });
  }
});

test('from start to end, again and again', () => {
  const passes = new FilePasses(100 * MIB);
  const order = Array.from({ length: 100 }, (_, at) => at);
  assert.deepEqual(read(passes, order, MIB), [1, 100]);
  assert.deepEqual(read(passes, order, MIB), [2, 100]);
  assert.deepEqual(read(passes, order.slice(0, 30), MIB), [3, 30]);
});

test('a part of the file, again and again', () => {
  const passes = new FilePasses(64 * MIB);
  const random = randomFrom(2);
  for (let pass = 1; pass <= 3; pass++) {
    const [epoch, done] = read(passes, shuffled(2048, random), 8 * KIB);
    assert.deepEqual([epoch, done], [pass, 25]);
  }
});

test('in pieces of less than a page', () => {
  const passes = new FilePasses(4 * MIB);
  const order = Array.from({ length: 4096 }, (_, at) => at);
  assert.deepEqual(read(passes, order, KIB), [1, 100]);
});

describe('no passes are made up', () => {
  test('of records taken with replacement, however many', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const passes = new FilePasses(64 * MIB);
      const random = randomFrom(seed);
      const records = 8192;
      read(
        passes,
        Array.from({ length: Math.floor(records / 3) }, () => random(records)),
        8 * KIB,
      );
      for (let looks = 0; looks < 40; looks++) {
        const some = Array.from({ length: Math.floor(records / 10) }, () => random(records));
        assert.equal(read(passes, some, 8 * KIB)[0], null, `seed ${seed}, look ${looks}`);
      }
    }
  });
  test('of a few reads', () => assert.deepEqual(read(new FilePasses(64 * MIB), [1, 5, 9], MIB), [null, null]));
  test('of a file whose size is not known', () => {
    assert.deepEqual(read(new FilePasses(Number.POSITIVE_INFINITY), [1, 5, 9], MIB), [null, null]);
  });
});

test('all who read a file count together, and each is told', () => {
  const streams = new Streams(new Readers((thread) => ({ pid: thread, command: 'python3', job: 1 })));
  const file = new FakeFile('table.bin', 64 * MIB);
  const handles = [handleOf(file), handleOf(file)];
  for (const [at, record] of shuffled(8192, randomFrom(1)).entries()) {
    streams.reading(handles[at % 2]!, 10 + (at % 2), record * 8 * KIB, 8 * KIB, at);
  }
  const told = streams.snapshot().map(({ process, epoch, epochDone }) => ({ process, epoch, epochDone }));
  assert.deepEqual(told, [
    { process: 11, epoch: 1, epochDone: 1 },
    { process: 10, epoch: 1, epochDone: 1 },
  ]);
});
