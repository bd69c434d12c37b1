/** An index that cannot be opened just now is not given up for that. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { mock, test } from 'node:test';
import { type Cache, CacheError, type ContentKey, openCache } from '../../src/cache/index.ts';
import { readIndex } from '../../src/cache/index-reader.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { detach } from '../support/watchdog.ts';
import { fill, indexOf, pause, temporaryDirectory } from './support.ts';

const FILES = 20;
const keyOf = (file: number): ContentKey => ({ file: String(file), version: 'v', size: 8192 });
const open = (directory: string): Promise<Cache> =>
  openCache({ directory, sizeBytes: 2 << 20, reserveBytes: 0, storeId: 'test:/', log: silentLog });

async function filled(directory: string): Promise<void> {
  const cache = await open(directory);
  for (let file = 0; file < FILES; file++) await fill(cache, keyOf(file));
  await cache.shutdown();
}

async function assertAllThere(directory: string): Promise<void> {
  const cache = await open(directory);
  await cache.loaded;
  assert.equal(cache.snapshot().completeObjects, FILES);
  await cache.shutdown();
  const names = fs.readdirSync(directory, { recursive: true }).map(String);
  assert.deepEqual(
    names.filter((name) => name.includes('unusable')),
    [],
  );
}

/** Twice: the first try must not leave the directory locked. */
async function assertRefusedTwice(directory: string): Promise<void> {
  for (let tries = 0; tries < 2; tries++) {
    await assert.rejects(open(directory), (error) => {
      assert.ok(error instanceof CacheError);
      assert.equal(error.code, 'directory', error.message);
      assert.match(error.remedy, /free space/);
      return true;
    });
  }
}

test('an index whose disk is full, or that is busy, is left as it is', async () => {
  const directory = temporaryDirectory();
  await filled(directory);
  for (const errcode of [5, 7, 13, 14, 261, 778, 4874]) {
    const exec = mock.method(DatabaseSync.prototype, 'exec', () => {
      throw Object.assign(new Error('not now'), { errcode });
    }).mock;
    await assertRefusedTwice(directory);
    exec.restore();
  }
  await assertAllThere(directory);
});

/** Has what is asked of SQLite fail, `times` times. */
function failing(times: number, errcode: number): ReturnType<typeof mock.method> {
  const { exec } = DatabaseSync.prototype;
  let left = times;
  return mock.method(DatabaseSync.prototype, 'exec', function (this: DatabaseSync, sql: string) {
    if (left-- > 0) throw Object.assign(new Error('not now'), { errcode });
    exec.call(this, sql);
  });
}

const CORRUPT = 11;
const FULL = 13;
const IOERR_READ = 266;

test('an index that its disk fails to read is read again, and begun anew only when that does not help', async () => {
  const directory = temporaryDirectory();
  await filled(directory);
  const passing = failing(1, IOERR_READ);
  await assertAllThere(directory);
  passing.mock.restore();
  const unreadable = failing(3, IOERR_READ);
  const cache = await open(directory);
  unreadable.mock.restore();
  await cache.loaded;
  assert.equal(cache.snapshot().objects, 0, 'mounted all the same');
  assert.ok(fs.existsSync(`${indexOf(directory)}.unusable`));
  await cache.shutdown();
});

test('a damaged index is begun anew as soon as the full disk has room', async () => {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  for (let file = 0; file < FILES; file++) await fill(cache, keyOf(file));
  const { exec } = DatabaseSync.prototype;
  let opened = 0;
  const full = mock.method(DatabaseSync.prototype, 'exec', function (this: DatabaseSync, sql: string) {
    const opening = sql.includes('journal_mode');
    if (opening) opened++;
    if (sql === 'BEGIN' || opening) throw Object.assign(new Error('no'), { errcode: opening ? FULL : CORRUPT });
    exec.call(this, sql);
  });
  for (let tries = 0; tries < 300 && opened < 3; tries++) await pause(100);
  full.mock.restore();
  const rows = (): number => readIndex(indexOf(directory)).rows.length;
  for (let tries = 0; tries < 300 && rows() < FILES; tries++) await pause(100);
  assert.equal(rows(), FILES);
  await cache.shutdown();
});

const notRoot = process.getuid?.() === 0 ? false : 'only root may mount a tmpfs';

test('a disk without a page left costs nothing that was kept', { skip: notRoot }, async () => {
  const directory = temporaryDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'full', directory]);
  try {
    await filled(directory);
    const filler = path.join(directory, 'filler');
    const fd = fs.openSync(filler, 'w');
    assert.throws(() => {
      for (;;) fs.writeSync(fd, Buffer.alloc(4096));
    }, /ENOSPC/);
    fs.closeSync(fd);
    await assertRefusedTwice(directory);
    fs.unlinkSync(filler);
    await assertAllThere(directory);
  } finally {
    detach(directory);
  }
});
