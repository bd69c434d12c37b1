/** Rows that an earlier run did not get to sync are synced by this one, whether anybody asks for their content or not. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { type Cache, type ContentKey, openCache } from '../../src/cache/index.ts';
import { readIndex } from '../../src/cache/index-reader.ts';
import * as sys from '../../src/sys/libc.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { fill, indexOf, pause, temporaryDirectory, untilIdle } from './support.ts';

const FILES = 100;
const keyOf = (file: number): ContentKey => ({ file: String(1000 + file), version: 'v', size: 8192 });

function open(directory: string): Promise<Cache> {
  return openCache({ directory, sizeBytes: 64 << 20, storeId: 'test:/', log: silentLog });
}

/** A directory whose last unmount had no time to sync anything. */
async function unsynced(): Promise<string> {
  const directory = temporaryDirectory();
  const cache = await open(directory);
  for (let file = 0; file < FILES; file++) await fill(cache, keyOf(file));
  const syncfs = mock.method(sys.syncfs, 'later', async () => -1);
  await cache.shutdown();
  syncfs.mock.restore();
  assert.equal(syncedRows(directory), 0);
  return directory;
}

const rowsOf = (directory: string) => readIndex(indexOf(directory)).rows;
const syncedRows = (directory: string): number => rowsOf(directory).filter(({ synced }) => synced === 1).length;

test('they are synced while the mount goes on', async (t) => {
  const directory = await unsynced();
  t.mock.method(sys.fdatasync, 'later', async () => 0); // the disk may be busy with what is not this test's
  const cache = await open(directory);
  await untilIdle(cache);
  const rows = FILES - cache.snapshot().objectsInMemory; // some are brought, and their turn comes when they have rested
  assert.ok(rows > 0);
  for (let tries = 0; tries < 300 && syncedRows(directory) < rows; tries++) await pause(100);
  assert.equal(syncedRows(directory), rows);
  await cache.shutdown();
});

test('where that takes too long they are with the next unmount', async (t) => {
  const directory = await unsynced();
  t.mock.method(sys.fdatasync, 'later', async () => -1);
  t.mock.method(sys.syncfs, 'later', async () => 0);
  const cache = await open(directory);
  await untilIdle(cache);
  await cache.shutdown();
  assert.equal(syncedRows(directory), FILES);
});

test('one that goes while it is being synced stays gone', async (t) => {
  const directory = await unsynced();
  const gate = Promise.withResolvers<number>();
  const fdatasync = t.mock.method(sys.fdatasync, 'later', () => gate.promise);
  const cache = await open(directory);
  for (let tries = 0; tries < 300 && fdatasync.mock.callCount() === 0; tries++) await pause(100);
  assert.equal(fdatasync.mock.callCount(), 1);
  for (let file = 0; file < FILES; file++) cache.drop(keyOf(file).file); // the one of which it is among them
  for (let tries = 0; tries < 300 && rowsOf(directory).length > 0; tries++) await pause(100);
  gate.resolve(0);
  await pause(1200); // what is to be written would be
  assert.deepEqual(rowsOf(directory), []);
  await cache.shutdown();
  assert.deepEqual(rowsOf(directory), []);
});
