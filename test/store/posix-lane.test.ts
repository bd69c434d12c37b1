/** A lane lets so many calls of a store into the pool, in order, and leaves the rest of the pool to others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AnyCall, Lane, laneWidth } from '../../src/store/posix/lane.ts';
import { Errno } from '../../src/sys/errno.ts';

/** A call that ends when told to. */
function manual(diverted = false): {
  call: AnyCall;
  started: number[];
  end: (number: number, result?: number) => void;
} {
  const started: number[] = [];
  const ends = new Map<number, (result: number) => void>();
  const call: AnyCall = {
    now: () => 0,
    diverted,
    later: (...args) => {
      const number = args[0] as number;
      started.push(number);
      if (number < 0) return Promise.reject(new Error('refused'));
      return new Promise((resolve) => ends.set(number, resolve));
    },
  };
  return { call, started, end: (number, result = 0) => ends.get(number)!(result) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

// S9.1
test('calls beyond the width wait, and start in order', async () => {
  const lane = new Lane(2);
  const { call, started, end } = manual();
  const results = [0, 1, 2, 3, 4].map((number) => lane.run(call, [number]));
  assert.deepEqual([started, lane.inFlight, lane.waiting], [[0, 1], 2, 3]);
  end(1, 11);
  assert.equal(await results[1], 11);
  assert.deepEqual([started, lane.inFlight, lane.waiting], [[0, 1, 2], 2, 2]);
  results.push(lane.run(call, [5]));
  for (const number of [0, 2, 3, 4, 5]) {
    end(number, number);
    assert.equal(await results[number], number);
  }
  assert.deepEqual([started, lane.inFlight, lane.waiting], [[0, 1, 2, 3, 4, 5], 0, 0]);
});

// S9.1
test('calls that do not go to the pool have a share of their own', async () => {
  const lane = new Lane(1, 2);
  const pool = manual();
  const ring = manual(true);
  const results = [0, 1].map((number) => lane.run(pool.call, [number]));
  results.push(...[2, 3, 4].map((number) => lane.run(ring.call, [number])));
  assert.deepEqual([pool.started, ring.started, lane.inFlight, lane.waiting], [[0], [2, 3], 3, 2]);
  ring.end(2);
  assert.equal(await results[2], 0);
  assert.deepEqual([pool.started, ring.started, lane.inFlight, lane.waiting], [[0], [2, 3, 4], 3, 1]);
  const idle = lane.idle(1000);
  for (const number of [3, 4]) ring.end(number);
  pool.end(0);
  await results[0];
  assert.deepEqual([pool.started, lane.inFlight, lane.waiting], [[0, 1], 1, 0]);
  pool.end(1);
  assert.equal(await idle, true);
});

test('a call that throws is an I/O error and gives its place back', async () => {
  const lane = new Lane(1);
  const { call, end } = manual();
  const bad = lane.run(call, [-1]);
  const good = lane.run(call, [7]);
  assert.equal(await bad, -Errno.EIO);
  await turn();
  end(7);
  assert.equal(await good, 0);
});

test('idle waits for what is in flight, but not for ever', async () => {
  const lane = new Lane(1);
  const { call, end } = manual();
  assert.equal(await lane.idle(1), true);
  const result = lane.run(call, [0]);
  assert.equal(await lane.idle(5), false);
  const idle = lane.idle(1000);
  end(0);
  assert.equal(await idle, true);
  await result;
});

// S9.1
test('a quarter of the pool is left to others', (t) => {
  const before = process.env.UV_THREADPOOL_SIZE;
  t.after(() => {
    if (before === undefined) delete process.env.UV_THREADPOOL_SIZE;
    else process.env.UV_THREADPOOL_SIZE = before;
  });
  const widths: [string, number][] = [
    ['64', 48],
    ['4', 3],
    ['2', 1],
    ['1', 1],
    ['junk', 3],
    ['5000', 768],
  ];
  for (const [size, width] of widths) {
    process.env.UV_THREADPOOL_SIZE = size;
    assert.equal(laneWidth(), width);
  }
});
