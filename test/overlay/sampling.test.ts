/** Opens that the daemon serves to learn what the kernel hides: who meets them, and what is made of them. No mount. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test } from 'node:test';
import { Group, Hidden } from '../../src/access/hidden.ts';
import { openCache } from '../../src/cache/index.ts';
import type { Caller } from '../../src/overlay/filesystem.ts';
import { Overlay } from '../../src/overlay/index.ts';
import { openPosixStore } from '../../src/store/posix/index.ts';
import { Errno } from '../../src/sys/errno.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { type KernelFile, KernelModel } from '../support/kernel-model.ts';

const { O_RDONLY, O_RDWR } = fs.constants;
const CALLER: Caller = {
  uid: process.getuid!(),
  gid: process.getgid!(),
  pid: process.pid,
  supplementaryGroup: -1,
  askedMs: 0,
};
/** Above: passthrough. */
const PASSTHROUGH_MIN = 10_000;
const LARGE = 20_000;
const SMALL = 5_000;

const workspace = fs.mkdtempSync(path.join(os.tmpdir(), 'mlo-sampling-'));
after(() => fs.rmSync(workspace, { recursive: true, force: true }));
let serial = 0;

interface Stage {
  source: string;
  overlay: Overlay;
  kernel: KernelModel;
  put(name: string, size: number, byte?: string): void;
  open(name: string, flags?: number): Promise<KernelFile>;
  /** Opens, reads and closes; the cache, where there is one, has all of a file then. */
  read(name: string): Promise<Buffer>;
}

interface StageOptions {
  sampleOpens: number;
  cache?: boolean;
  speed?: 'inline' | 'pooled';
  withoutOpen?: boolean;
}

async function stage(options: StageOptions): Promise<Stage> {
  const root = path.join(workspace, String(serial++));
  const source = path.join(root, 'source');
  fs.mkdirSync(source, { recursive: true });
  const store = await openPosixStore({ root: source, speed: options.speed ?? 'inline', log: silentLog });
  const cache =
    options.cache === true
      ? await openCache({ directory: path.join(root, 'cache'), sizeBytes: 64 << 20, storeId: store.id, log: silentLog })
      : undefined;
  const overlay = new Overlay({
    store,
    cache,
    log: silentLog,
    attributesTtlMs: 0,
    passthroughMinBytes: PASSTHROUGH_MIN,
    timestampGranularityMs: 0,
    pushPages: false,
    sampleOpens: options.sampleOpens,
    ...(options.withoutOpen === true && { withoutOpen: true, immutable: true, readOnly: true }),
  });
  after(() => overlay.stop());
  const kernel = new KernelModel(overlay, true);
  const put = (name: string, size: number, byte = 'x'): void => {
    fs.writeFileSync(path.join(source, name), byte.repeat(size));
    fs.utimesSync(path.join(source, name), 1_700_000_000, 1_700_000_000);
  };
  const open = async (name: string, flags = O_RDONLY): Promise<KernelFile> => {
    const file = await kernel.open(`/${name}`, flags);
    assert.equal(typeof file, 'object', `open ${name}: ${String(file)}`);
    return file as KernelFile;
  };
  const read = async (name: string): Promise<Buffer> => {
    const file = await open(name);
    const bytes = await kernel.read(file, 0, 64_000);
    kernel.close(file);
    assert.ok(Buffer.isBuffer(bytes), `read ${name}: ${String(bytes)}`);
    for (let tries = 0; tries < 2000 && cache?.snapshot().completeObjects === 0; tries++) await pause();
    return bytes;
  };
  return { source, overlay, kernel, put, open, read };
}

function bytesOf(read: Buffer | number): string {
  assert.ok(Buffer.isBuffer(read), `read: ${String(read)}`);
  return read.toString('latin1');
}

async function pause(ms = 5): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

