/** Reading ahead without a mount: who is read ahead of, how far, and that nothing is asked of the store twice. */
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
import { Errno, failed } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';

const CALLER: Caller = { uid: 0, gid: 0, pid: 1, supplementaryGroup: -1, askedMs: 0 };
const MIB = 1 << 20;
const SIZE = 24 * MIB + 5000;
const AHEAD = 4 * MIB;
const UNSETTLED_MS = 60;

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-read-ahead-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;
const truth = Buffer.alloc(SIZE, Buffer.from(Array.from({ length: 65_521 }, (_, at) => (at * 31) & 0xff)));

interface Stage {
  overlay: Overlay;
  /** What the store was asked: from where to where. */
  asked: { from: number; to: number }[];
  /** Reads of the store that begin there or behind it fail. */
  failFrom: (offset: number) => void;
  open: () => Promise<number>;
  /** Through a handle, as the kernel does; checks every byte. */
  read: (handle: number, offset: number, size: number) => Promise<void>;
}

async function onOverlay(
  options: { sizeBytes?: number; readAheadBytes?: number },
  body: (stage: Stage) => Promise<void>,
) {
  const directory = path.join(workspace, String(serial++));
  const source = path.join(directory, 'source');
  fs.mkdirSync(source, { recursive: true });
  fs.writeFileSync(path.join(source, 'model'), truth);
  await sleep(UNSETTLED_MS);
  const store = await openPosixStore({ root: source, speed: 'pooled', readOnly: false, log: silentLog });
  const asked: Stage['asked'] = [];
  let failing = Number.POSITIVE_INFINITY;
  const readStore = store.read.bind(store);
  store.read = (file, into, length, offset, end) => {
    asked.push({ from: offset, to: Math.min(offset + length, SIZE) });
    return offset >= failing ? -Errno.EIO : readStore(file, into, length, offset, end);
  };
  fs.mkdirSync(path.join(directory, 'cache'));
  const { sizeBytes = 64 * MIB, readAheadBytes = AHEAD } = options;
  const cache = await openCache({
    directory: path.join(directory, 'cache'),
    sizeBytes,
    reserveBytes: 0,
    storeId: store.id,
    log: silentLog,
  });
  const parts = { store, cache, log: silentLog, attributesTtlMs: 60_000, passthroughMinBytes: MIB };
  const overlay = new Overlay({ ...parts, readAheadBytes });
  try {
    const entry = await overlay.lookup(ROOT, 'model', CALLER);
    assert.ok(!failed(entry));
    await body({
      overlay,
      asked,
      failFrom: (offset) => {
        failing = offset;
      },
      async open() {
        const opened = await overlay.open(entry.node, fs.constants.O_RDONLY, false, CALLER);
        assert.ok(!failed(opened));
        return opened.handle;
      },
      async read(handle, offset, size) {
        const into = Buffer.alloc(size);
        const reply = await overlay.read(entry.node, handle, offset, size, into, CALLER);
        const bytes = typeof reply === 'number' ? into.subarray(0, reply) : Buffer.from(reply.bytes);
        assert.ok(typeof reply !== 'number' || reply >= 0, `${reply} at ${offset}`);
        assert.ok(bytes.equals(truth.subarray(offset, offset + size)), `the bytes at ${offset}`);
        if (typeof reply !== 'number') reply.release?.();
      },
    });
  } finally {
    await overlay.stop();
  }
}

/** Until nothing more is brought. */
async function atRest({ overlay, asked }: Stage): Promise<void> {
  for (let last = ''; ; await sleep(30)) {
    const state = JSON.stringify([asked.length, overlay.prefetched()]);
    if (state === last) return;
    last = state;
  }
}

const furthest = ({ asked }: Stage): number => Math.max(...asked.map(({ to }) => to));
const bytesAsked = ({ asked }: Stage): number => asked.reduce((sum, { from, to }) => sum + to - from, 0);

test('a reader on and on is read ahead of, as far as it has come and no further than allowed', async () => {
  await onOverlay({}, async (stage) => {
    const handle = await stage.open();
    for (let at = 0; at < 2; at++) await stage.read(handle, at * MIB, MIB);
    await atRest(stage);
    assert.equal(furthest(stage), 2 * MIB, 'two reads are no stream');
    await stage.read(handle, 2 * MIB, MIB);
    await atRest(stage);
    assert.equal(furthest(stage), 6 * MIB, 'as far again as it has come');
    await stage.read(handle, 3 * MIB, MIB);
    await stage.read(handle, 4 * MIB, MIB);
    await atRest(stage);
    assert.equal(furthest(stage), 5 * MIB + AHEAD);
    for (let at = 5 * MIB; at < SIZE; at += MIB) await stage.read(handle, at, MIB);
    await atRest(stage);
    assert.equal(bytesAsked(stage), SIZE, 'every byte was asked for once');
    const { bytes, usedBytes } = stage.overlay.prefetched();
    assert.ok(bytes >= SIZE / 4, `${bytes} brought ahead`);
    assert.equal(usedBytes, bytes, 'and all of it was read');
  });
});

test('readers of one file at one place are one stream, whichever handle the kernel reads by', async () => {
  await onOverlay({}, async (stage) => {
    const handles = await Promise.all(Array.from({ length: 8 }, () => stage.open()));
    const half = MIB / 2;
    // As the windows of mappings come: two at a time, the later one first now and then.
    for (let at = 0, number = 0; at < SIZE; at += MIB, number++) {
      const pair = [
        stage.read(handles[number % 8]!, at + half, half),
        stage.read(handles[(number + 3) % 8]!, at, half),
      ];
      await Promise.all(number % 3 === 0 ? pair : pair.reverse());
    }
    await atRest(stage);
    assert.equal(bytesAsked(stage), SIZE);
    assert.ok(stage.overlay.prefetched().bytes >= SIZE / 4);
  });
});

test('nobody is read ahead of who reads here and there, or when it is switched off', async () => {
  for (const readAheadBytes of [AHEAD, 0]) {
    await onOverlay({ readAheadBytes }, async (stage) => {
      const handle = await stage.open();
      for (let at = 0; at < 12; at++) await stage.read(handle, ((at * 7) % 12) * 2 * MIB, 8192);
      for (let at = 0; readAheadBytes === 0 && at < 8; at++) await stage.read(handle, at * MIB, MIB);
      await atRest(stage);
      assert.deepEqual(stage.overlay.prefetched(), { bytes: 0, usedBytes: 0 });
    });
  }
});

test('what a full cache would not keep is not read ahead', async () => {
  await onOverlay({ sizeBytes: 4 * MIB }, async (stage) => {
    const handle = await stage.open();
    for (let at = 0; at < SIZE; at += MIB) await stage.read(handle, at, MIB);
    await atRest(stage);
    assert.ok(stage.overlay.prefetched().bytes <= 4 * MIB);
    // What was on its way ahead when the room ran out is all that can have been asked for in vain.
    assert.ok(bytesAsked(stage) <= SIZE + AHEAD, `${bytesAsked(stage)} asked for`);
  });
});

test('an error ahead of a reader is no error of the reader', async () => {
  await onOverlay({}, async (stage) => {
    const handle = await stage.open();
    stage.failFrom(4 * MIB);
    for (let at = 0; at < 4; at++) await stage.read(handle, at * MIB, MIB);
    await atRest(stage);
    assert.ok(furthest(stage) > 4 * MIB, 'it was tried');
    stage.failFrom(Number.POSITIVE_INFINITY);
    for (let at = 4; at < 24; at++) await stage.read(handle, at * MIB, MIB);
  });
});
