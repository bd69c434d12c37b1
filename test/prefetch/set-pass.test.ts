import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassModel, type PassModelOptions, shuffled } from './pass-model.ts';

const FILES = 2000;

async function onModel(options: PassModelOptions, body: (model: PassModel) => Promise<void>): Promise<void> {
  const model = new PassModel(options);
  try {
    await body(model);
  } finally {
    await model.stop();
  }
}

test('the rest of a set that is shuffled is brought, each file once', async () => {
  await onModel({ files: FILES, capacity: 2 * FILES, perRead: 10 }, async (model) => {
    const first = await model.read(shuffled(model.paths, 1));
    assert.equal(first.fetched, FILES);
    assert.ok(first.hits >= 0.8 * FILES, `${first.hits} hits`);
    const second = await model.read(shuffled(model.paths, 2));
    assert.deepEqual(second, { hits: FILES, fetched: 0 });
    const { totals } = model.scheduler.snapshot();
    assert.ok((totals.get('bulk')?.broughtBytes ?? 0) > 0);
    assert.equal(totals.get('bulk')?.usedBytes, totals.get('bulk')?.broughtBytes);
  });
});

test('a set goes on being brought however many others a file or two is read of', async () => {
  await onModel({ files: 200, capacity: 400, perRead: 4 }, async (model) => {
    const order = shuffled(model.paths, 1);
    for (const path of order.slice(0, 50)) await model.open(path);
    const others = Array.from({ length: 3000 }, (_, at) => `other-${at}`);
    for (const path of others) {
      const file = { nodeId: 2, fileKey: `${path}/f`, attributes: { size: 1 }, path: () => `${path}/f` };
      model.sets.missed(file, { path, pass: 1 }, 1, model.nowMs);
    }
    assert.deepEqual(
      model.sets.snapshot().map(({ path }) => path),
      ['data'],
    );
  });
});

test('with half the room every pass asks the store for the other half, and little is waited for', async () => {
  await onModel({ files: FILES, capacity: FILES / 2, perRead: 4 }, async (model) => {
    const first = await model.read(shuffled(model.paths, 1));
    assert.ok(first.fetched <= FILES);
    for (let pass = 2; pass <= 5; pass++) {
      const { hits, fetched } = await model.read(shuffled(model.paths, pass));
      assert.ok(fetched <= 0.53 * FILES, `pass ${pass}: ${fetched} fetched`);
      assert.ok(hits >= 0.8 * FILES, `pass ${pass}: ${hits} hits`);
    }
  });
});

test('a pass that repeats the one before is brought in its order', async () => {
  await onModel({ files: FILES, capacity: FILES / 2, perRead: 4 }, async (model) => {
    const order = shuffled(model.paths, 7);
    await model.read(order);
    for (let pass = 2; pass <= 4; pass++) {
      const { hits, fetched } = await model.read(order);
      assert.ok(fetched <= 0.6 * FILES, `pass ${pass}: ${fetched} fetched`);
      assert.ok(hits >= 0.85 * FILES, `pass ${pass}: ${hits} hits`);
    }
    assert.ok((model.scheduler.snapshot().totals.get('repeat')?.usedBytes ?? 0) > 0);
  });
});

test('a job that reads a few files and stops has not had the whole set brought', async () => {
  const many = 40_000;
  await onModel({ files: many, capacity: many, perRead: 64 }, async (model) => {
    model.pass = 1;
    for (const path of shuffled(model.paths, 1).slice(0, 20)) await model.open(path);
    for (let i = 0; i < 50; i++) await model.open(model.paths[0]!); // the same file over and over
    assert.ok(model.fetched <= 700 + 32 * 21, `${model.fetched} fetched`);
  });
});

test('files that are read over and over are no set that is read in passes', async () => {
  await onModel({ files: FILES, capacity: FILES / 4, perRead: 2 }, async (model) => {
    model.pass = 1;
    const few = shuffled(model.paths, 3).slice(0, 200);
    for (let i = 0; i < 3000; i++) await model.open(few[(i * 7919) % few.length]!);
    const brought = (): number => model.scheduler.snapshot().totals.get('unseen')?.broughtBytes ?? 0;
    const before = brought();
    for (let i = 0; i < 1000; i++) await model.open(few[(i * 7919) % few.length]!);
    assert.equal(brought(), before);
  });
});