for (const cache of [false, true]) {
  const how = cache ? 'cached' : 'not cached';

  test(`who opens a file beside a sample gets passthrough after one look more (${how})`, async () => {
    const { overlay, kernel, put, open, read } = await stage({ sampleOpens: 1, cache });
    put('a', LARGE);
    await pause();
    if (cache) await read('a'); // from now on it is complete in the cache
    const before = overlay.snapshot();
    const first = await open('a');
    assert.equal(first.backingFd, undefined, 'the first is a sample');
    assert.ok(first.direct);
    const second = await open('a');
    assert.notEqual(second.backingFd, undefined, 'the second is in passthrough');
    const third = await open('a');
    assert.notEqual(third.backingFd, undefined, 'and so is the third');
    const now = overlay.snapshot();
    assert.equal(now.opensStale! - before.opensStale!, 1);
    for (const file of [first, second, third]) {
      assert.equal(bytesOf(await kernel.read(file, 0, 64_000)), 'x'.repeat(LARGE));
    }
    for (const file of [first, second, third]) kernel.close(file);

    const again = await open('a');
    assert.notEqual(again.backingFd, undefined, 'a file whose sample was in the way is not sampled again');
    kernel.close(again);
    kernel.forgetAll();
    overlay.checkInvariants();
    assert.equal(overlay.snapshot().inodes, 1, 'nothing is left behind');
  });

  test(`a sample of kept pages leaves them to the next open, and tells each read as it was made (${how})`, async () => {
    const { overlay, kernel, put, open, read } = await stage({ sampleOpens: 1, cache });
    put('a', SMALL);
    await pause();
    await read('a');
    const before = overlay.snapshot();
    const file = await open('a');
    assert.ok(file.direct);
    for (let at = 0; at < 3; at++) assert.equal(bytesOf(await kernel.read(file, 100 * at, 70)), 'x'.repeat(70));
    assert.equal(bytesOf(await kernel.read(file, SMALL, 70)), '');
    const beside = await open('a'); // pages are kept beside a sample too, which then makes no sample of its own
    kernel.close(file);
    kernel.close(beside);
    const { reads, readBytes } = overlay.snapshot();
    assert.equal(reads! - before.reads!, 4);
    assert.equal(readBytes! - before.readBytes!, 210);
    assert.equal(overlay.hidden().byWay.keptPages.sampledOpens, 2);
  });
}

test('a sample is met by a writer as any reader is', async () => {
  const { kernel, put, open } = await stage({ sampleOpens: 1, cache: true });
  put('a', LARGE);
  const reader = await open('a');
  const writer = await open('a', O_RDWR);
  assert.equal(await kernel.write(writer, 0, Buffer.from('new')), 3);
  assert.equal(bytesOf(await kernel.read(reader, 0, 4)), 'newx');
  const late = await open('a');
  assert.equal(bytesOf(await kernel.read(late, 0, 4)), 'newx');
  for (const file of [reader, writer, late]) kernel.close(file);
});

for (const speed of ['inline', 'pooled'] as const) {
  test(`an opener without a name comes to the inode of a sample that was left alone (${speed})`, async () => {
    const { source, overlay, kernel, put, open } = await stage({ sampleOpens: 1, speed });
    put('a', LARGE);
    const first = await open('a');
    const byNode = async () => overlay.open(first.node, O_RDONLY, false, CALLER); // as of /proc/self/fd/N
    assert.equal(await byNode(), -Errno.ESTALE, 'the kernel tries again');
    const opened = await byNode();
    assert.equal(typeof opened, 'object', `the second attempt: ${String(opened)}`);
    assert.equal((opened as { backingId: number }).backingId, 0);
    overlay.release(first.node, (opened as { handle: number }).handle);
    const other = await overlay.open(first.node, O_RDONLY, false, { ...CALLER, pid: CALLER.pid + 1 });
    assert.equal(other, -Errno.ESTALE, 'another thread may have a name that the kernel has not looked up since');
    // By name it is in passthrough, on another inode, at the same time.
    const second = await open('a');
    assert.notEqual(second.node, first.node);
    assert.notEqual(second.backingFd, undefined);

    fs.writeFileSync(path.join(source, 'a'), 'y'.repeat(LARGE));
    assert.equal(await byNode(), -Errno.ESTALE);
    assert.equal(await byNode(), -Errno.ESTALE, 'but not to content that the file does not have any more');
    kernel.close(first);
    kernel.close(second);
  });
}

