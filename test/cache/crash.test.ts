/** What is left of a cache after a crash of the process, of the machine, or of its index. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type Cache, type CacheOptions, openCache } from '../../src/cache/index.ts';
import { readIndex } from '../../src/cache/index-reader.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import {
  CHUNK,
  fill,
  indexOf,
  objectFiles,
  pause,
  readRange,
  TrueSource,
  temporaryDirectory,
  untilComplete,
} from './support.ts';

function open(directory: string, options: Partial<CacheOptions> = {}): Promise<Cache> {
  return openCache({
    directory,
    sizeBytes: 64 << 20,
    chunkBytes: CHUNK,
    storeId: 'test:/',
    log: silentLog,
    ...options,
  });
}

const keys = Array.from({ length: 200 }, (_, i) => ({ file: String(i), version: 'v', size: 20_000 + i * 300 }));

const KILLS = Number(process.env.MLO_KILL_ROUNDS ?? 4);

// S9.4
test(`after each of ${KILLS} rounds of kill -9 what the index says is present is present and right`, async (t) => {
  let directory = '';
  const seen = { bytes: 0, fromCache: 0, resumed: 0, longestOpenMs: 0 };
  for (let round = 0; round < KILLS; round++) {
    if (round % 5 === 0) directory = temporaryDirectory(); // else it goes on with what the last kill left
    const words = [path.join(import.meta.dirname, 'filler.ts'), directory, String(round)];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await pause(round === KILLS - 1 ? 1500 : Math.random() * 1500);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const before = performance.now();
    const cache = await open(directory);
    seen.longestOpenMs = Math.max(seen.longestOpenMs, performance.now() - before);
    const resumed = cache.snapshot().objects;
    seen.resumed += resumed;
    for (const key of keys) {
      const source = new TrueSource(key);
      const content = cache.acquire(key)!;
      assert.ok((await readRange(content, source, 0, key.size)).equals(source.content), `file ${key.file}`);
      seen.bytes += key.size;
      if (source.reads === 0) seen.fromCache += key.size;
      content.release();
    }
    assert.equal(cache.snapshot().damagedChunks, 0, 'a process that is killed damages nothing');
    if (round === KILLS - 1) assert.ok(resumed > 0 && seen.fromCache > 0, 'something survived');
    await cache.shutdown();
  }
  t.diagnostic(
    `${KILLS} kills: ${seen.bytes} bytes compared, none wrong, ${seen.fromCache} of them from the cache; ` +
      `${seen.resumed} objects resumed; longest time to open ${Math.round(seen.longestOpenMs)} ms`,
  );
});

// S9.4
test('after another boot only what was synced counts', async (t) => {
  // What else is dirty on the disk may keep it from syncing in its time.
  t.mock.method(sys.syncfs, 'later', async () => 0);
  const directory = temporaryDirectory();
  const first = await open(directory, { bootId: 'one' });
  await fill(first, keys[0]!);
  await first.shutdown(); // syncs
  const second = await open(directory, { bootId: 'one' });
  await fill(second, keys[1]!);
  await pause(1200); // in the index, and not synced yet
  const copy = temporaryDirectory();
  fs.cpSync(directory, copy, { recursive: true });
  const third = await open(copy, { bootId: 'two' });
  assert.ok(third.has(keys[0]!), 'what was synced is there');
  assert.equal(third.has(keys[1]!), false, 'what was not does not count');
  await third.shutdown();
  const same = temporaryDirectory();
  fs.cpSync(directory, same, { recursive: true });
  const fourth = await open(same, { bootId: 'one' });
  assert.ok(fourth.has(keys[1]!), 'a process that ends loses nothing');
  await fourth.shutdown();
  await second.shutdown();
});

// S9.4
test('what is written while everything is synced at the end is not called synced', async (t) => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  await fill(cache, keys[0]!);
  const late = cache.acquire(keys[1]!)!;
  const source = new TrueSource(keys[1]!);
  const gate = Promise.withResolvers<void>();
  source.gate = gate.promise;
  const reading = readRange(late, source, 0, keys[1]!.size);
  t.mock.method(sys.syncfs, 'later', async () => {
    gate.resolve();
    await reading;
    await untilComplete(late);
    return 0;
  });
  await cache.shutdown();
  const { rows } = readIndex(indexOf(directory));
  assert.deepEqual(
    rows.map(({ file, synced }) => [file, synced]),
    [
      [keys[0]!.file, 1],
      [keys[1]!.file, 0],
    ],
  );
});

// S9.4
test('what does not count after another boot does not count again when the daemon is killed before its row is gone', async () => {
  const directory = temporaryDirectory();
  const first = await open(directory, { bootId: 'one' });
  await fill(first, keys[0]!);
  await pause(1200); // in the index, and not synced
  const stopped = temporaryDirectory();
  fs.cpSync(directory, stopped, { recursive: true });
  const second = await open(stopped, { bootId: 'two' });
  await second.loaded;
  const killed = temporaryDirectory();
  fs.cpSync(stopped, killed, { recursive: true });
  const third = await open(killed, { bootId: 'two' });
  await third.loaded;
  assert.equal(third.has(keys[0]!), false);
  await third.shutdown();
  await pause(1200); // rows are deleted
  const later = temporaryDirectory();
  fs.cpSync(stopped, later, { recursive: true });
  await second.shutdown();
  await first.shutdown();
  const index = new DatabaseSync(indexOf(later));
  assert.equal(index.prepare("SELECT value FROM meta WHERE key = 'boot'").get()?.value, 'two');
  assert.equal(index.prepare('SELECT count(*) AS rows FROM objects').get()?.rows, 0);
  index.close();
});

const LEAF_OF_TABLE = 0x0d;
const damages: [name: string, lines: number, (index: string) => void][] = [
  ['not a database', 1, (index) => fs.writeFileSync(index, 'nonsense'.repeat(1000))],
  ['torn in the middle', 1, (index) => fs.writeFileSync(index, fs.readFileSync(index).fill(0xaa, 4096, 12_288))],
  [
    'damaged in its last pages', // seen when it is opened, or when its rows are read
    1,
    (index) => {
      const bytes = fs.readFileSync(index);
      fs.writeFileSync(index, bytes.fill(0xaa, 4096 * 3));
    },
  ],
  [
    'damaged in its last page of rows', // seen only when they are read
    1,
    (index) => {
      const bytes = fs.readFileSync(index);
      let page = bytes.length / 4096 - 1;
      while (bytes[page * 4096] !== LEAF_OF_TABLE) page--;
      assert.ok(page > 0);
      fs.writeFileSync(index, bytes.fill(0xaa, page * 4096, (page + 1) * 4096));
    },
  ],
  ['gone', 0, (index) => fs.rmSync(index)],
  ['empty', 0, (index) => fs.truncateSync(index, 0)],
];
for (const [name, expected, damage] of damages) {
  // S9.4
  test(`an index that is ${name} is begun anew, with ${expected} line in the log, and no object is left over`, async () => {
    const directory = temporaryDirectory();
    const first = await open(directory);
    for (const key of keys.slice(0, 120)) await fill(first, key);
    await first.shutdown();
    damage(indexOf(directory));
    const lines: string[] = [];
    const log = {
      ...silentLog,
      warn: (_: object, line: string) => lines.push(line),
      error: (_: object, line: string) => lines.push(line),
    };
    const cache = await open(directory, { log });
    await cache.loaded;
    assert.equal(lines.length, expected, lines.join());
    for (const key of keys.slice(0, 120)) {
      const source = new TrueSource(key);
      const content = cache.acquire(key)!;
      assert.ok((await readRange(content, source, 0, key.size)).equals(source.content), `file ${key.file}`);
      content.release();
    }
    await fill(cache, keys[3]!);
    assert.ok(cache.has(keys[3]!));
    for (let i = 0; i < 1500 && objectFiles(directory).length > cache.snapshot().objects; i++) await pause(20);
    assert.equal(objectFiles(directory).length, cache.snapshot().objects);
    await cache.shutdown();
    const again = await open(directory, { log });
    await again.loaded;
    assert.equal(again.snapshot().objects, 120, 'the new index is whole');
    assert.equal(lines.length, expected, lines.join());
    await again.shutdown();
  });
}

test('an index of another store or of a newer version is not used', async () => {
  const directory = temporaryDirectory();
  await (await open(directory)).shutdown();
  const db = new DatabaseSync(indexOf(directory));
  db.exec("UPDATE meta SET value = '999' WHERE key = 'schema'");
  db.close();
  const cache = await open(directory);
  assert.equal(cache.snapshot().objects, 0);
  await cache.shutdown();
});

test('a partly cached file is resumed after a restart', async () => {
  const directory = temporaryDirectory();
  const key = { file: 'big', version: 'v', size: 3 << 20 };
  const first = await open(directory);
  const content = first.acquire(key)!;
  await readRange(content, new TrueSource(key), 0, 1 << 20);
  for (let tries = 0; tries < 2000 && first.presentBytes(key) < 1 << 20; tries++) await pause(5);
  content.release();
  await first.shutdown();
  const cache = await open(directory);
  const again = cache.acquire(key)!;
  const source = new TrueSource(key);
  assert.ok((await readRange(again, source, 0, 1 << 20)).equals(source.content.subarray(0, 1 << 20)));
  assert.equal(source.reads, 0);
  again.release();
  await cache.shutdown();
});
