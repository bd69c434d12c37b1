/**
 * A cache smaller than large files, without a mount: what is kept of them spares the store as much from the second epoch on.
 * READs come as the kernel sends them: windows of 1 MiB of a shard that is streamed, pages of a row of a mapped table.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCache } from '../../src/cache/index.ts';
import type { Caller } from '../../src/overlay/filesystem.ts';
import { Overlay, ROOT } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { failed } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { dice, shuffled } from '../cache/eviction/workloads.ts';

const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };
const MIB = 1 << 20;
const PAGE = 4096;
const EPOCHS = 3;
const UNSETTLED_MS = 60;
/** Nothing of a file is kept in memory from open to open: each epoch asks for every byte. */
const PARTS = { log: silentLog, attributesTtlMs: 60_000, passthroughMinBytes: 1 << 30, keepCache: false };

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-in-part-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));

const contentOf = (file: number, bytes: number): Buffer =>
  Buffer.alloc(bytes, Buffer.from(Array.from({ length: 8191 }, (_, at) => (at * 31 + file * 7) & 0xff)));

interface Reader {
  read: (offset: number, size: number) => Promise<void>;
  close: () => void;
}

interface Stage {
  open: (file: number) => Promise<Reader>;
  /** Bytes that the store sent while something was done, and until nothing more is under way. */
  sent: (work: () => Promise<void>) => Promise<number>;
}

async function onOverlay(files: number, fileBytes: number, share: number, body: (stage: Stage) => Promise<void>) {
  const directory = fs.mkdtempSync(path.join(workspace, 'stage-'));
  const source = path.join(directory, 'source');
  fs.mkdirSync(source);
  const truth = Array.from({ length: files }, (_, file) => contentOf(file, fileBytes));
  for (const [file, bytes] of truth.entries()) fs.writeFileSync(path.join(source, `${file}.tar`), bytes);
  await sleep(UNSETTLED_MS);
  const store = await openPosixStore({ root: source, speed: 'pooled', readOnly: false, log: silentLog });
  const cache = await openCache({
    directory: path.join(directory, 'cache'),
    sizeBytes: files * fileBytes * share,
    reserveBytes: 0,
    storeId: store.id,
    log: silentLog,
  });
  const overlay = new Overlay({ ...PARTS, store, cache });
  const counted = async (): Promise<number> => {
    for (let last = '', same = 0; ; await sleep(20)) {
      const { requests, bytes } = store.counts();
      const state = `${requests} ${cache.snapshot().usedBytes} ${cache.snapshot().heldBytes}`;
      same = state === last ? same + 1 : 0;
      if (same === 5) return bytes;
      last = state;
    }
  };
  try {
    await body({
      async open(file) {
        const entry = await overlay.lookup(ROOT, `${file}.tar`, CALLER);
        assert.ok(!failed(entry));
        const opened = await overlay.open(entry.node, fs.constants.O_RDONLY, false, CALLER);
        assert.ok(!failed(opened));
        return {
          async read(offset, size) {
            const into = Buffer.alloc(size);
            const reply = await overlay.read(entry.node, opened.handle, offset, size, into, CALLER);
            assert.ok(typeof reply !== 'number' || reply >= 0);
            const bytes = typeof reply === 'number' ? into.subarray(0, reply) : reply.bytes;
            assert.ok(truth[file]!.subarray(offset, offset + size).equals(bytes), `file ${file} at ${offset}`);
            if (typeof reply !== 'number') reply.release?.();
          },
          close: () => overlay.release(entry.node, opened.handle),
        };
      },
      async sent(work) {
        const before = await counted();
        await work();
        return (await counted()) - before;
      },
    });
    assert.ok(cache.snapshot().usedBytes <= cache.snapshot().sizeBytes);
  } finally {
    await overlay.stop();
  }
}

const SHARDS = 8;
const SHARD = 6 * MIB;
const WORKERS = 4;

for (const order of ['fixed', 'shuffled'] as const) {
  for (const share of [0.25, 0.5, 0.75]) {
    test(`tar shards, ${order}, with ${share} of the data: the rest is asked of the store, and no more`, async () => {
      await onOverlay(SHARDS, SHARD, share, async (stage) => {
        const random = dice(3);
        const numbers = Array.from({ length: SHARDS }, (_, at) => at);
        for (let epoch = 0; epoch < EPOCHS; epoch++) {
          const shards = order === 'fixed' ? numbers : shuffled(numbers, random);
          const worker = async (number: number): Promise<void> => {
            for (let at = number; at < SHARDS; at += WORKERS) {
              const reader = await stage.open(shards[at]!);
              for (let offset = 0; offset < SHARD; offset += MIB) await reader.read(offset, MIB);
              reader.close();
            }
          };
          const sent = await stage.sent(async () => {
            await Promise.all(Array.from({ length: WORKERS }, (_, number) => worker(number)));
          });
          if (epoch > 0) assert.ok(sent <= 1.05 * (1 - share) * SHARDS * SHARD, `epoch ${epoch + 1}: ${sent}`);
        }
      });
    });
  }
}

const TABLE = 8 * MIB;
const ROW = 8192;
const MAPPERS = 8;

test('rows of a mapped table, with 0.5 of it: the rest is asked of the store, and no more', async () => {
  await onOverlay(1, TABLE, 0.5, async (stage) => {
    const random = dice(4);
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      const rows = shuffled(
        Array.from({ length: TABLE / ROW }, (_, row) => row),
        random,
      );
      const reader = await stage.open(0);
      const sent = await stage.sent(async () => {
        const mapper = async (number: number): Promise<void> => {
          for (let at = number; at < rows.length; at += MAPPERS) {
            for (let page = 0; page < ROW; page += PAGE) await reader.read(rows[at]! * ROW + page, PAGE);
          }
        };
        await Promise.all(Array.from({ length: MAPPERS }, (_, number) => mapper(number)));
      });
      reader.close();
      if (epoch > 0) assert.ok(sent <= (1.05 * TABLE) / 2, `epoch ${epoch + 1}: ${sent}`);
    }
  });
});