// S2.11
test('an opener that was sent to look a replaced file up again is not sent a second time, by a sample', async () => {
  const { source, overlay, put, open, kernel } = await stage({ sampleOpens: 1 });
  put('a', LARGE);
  const old = await open('a');
  const fresh = path.join(source, 'fresh');
  fs.writeFileSync(fresh, 'y'.repeat(LARGE));
  fs.utimesSync(fresh, 1_700_000_001, 1_700_000_001);
  fs.renameSync(fresh, path.join(source, 'a'));
  const late = { ...CALLER, pid: CALLER.pid + 1 }; // still goes by the old name
  assert.equal(await overlay.open(old.node, O_RDONLY, false, late), -Errno.ESTALE);
  const sample = await open('a');
  assert.ok(sample.direct, 'somebody else was quicker, and is a sample');
  const opened = await overlay.open(sample.node, O_RDONLY, false, late);
  assert.equal(typeof opened, 'object', `the second attempt: ${String(opened)}`);
  overlay.release(sample.node, (opened as { handle: number }).handle);
  kernel.close(old);
  kernel.close(sample);
});

test('a large file is sampled with its pages, and only where many are opened', async () => {
  const { overlay, kernel, source, open } = await stage({ sampleOpens: 1 });
  fs.writeFileSync(path.join(source, 'a'), '');
  fs.truncateSync(path.join(source, 'a'), 17 * 2 ** 20);
  fs.utimesSync(path.join(source, 'a'), 1_700_000_000, 1_700_000_000);
  const file = await open('a');
  assert.equal(file.backingFd, undefined);
  assert.equal(file.direct, false);
  kernel.close(file);
  assert.equal(overlay.hidden().sampledOpens, 1);

  const other = await stage({ sampleOpens: 2 });
  other.put('b', LARGE);
  for (let i = 0; i < 8; i++) other.kernel.close(await other.open('b'));
  assert.equal(other.overlay.hidden().sampledOpens, 0, 'what is opened a few times is left alone');
});

test('about one open in N is a sample, more at first', async () => {
  const { overlay, kernel, put, open } = await stage({ sampleOpens: 64 });
  put('a', LARGE);
  for (let i = 0; i < 2000; i++) kernel.close(await open('a'));
  const first = overlay.hidden();
  assert.equal(first.opens! + first.sampledOpens, 2000);
  assert.ok(first.sampledOpens > 180 && first.sampledOpens < 320, `${first.sampledOpens} of 2,000`);
  for (let i = 0; i < 60_000; i++) kernel.close(await open('a'));
  const before = overlay.hidden().sampledOpens;
  for (let i = 0; i < 32_000; i++) kernel.close(await open('a'));
  const late = overlay.hidden().sampledOpens - before;
  assert.ok(late > 400 && late < 620, `${late} of 32,000`);
});

test('what cannot be known is null', async () => {
  const off = await stage({ sampleOpens: 0 });
  assert.deepEqual(
    [off.overlay.hidden().opens, off.overlay.hidden().reads, off.overlay.hidden().bytes],
    [0, 0, 0],
    'nothing was hidden yet',
  );
  off.put('a', LARGE);
  await off.read('a');
  const { opens, reads, bytes, sampledOpens } = off.overlay.hidden();
  assert.deepEqual({ opens, reads, bytes, sampledOpens }, { opens: 1, reads: null, bytes: null, sampledOpens: 0 });

  const without = await stage({ sampleOpens: 1, withoutOpen: true });
  const unseen = without.overlay.hidden();
  assert.deepEqual([unseen.opens, unseen.reads, unseen.bytes], [null, null, null]);
});

// --- what is made of samples -------------------------------------------------------------------------------------------