test('of a job on several nodes nothing is brought, unless it is wanted', async () => {
  await onModel({ files: FILES, capacity: FILES, perRead: 8, jobWidth: 8 }, async (model) => {
    const share = shuffled(model.paths, 1).slice(0, FILES / 8);
    const { fetched } = await model.read(share);
    assert.equal(fetched, FILES / 8);
  });
  await onModel({ files: FILES, capacity: FILES, perRead: 8, jobWidth: 8, bulk: 'all' }, async (model) => {
    const { fetched } = await model.read(shuffled(model.paths, 1).slice(0, FILES / 8));
    assert.ok(fetched > FILES / 4);
  });
  await onModel({ files: FILES, capacity: FILES, perRead: 8, bulk: 'off' }, async (model) => {
    assert.equal((await model.read(shuffled(model.paths, 1))).fetched, FILES);
    assert.equal(model.scheduler.snapshot().totals.size, 0);
  });
});

test('a store that fails is left alone, and asked again later', async () => {
  await onModel({ files: FILES, capacity: FILES, perRead: 8 }, async (model) => {
    model.pass = 1;
    model.failing = true;
    const order = shuffled(model.paths, 1);
    for (const path of order.slice(0, 200)) await model.open(path);
    const { failures, state } = model.scheduler.snapshot();
    assert.deepEqual([failures >= 4, failures < 100, state], [true, true, 'failing'], `${failures} failures`);
    model.failing = false;
    model.nowMs += 60_000;
    model.scheduler.wake(); // as its timer does
    for (const path of order.slice(200, 400)) await model.open(path);
    const brought = [...model.scheduler.snapshot().totals.values()].map(({ broughtBytes }) => broughtBytes);
    assert.ok(Math.max(0, ...brought) > 0);
  });
});

test('files that have come to the source since are found', async () => {
  await onModel({ files: FILES, capacity: 2 * FILES, perRead: 10 }, async (model) => {
    await model.read(shuffled(model.paths, 1));
    for (let i = 0; i < 500; i++) model.paths.push(`data/new${i}`);
    model.nowMs += 60_000; // it is not listed again all the time
    const { hits, fetched } = await model.read(shuffled(model.paths, 2));
    assert.equal(fetched, 500);
    assert.ok(hits >= FILES + 300, `${hits} hits`);
  });
});

const BATCH = 32;

test('the queue that a first batch waits in is kept short, until it has been read', async () => {
  const model = new PassModel({ files: 2000, capacity: 2000, perRead: 8 });
  model.pass = 1;
  let [begun, atFirst, later] = [0, 0, 0];
  for (const [opened, path] of shuffled(model.paths, 5).entries()) {
    await model.open(path);
    begun ||= model.aheadUnderWay;
    if (opened < BATCH) atFirst = Math.max(atFirst, model.aheadUnderWay);
    else later = Math.max(later, model.aheadUnderWay);
    if (model.fetched > 600) break;
  }
  assert.equal(begun, 1);
  assert.equal(atFirst, 8);
  assert.ok(later >= 24, `${later} under way`);
  await model.stop();
});

test('of a store far away more are under way from the first: its link would be idle', async () => {
  // A trip takes 200 ms, and 16 come in the time of one that a reader asks for: 64 under way fill the link.
  const far = { files: 4000, capacity: 4000, perRead: 16, latencyReads: 4, readMs: 50, underWayMost: 120 };
  const model = new PassModel(far);
  model.pass = 1;
  const [first, second] = [0, 0].map(() => ({ most: 0 }));
  for (const path of shuffled(model.paths, 5)) {
    await model.open(path);
    const part = model.fetched < 64 ? first! : second!;
    part.most = Math.max(part.most, model.aheadUnderWay);
    if (model.fetched > 512) break;
  }
  assert.ok(first!.most <= 32, `${first!.most} before anything is known of it`);
  assert.ok(second!.most > 40 && second!.most <= 96, `${second!.most} under way`);
  await model.stop();
});
