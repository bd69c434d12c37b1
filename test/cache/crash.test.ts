/** What is left of a cache after a crash of the process, of the machine, or of its index. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { type Cache, type CacheOptions, openCache } from '../../src/cache/index.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { CHUNK, fill, objectFiles, pause, readRange, TrueSource, temporaryDirectory } from './support.ts';

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
const indexOf = (directory: string): string => {
  const [store] = fs.readdirSync(directory);
  return path.join(directory, store!, 'index.sqlite');
};

// S9.4
test('after kill -9 what the index says is present is present and right', async () => {
  for (let round = 0; round < 4; round++) {
    const directory = temporaryDirectory();
    const child = spawn(process.execPath, [path.join(import.meta.dirname, 'filler.ts'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await pause(300 + round * 400);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    const cache = await open(directory);
    let kept = 0;
    for (const key of keys) {
      const source = new TrueSource(key);
      const content = cache.acquire(key)!;
      assert.ok((await readRange(content, source, 0, key.size)).equals(source.content), `file ${key.file}`);
      if (source.reads === 0) kept++;
      content.release();
    }
    if (round === 3) assert.ok(kept > 0, 'something survived');
    await cache.shutdown();
  }
});

// S9.4
test('after another boot only what was synced counts', async () => {
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

const damages: [string, (index: string) => void][] = [
  ['not a database', (index) => fs.writeFileSync(index, 'nonsense'.repeat(1000))],
  ['torn in the middle', (index) => fs.writeFileSync(index, fs.readFileSync(index).fill(0xaa, 4096, 12_288))],
  [
    'damaged in its last pages',
    (index) => {
      const bytes = fs.readFileSync(index);
      fs.writeFileSync(index, bytes.fill(0xaa, 4096 * 3));
    },
  ],
  ['gone', (index) => fs.rmSync(index)],
  ['empty', (index) => fs.truncateSync(index, 0)],
];
for (const [name, damage] of damages) {
  // S9.4
  test(`an index that is ${name} is begun anew, with one line in the log at most, and no object is left over`, async () => {
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
    assert.ok(lines.length <= 1, lines.join());
    await fill(cache, keys[3]!);
    assert.ok(cache.has(keys[3]!));
    for (let i = 0; i < 100 && objectFiles(directory).length > cache.snapshot().objects; i++) await pause(20);
    assert.equal(objectFiles(directory).length, cache.snapshot().objects);
    await cache.shutdown();
  });
}

test('an index of another store or of a newer version is not used', async () => {
  const directory = temporaryDirectory();
  await (await open(directory)).shutdown();
  const { DatabaseSync } = await import('node:sqlite');
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
  await pause(100);
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