/** xorshift. */
function dice(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function sampleOf(hidden: Hidden, group: Group, size: number, weight: number, reads: number, bytes: number): void {
  const sample = hidden.sampled(group, size, weight);
  sample.reads = reads;
  sample.bytes = bytes;
  hidden.closed(sample);
}

test('readers of whole files are estimated exactly, in one call or in pieces, by few samples', () => {
  for (const readsOf of [() => 1, (size: number) => 2 + size / 1000]) {
    const hidden = new Hidden();
    const roll = dice(7);
    let [reads, bytes] = [0, 0];
    for (let i = 0; i < 5000; i++) {
      const size = 1000 * Math.ceil(roll() * 1000);
      if (i % 250 === 0) sampleOf(hidden, Group.TIER, size, 1 + (i % 500), readsOf(size), size);
      else {
        hidden.opened(Group.TIER, size);
        reads += readsOf(size);
        bytes += size;
      }
    }
    const estimate = hidden.snapshot();
    assert.equal(estimate.reads, reads);
    assert.equal(estimate.bytes, bytes);
    assert.ok(estimate.readsError! <= reads * 1e-6 && estimate.bytesError! <= bytes * 1e-6, 'and known to be exact');
  }
});

test('readers of parts are estimated as closely as the standard error says', () => {
  const RUNS = 300;
  let squares = 0;
  let within = 0;
  for (let run = 0; run < RUNS; run++) {
    const hidden = new Hidden();
    const roll = dice(1000 + run * 7919);
    let bytes = 0;
    for (let i = 0; i < 4000; i++) {
      const size = Math.ceil(roll() * 100_000);
      const read = size * roll() * 0.6;
      const every = i < 1000 ? 8 : 32; // drawn more often at first, as it is done
      if (roll() < 1 / every) sampleOf(hidden, Group.SOURCE, size, every, 1, read);
      else {
        hidden.opened(Group.SOURCE, size);
        bytes += read;
      }
    }
    const estimate = hidden.snapshot();
    const apart = (estimate.bytes! - bytes) / estimate.bytesError!;
    squares += apart ** 2;
    if (Math.abs(apart) < 2) within++;
  }
  const spread = Math.sqrt(squares / RUNS);
  assert.ok(spread > 0.85 && spread < 1.2, `${spread} standard errors`);
  assert.ok(within > RUNS * 0.9, `${within} of ${RUNS}`);
});

test('samples drawn less often weigh more', () => {
  const hidden = new Hidden();
  const roll = dice(11);
  let bytes = 0;
  for (let i = 0; i < 40_000; i++) {
    // Files are read to a tenth at first and whole later on; one in 8 is sampled at first, and one in 64 later on.
    const part = i < 20_000 ? 0.1 : 1;
    const every = i < 20_000 ? 8 : 64;
    const size = Math.ceil(roll() * 100_000);
    if (roll() < 1 / every) sampleOf(hidden, Group.KEPT_PAGES, size, every, 1, size * part);
    else {
      hidden.opened(Group.KEPT_PAGES, size);
      bytes += size * part;
    }
  }
  const estimate = hidden.snapshot().bytes!;
  assert.ok(Math.abs(estimate / bytes - 1) < 0.05, `${estimate} of ${bytes}`);
});

test('what the daemon served of kept pages after all is not hidden', () => {
  const hidden = new Hidden();
  for (let i = 0; i < 20; i++) sampleOf(hidden, Group.KEPT_PAGES, 1000, 1, 2, 1000);
  for (let i = 0; i < 100; i++) hidden.opened(Group.KEPT_PAGES, 1000);
  for (let i = 0; i < 25; i++) hidden.seen(Group.KEPT_PAGES, 1000);
  const { reads, bytes } = hidden.snapshot();
  assert.deepEqual({ reads, bytes }, { reads: 150, bytes: 75_000 });
});

test('a few samples say nothing, and a way without any makes the whole unknown unless it is small', () => {
  const hidden = new Hidden();
  hidden.opened(Group.TIER, 1000);
  for (let i = 0; i < 15; i++) sampleOf(hidden, Group.TIER, 1000, 8, 1, 500);
  assert.equal(hidden.snapshot().reads, null);
  sampleOf(hidden, Group.TIER, 1000, 8, 1, 500);
  assert.equal(hidden.snapshot().bytes, 500);
  for (let i = 0; i < 99; i++) hidden.opened(Group.TIER, 1000);
  hidden.opened(Group.TIER_LARGE, 2000);
  assert.equal(hidden.snapshot().bytes, 50_000, 'a hundredth of the opens is left out');
  hidden.opened(Group.TIER_LARGE, 2000);
  hidden.opened(Group.TIER_LARGE, 2000);
  const { bytes, byWay } = hidden.snapshot();
  assert.equal(bytes, null);
  assert.equal(byWay.keptPages.bytes, 0);
});
