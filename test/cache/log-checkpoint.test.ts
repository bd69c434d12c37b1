/** The index's log is brought into its database beside the thread that serves: what holds meanwhile, and after a kill. */
import assert from 'node:assert/strict';
import { closeSync, copyFileSync, existsSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { LogCheckpoint } from '../../src/cache/log-checkpoint.ts';
import { temporaryDirectory } from '../support/mounts.ts';

const LOG_BYTES = 64 * 1024;

function stage(): { db: DatabaseSync; path: string; checkpoint: LogCheckpoint; log: () => number } {
  const path = join(temporaryDirectory('index'), 'index.sqlite');
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)');
  const log = (): number => statSync(`${path}-wal`).size;
  return { db, path, checkpoint: new LogCheckpoint(db, path, LOG_BYTES), log };
}

function write(db: DatabaseSync, from: number): void {
  db.exec('BEGIN');
  for (let id = from; id < from + 100; id++) db.prepare('INSERT INTO t VALUES (?, ?)').run(id, 'x'.repeat(1000));
  db.exec('COMMIT');
}

function rowsIn(path: string): number {
  const db = new DatabaseSync(path);
  const { rows } = db.prepare('SELECT count(*) AS rows FROM t').get() as { rows: number };
  db.close();
  return rows;
}

test('a log that has become long is emptied, and its rows are in the database by themselves', async () => {
  const { db, path, checkpoint, log } = stage();
  write(db, 0);
  assert.ok(log() > LOG_BYTES);
  await new Promise<void>((resolve) => {
    checkpoint.wrote(resolve);
    assert.ok(checkpoint.underWay, 'nothing may be written');
  });
  assert.ok(!checkpoint.underWay);
  assert.equal(log(), 0);
  const alone = join(temporaryDirectory('copy'), 'alone.sqlite');
  copyFileSync(path, alone); // as after a kill, without the log
  assert.equal(rowsIn(alone), 100);
  write(db, 100);
  checkpoint.close();
  assert.ok(!existsSync(`${path}-wal`), 'SQLite has brought the rest in');
  assert.equal(rowsIn(path), 200);
});

test('a short log is left alone, and none is begun after the end', async () => {
  const { db, checkpoint, log } = stage();
  checkpoint.wrote(() => assert.fail('there was none'));
  assert.ok(!checkpoint.underWay);
  await checkpoint.end();
  write(db, 0);
  checkpoint.wrote(() => assert.fail('there was none'));
  assert.ok(!checkpoint.underWay && log() > LOG_BYTES);
  checkpoint.close();
});

test('while another process reads in the middle of the log it stays as it is, and goes in later', async () => {
  const { db, path, checkpoint, log } = stage();
  write(db, 0);
  const reader = new DatabaseSync(path);
  reader.exec('BEGIN');
  assert.equal(reader.prepare('SELECT count(*) AS rows FROM t').get()!.rows, 100);
  write(db, 100);
  await new Promise<void>((resolve) => checkpoint.wrote(resolve));
  assert.ok(log() > LOG_BYTES);
  assert.equal(reader.prepare('SELECT count(*) AS rows FROM t').get()!.rows, 100);
  reader.exec('COMMIT');
  write(db, 200);
  await new Promise<void>((resolve) => checkpoint.wrote(resolve));
  assert.equal(log(), 0);
  reader.close();
  checkpoint.close();
  assert.equal(rowsIn(path), 300);
});

test('one that is under way when the connection is closed does no harm', async () => {
  const { db, path, checkpoint } = stage();
  write(db, 0);
  checkpoint.wrote(() => assert.fail('it is closed'));
  checkpoint.close();
  await checkpoint.end();
  assert.equal(rowsIn(path), 100);
});

test('one that is closed once more leaves the descriptors of others alone', () => {
  const { checkpoint } = stage();
  checkpoint.close();
  const others = Array.from({ length: 8 }, () => openSync('/dev/null', 'r'));
  checkpoint.close();
  for (const fd of others) {
    assert.ok(fstatSync(fd).isCharacterDevice());
    closeSync(fd);
  }
});
