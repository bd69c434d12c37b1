/** Reading ahead without a mount: who is read ahead of, how far, and that nothing is asked of the store twice. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Access } from '../../src/access/access.ts';
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
  const access = new Access();
  const overlay = new Overlay({
    store,
    cache,
    log: silentLog,
    observer: access,
    attributesTtlMs: 60_000,
    passthroughMinBytes: MIB,
    prefetch: {
      bulk: 'off',
      jobWidth: async () => 1,
      underWayMost: 24,
      aheadBytes: readAheadBytes,
      plans: { log: silentLog, mountpoint: '/mnt/ml' },
    },
  });
  if (overlay.prefetch !== undefined) access.feed(overlay.prefetch);
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
    await access.stop();
  }
}

/** What was brought ahead of readers, and what of it was read. */
function prefetched({ overlay }: Stage): { bytes: number; usedBytes: number } {
  const sum = { bytes: 0, usedBytes: 0 };
  for (const { broughtBytes, usedBytes } of overlay.prefetch?.snapshot().totals.values() ?? []) {
    sum.bytes += broughtBytes;
    sum.usedBytes += usedBytes;
  }
  return sum;
}

/** Until nothing more is brought. */
async function atRest(stage: Stage): Promise<void> {
  for (let last = ''; ; await sleep(30)) {
    const state = JSON.stringify([stage.asked.length, prefetched(stage)]);
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
    assert.ok(furthest(stage) >= 5 * MIB + AHEAD && furthest(stage) <= 5 * MIB + 4 * AHEAD, `${furthest(stage)}`);
    for (let at = 5 * MIB; at < SIZE; at += MIB) await stage.read(handle, at, MIB);
    await atRest(stage);
    assert.equal(bytesAsked(stage), SIZE, 'every byte was asked for once');
    const { bytes, usedBytes } = prefetched(stage);
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
    assert.ok(prefetched(stage).bytes >= SIZE / 4);
  });
});

test('nobody is read ahead of who reads here and there, or when it is switched off', async () => {
  for (const readAheadBytes of [AHEAD, 0]) {
    await onOverlay({ readAheadBytes }, async (stage) => {
      const handle = await stage.open();
      for (const at of [3, 17, 4, 11, 1, 22, 9, 14, 0, 19, 6, 12]) await stage.read(handle, at * MIB, 8192);
      for (let at = 0; readAheadBytes === 0 && at < 8; at++) await stage.read(handle, at * MIB, MIB);
      await atRest(stage);
      assert.deepEqual(prefetched(stage), { bytes: 0, usedBytes: 0 });
    });
  }
});

test('what a full cache would not keep is not read ahead', async () => {
  await onOverlay({ sizeBytes: 4 * MIB }, async (stage) => {
    const handle = await stage.open();
    for (let at = 0; at < SIZE; at += MIB) await stage.read(handle, at, MIB);
    await atRest(stage);
    assert.ok(prefetched(stage).bytes <= 4 * MIB);
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

test('of a strided file the places that are read are brought, ahead of their reader, and nothing else', async () => {
  const piece = 64 * 1024;
  for (const backward of [false, true]) {
    await onOverlay({}, async (stage) => {
      const handle = await stage.open();
      // Its last place would be cut short by the end of the file.
      const places = Array.from({ length: 23 }, (_, at) => (backward ? 22 - at : at) * MIB);
      for (const place of places) {
        await stage.read(handle, place, piece);
        await atRest(stage);
      }
      const beyond = backward ? 0 : piece + (SIZE % piece); // the two places that nobody came to
      assert.equal(bytesAsked(stage), places.length * piece + beyond);
      const { usedBytes } = prefetched(stage);
      assert.equal(usedBytes, (places.length - 3) * piece, 'all after three');
    });
  }
});

test('a reader backward is gone ahead of, and two readers by turns are', async () => {
  const piece = 256 * 1024;
  await onOverlay({}, async (stage) => {
    const handle = await stage.open();
    for (let at = SIZE - (SIZE % piece) - piece; at >= 0; at -= piece) {
      await stage.read(handle, at, piece);
      await atRest(stage);
    }
    const { bytes, usedBytes } = prefetched(stage);
    assert.ok(bytes >= SIZE * 0.9, `${bytes} brought ahead`);
    assert.equal(usedBytes, bytes);
  });
  await onOverlay({}, async (stage) => {
    const handle = await stage.open();
    const half = 12 * MIB;
    for (let at = 0; at < half; at += piece) {
      await stage.read(handle, at, piece);
      await stage.read(handle, half + at, piece);
      await atRest(stage);
    }
    const { bytes, usedBytes } = prefetched(stage);
    assert.ok(bytes >= SIZE * 0.6, `${bytes} brought ahead`);
    assert.ok(usedBytes >= bytes * 0.9, `${usedBytes} of ${bytes} read`);
  });
});
