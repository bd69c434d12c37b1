/** What readers of large files get of a link, in virtual time: the goals of prefetching inside files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Link, VirtualMount, VirtualStore } from './virtual-store.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LINK: Link = { latencyMs: 5, bytesPerSecond: 200e6 };

type Read = readonly [offset: number, size: number, process?: number];

/** The share of the link that readers side by side got, and what was asked of the store for each byte that was read. */
async function shareOf(
  link: Link,
  size: number,
  readers: Read[][],
  aheadBytes?: number,
): Promise<{ share: number; asked: number }> {
  const store = new VirtualStore(link);
  const mount = new VirtualMount(store, { big: size }, aheadBytes);
  let seconds = 0;
  const all = Promise.all(readers.map((reads, number) => mount.reads('big', reads, number + 1)));
  await store.during(
    all.then((took) => {
      seconds = Math.max(...took.map((reader) => reader.seconds));
    }),
  );
  await store.during(mount.prefetch.stop());
  const bytes = readers.flat().reduce((sum, [, length]) => sum + length, 0);
  return { share: bytes / link.bytesPerSecond / seconds, asked: store.bytes / bytes };
}

const times = (count: number, read: (at: number) => Read): Read[] => Array.from({ length: count }, (_, at) => read(at));

/** One piece after the other, each by READs from its end to its beginning. */
function pieces(bytes: number, pieceBytes: number, readBytes: number): Read[] {
  const reads: Read[] = [];
  for (let begin = 0; begin < bytes; begin += pieceBytes) {
    for (let end = Math.min(bytes, begin + pieceBytes); end > begin; end -= readBytes) {
      reads.push([Math.max(begin, end - readBytes), Math.min(readBytes, end - begin)]);
    }
  }
  return reads;
}

interface Case {
  readers: Read[][];
  size?: number;
  link?: Link;
  share: number;
  asked: number;
}

const cases: Record<string, Case> = {
  'from start to end': { readers: [times(256, (at) => [at * MIB, MIB])], share: 0.95, asked: 1 },
  'from start to end, by 128 KiB': {
    readers: [times(2048, (at) => [at * 128 * KIB, 128 * KIB])],
    share: 0.95,
    asked: 1,
  },
  'from start to end of a store far away': {
    readers: [times(512, (at) => [at * MIB, MIB])],
    size: 512 * MIB,
    link: { latencyMs: 20, bytesPerSecond: 500e6 },
    share: 0.85,
    asked: 1,
  },
  '64 KiB of each MiB': {
    readers: [times(1024, (at) => [at * MIB, 64 * KIB])],
    size: 1024 * MIB,
    share: 0.9,
    asked: 1.1,
  },
  backward: { readers: [times(1024, (at) => [256 * MIB - (at + 1) * 256 * KIB, 256 * KIB])], share: 0.9, asked: 1.01 },
  // What eight processes fault in that copy a mapping side by side, each piece from its end (memmove): whoever comes first.
  'a mapping, copied backward in pieces of 16 MiB': {
    readers: [
      pieces(256 * MIB, 16 * MIB, 20 * KIB).map(([offset, size], at) => [offset, size, (at * 7 + (at >> 3)) % 8]),
    ],
    share: 0.87,
    asked: 1,
  },
  'pieces of other sizes, copied backward': {
    readers: [pieces(256 * MIB, 5 * MIB + 12 * KIB, 20 * KIB)],
    share: 0.85,
    asked: 1,
  },
  'two processes by turns on one descriptor, the later first': {
    readers: [
      times(1024, (at): Read => {
        const order = [4, 0, 1, 2, 3, 5, 6, 7][at & 7]!;
        return [(at >> 3) * 2 * MIB + order * 256 * KIB, 256 * KIB, order >> 2];
      }),
    ],
    share: 0.95,
    asked: 1,
  },
  'two processes by turns, each far ahead of itself': {
    readers: [
      times(1024, (at): Read => {
        const order = [8, 9, 10, 11, 12, 13, 14, 0, 1, 2, 3, 4, 5, 6, 7, 15][at & 15]!;
        return [(at >> 4) * 4 * MIB + order * 256 * KIB, 256 * KIB, order >> 3];
      }),
    ],
    share: 0.9,
    asked: 1,
  },
  'large pieces, copied backward, and now and then a page far ahead': {
    readers: [
      pieces(256 * MIB, 64 * MIB, 64 * KIB).flatMap(([offset, size], at): Read[] =>
        at % 64 === 32
          ? [
              [Math.max(0, offset - 512 * KIB), 4 * KIB],
              [offset, size],
            ]
          : [[offset, size]],
      ),
    ],
    share: 0.85,
    asked: 1,
  },
  'two places by turns': {
    readers: [times(1024, (at) => [(at % 2) * 128 * MIB + (at >> 1) * 256 * KIB, 256 * KIB])],
    share: 0.9,
    asked: 1.1,
  },
  'two readers': {
    readers: [0, 1].map((half) => times(128, (at) => [(half * 128 + at) * MIB, MIB])),
    share: 0.9,
    asked: 1.1,
  },
  'eight workers with a shard each': {
    readers: [0, 1, 2, 3, 4, 5, 6, 7].map((shard) =>
      times(256, (at) => [shard * 64 * MIB + at * 256 * KIB, 256 * KIB]),
    ),
    size: 512 * MIB,
    share: 0.95,
    asked: 1,
  },
  'a tile: 4 rows of 128 KiB in each 4 MiB, 256 KiB apart': {
    readers: [times(1024, (at) => [(at >> 2) * 4 * MIB + (at & 3) * 256 * KIB, 128 * KIB])],
    size: 1024 * MIB,
    share: 0.9,
    asked: 1.1,
  },
};

for (const [name, { readers, size = 256 * MIB, link = LINK, share, asked }] of Object.entries(cases)) {
  test(`${name}: ${share} of the link, and no more than ${asked} bytes for each that is read`, async (context) => {
    const got = await shareOf(link, size, readers);
    context.diagnostic(`${got.share.toFixed(3)} of the link, ${got.asked.toFixed(3)} bytes asked for`);
    assert.ok(got.share >= share, `${got.share.toFixed(3)} of the link`);
    assert.ok(got.asked <= asked, `${got.asked.toFixed(3)} bytes asked for`);
  });
}

test('who reads here and there has nothing brought', async () => {
  let state = 1;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const reads = times(2000, () => [next(16_384) * 64 * KIB, 64 * KIB]);
  const store = new VirtualStore(LINK);
  const mount = new VirtualMount(store, { big: 1024 * MIB });
  await store.during(mount.reads('big', reads).then(() => {}));
  await store.during(mount.prefetch.stop());
  const distinct = new Set(reads.map(([offset]) => offset)).size;
  assert.ok(store.bytes <= distinct * 64 * KIB * 1.01, `${store.bytes / distinct / 64 / KIB} of what was read`);
});

test('who changes his ways as soon as they are understood has hardly anything brought in vain', async (context) => {
  const steps = [1, -1, 16, 5, -16];
  let state = 7;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let start = 0;
  const reads = times(480, (at): Read => {
    const step = steps[Math.floor(at / 24) % steps.length]!;
    const span = 24 * Math.abs(step);
    if (at % 24 === 0) start = span + next(16_384 - 2 * span);
    return [(start + step * (at % 24)) * 64 * KIB, 64 * KIB];
  });
  const { asked } = await shareOf(LINK, 1024 * MIB, [reads]);
  context.diagnostic(`${asked.toFixed(3)} bytes asked for`);
  assert.ok(asked <= 1.1, `${asked.toFixed(3)} bytes asked for, for each that was read`);
});
