/** What files are and what a process does with them, by names and bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Classifier } from '../../src/access/classify.ts';
import { type FileKind, fileKindOf, type JobKind, jobOf, type KindTotals } from '../../src/access/labels.ts';
import type { TraceEvent } from '../../src/access/trace-format.ts';

test('what a file is, by its name', () => {
  const names: Record<string, FileKind> = {
    'train/n01440764/1.JPEG': 'images',
    'shards/imagenet-0001.tar': 'shards',
    'shards/imagenet-0001.tar.gz': 'shards',
    'train.tfrecord-00001-of-00128': 'records',
    'model-00001-of-00004.safetensors': 'tensors',
    'wiki.parquet': 'tables',
    'c4.jsonl.zst': 'text',
    'features.npz': 'archives',
    'data.d/README': 'other',
    '.bashrc': 'other',
  };
  for (const [name, kind] of Object.entries(names)) assert.equal(fileKindOf(name), kind, name);
});

test('what a process does, by what most of its bytes are for', () => {
  const jobs: [KindTotals, JobKind, number][] = [
    [{ read: { images: 900, tensors: 100 }, written: {} }, 'training', 0.9],
    [{ read: { tensors: 700, text: 300 }, written: {} }, 'inference', 0.7],
    [{ read: { tensors: 100 }, written: { tensors: 300 } }, 'checkpointing', 0.75],
    [{ read: {}, written: {} }, 'unknown', 0],
    [{ read: { other: 50 }, written: {} }, 'unknown', 0],
  ];
  for (const [totals, job, confidence] of jobs) assert.deepEqual(jobOf(totals), { job, confidence });
});

test('a trace is judged by as many of the first READs as are asked for', async () => {
  const file = { node: 1, content: 0, path: 'weights.bin' };
  const by = { thread: 5, pid: 4, command: 'python3' };
  const read = (offset: number, at: number): TraceEvent => ({
    kind: 'read',
    atUs: at * 1000,
    waitUs: 10,
    by,
    handle: 1,
    file,
    offset,
    count: 65_536,
    from: 'store',
    errno: 0,
  });
  const size = 1 << 30;
  const open = { kind: 'open', atUs: 0, waitUs: 1, by, handle: 1, file, size, way: 'source' } as const;
  const opened: TraceEvent = { ...open, keptPages: false, writes: false, before: false };
  for (const [after, pattern] of [
    [32, 'sequential'],
    [64, 'strided'],
  ] as const) {
    const classifier = new Classifier(after);
    classifier.add(opened);
    for (let at = 0; at < 32; at++) classifier.add(read(at * 65_536, at + 1));
    for (let at = 0; at < 32; at++) classifier.add(read((100 + at) * (1 << 20), at + 33));
    const { streams, processes } = await classifier.document();
    assert.deepEqual(streams, [
      {
        path: 'weights.bin',
        kind: 'tensors',
        process: 4,
        command: 'python3',
        pattern,
        stepBytes: after === 32 ? null : 1 << 20,
        passes: null, // too little of it was read
        passDone: null,
        looked: after,
        reads: 64,
      },
    ]);
    assert.deepEqual(
      processes.map(({ pid, job }) => [pid, job]),
      [[4, 'inference']],
    );
  }
});
