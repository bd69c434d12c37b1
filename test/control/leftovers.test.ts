/** The directory of records does not fill up with what killed daemons leave, and keeps what is somebody's or says why. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { forgetDead } from '../../src/control/leftovers.ts';
import { temporaryDirectory } from '../support/mounts.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const MINE = process.pid;
/** Of a process that has ended. */
const GONE = spawnSync('true').pid;

const id = (number: number): string => number.toString(16).padStart(12, '0');

/** What is left of files of such ages, in seconds. */
function leftOf(files: Record<string, number>): string[] {
  const directory = temporaryDirectory('records');
  chmodSync(directory, 0o700);
  for (const [name, ageSeconds] of Object.entries(files)) {
    const path = join(directory, name);
    writeFileSync(path, '');
    utimesSync(path, Date.now() / 1000, Date.now() / 1000 - ageSeconds);
  }
  forgetDead(directory, '/nowhere');
  return readdirSync(directory).sort();
}

test('a socket without a record goes when its process has, and not while that may come to have one', () => {
  const left = leftOf({
    [`${id(1)}-${GONE}.sock`]: HOUR,
    [`${id(2)}-${GONE}.sock`]: 60,
    [`${id(3)}-${MINE}.sock`]: HOUR,
    [`${id(4)}-${GONE}.sock`]: HOUR,
    [`${id(4)}-${GONE}.json`]: HOUR,
    [`${id(5)}-${GONE}.json.new`]: HOUR,
    'not-ours.sock': HOUR,
  });
  assert.deepEqual(left, [
    `${id(2)}-${GONE}.sock`,
    `${id(3)}-${MINE}.sock`,
    `${id(4)}-${GONE}.json`,
    `${id(4)}-${GONE}.sock`,
    'not-ours.sock',
  ]);
});

test('the log of a killed daemon is kept for a week, and while there is a record or a process that it may be of', () => {
  const left = leftOf({
    [`${id(1)}.log`]: 6 * DAY,
    [`${id(2)}.log`]: 8 * DAY,
    [`${id(3)}.log`]: 8 * DAY,
    [`${id(3)}-${GONE}.json`]: 8 * DAY,
    [`${id(4)}.log`]: 8 * DAY,
    [`${id(4)}-${MINE}.sock`]: 8 * DAY,
    'notes.log': 8 * DAY,
  });
  assert.deepEqual(
    left.filter((name) => name.endsWith('.log')),
    [`${id(1)}.log`, `${id(3)}.log`, `${id(4)}.log`, 'notes.log'],
  );
});

test('of very many logs the newest hundred are kept', () => {
  const files = Object.fromEntries(Array.from({ length: 130 }, (_, at) => [`${id(at)}.log`, at * 60]));
  assert.deepEqual(leftOf(files), Object.keys(files).slice(0, 100));
});

test('a directory that others can write to is left alone', () => {
  const directory = temporaryDirectory('records');
  writeFileSync(join(directory, `${id(1)}.log`), '');
  utimesSync(join(directory, `${id(1)}.log`), 1, 1);
  chmodSync(directory, 0o777);
  forgetDead(directory, '/nowhere');
  assert.deepEqual(readdirSync(directory), [`${id(1)}.log`]);
});
