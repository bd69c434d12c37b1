/** Object files that nobody knows: of an index that is gone, by a clock that was set back, or lost while it was in use. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { mock, test } from 'node:test';
import { type Cache, openCache } from '../../src/cache/index.ts';
import { IndexDatabase } from '../../src/cache/index-db.ts';
import { objectPath } from '../../src/cache/objects-directory.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, fill, indexOf, objectFiles, pause, temporaryDirectory } from './support.ts';

const keys = Array.from({ length: 150 }, (_, i) => ({ file: String(i), version: 'v', size: 2000 + i * 30 }));

function open(directory: string): Promise<Cache> {
  return openCache({ directory, sizeBytes: 64 << 20, chunkBytes: CHUNK, storeId: 'test:/', log: silentLog });
}

async function untilThereAre(count: number, directory: string): Promise<void> {
  for (let i = 0; i < 3000 && objectFiles(directory).length !== count; i++) await pause(10);
  assert.equal(objectFiles(directory).length, count);
}

// 0: each object would get the name of one that is left over
for (const setBackMs of [3_600_000, 0]) {
  test(`after the index is gone, and the clock was set back by ${setBackMs} ms, all is kept and nothing is left over`, async (t) => {
    const directory = temporaryDirectory();
    const nowMs = Date.now();
    t.mock.timers.enable({ apis: ['Date'], now: nowMs });
    const first = await open(directory);
    for (const key of keys) await fill(first, key);
    await first.shutdown();
    fs.rmSync(indexOf(directory));
    t.mock.timers.setTime(nowMs - setBackMs);
    const second = await open(directory);
    for (const key of keys) await fill(second, key);
    await untilThereAre(keys.length, directory);
    assert.ok(keys.every((key) => second.has(key)));
    await second.shutdown();
    const third = await open(directory);
    await third.loaded;
    assert.equal(third.snapshot().objects, keys.length);
    for (const key of keys) assert.equal((await fill(third, key)).reads, 0, `file ${key.file}`);
    await third.shutdown();
  });
}

test('what is lost with an index that is damaged while it is in use is not left over', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  for (const key of keys) await fill(first, key);
  await first.shutdown();
  const second = await open(directory);
  await second.loaded;
  const damaged = mock.method(IndexDatabase.prototype, 'write', () => {
    damaged.mock.restore();
    throw Object.assign(new Error('it is damaged'), { errcode: 11 });
  });
  const added = { file: 'added', version: 'v', size: 50_000 };
  await fill(second, added);
  for (let i = 0; i < 3000 && second.snapshot().objects > keys.length; i++) await pause(10);
  const { objects } = second.snapshot(); // those that were more than rows
  assert.ok(objects > 1 && objects < keys.length, `${objects}`);
  await untilThereAre(objects, directory);
  assert.equal((await fill(second, added)).reads, 0);
  await second.shutdown();
});

for (const [failure, errcode, kept] of [
  ['is damaged', 11, false],
  ['cannot be read just now', 266, true],
] as const) {
  test(`where the index ${failure} when it is asked what is left over, nothing that counts goes`, async () => {
    const directory = temporaryDirectory();
    const first = await open(directory);
    for (const key of keys) await fill(first, key);
    await first.shutdown();
    let asked = 0;
    const failing = mock.method(IndexDatabase.prototype, 'has', () => {
      asked++;
      throw Object.assign(new Error(`it ${failure}`), { errcode });
    });
    const second = await open(directory);
    await second.loaded;
    for (let i = 0; i < 3000 && asked === 0; i++) await pause(10);
    assert.ok(asked > 0);
    failing.mock.restore();
    if (kept) {
      assert.equal(second.snapshot().objects, keys.length);
      assert.equal(objectFiles(directory).length, keys.length);
      for (const key of keys) assert.equal((await fill(second, key)).reads, 0, `file ${key.file}`);
    } else {
      const { objects } = second.snapshot(); // those that were more than rows
      assert.ok(objects > 1 && objects < keys.length, `${objects}`);
      await untilThereAre(objects, directory);
    }
    await second.shutdown();
  });
}

test('files that are not of ours stay', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory);
  await fill(first, keys[0]!);
  await first.shutdown();
  const cacheDirectory = path.dirname(indexOf(directory));
  const [object] = objectFiles(directory);
  const names = ['notes', '1e3', '0x10', String(Number.MAX_SAFE_INTEGER)];
  for (const name of names) fs.writeFileSync(path.join(path.dirname(object!), name), '');
  const leftOver = objectPath(cacheDirectory, 17);
  fs.mkdirSync(path.dirname(leftOver), { recursive: true });
  fs.writeFileSync(leftOver, '');
  const second = await open(directory);
  for (let i = 0; i < 3000 && fs.existsSync(leftOver); i++) await pause(10);
  assert.deepEqual(fs.readdirSync(path.dirname(object!)).sort(), [...names, path.basename(object!)].sort());
  await fill(second, keys[1]!);
  assert.ok(second.has(keys[0]!) && second.has(keys[1]!));
  await second.shutdown();
});
