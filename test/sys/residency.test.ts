/** Whether a file's bytes are in memory, against what the kernel was told to drop. */
import assert from 'node:assert/strict';
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as sys from '../../src/sys/libc.ts';
import { Residency } from '../../src/sys/residency.ts';
import { temporaryDirectory } from '../support/mounts.ts';

const PAGE = 4096;
const RANDOM = 1;
const DONTNEED = 4;

test('bytes are resident when each of their pages is in the page cache', (t) => {
  const fd = openSync(join(temporaryDirectory('residency'), 'file'), 'w+');
  t.after(() => closeSync(fd));
  writeSync(fd, Buffer.alloc(8 * PAGE + 100, 1));
  fsyncSync(fd);
  if (sys.cachestatNow(fd, 0, PAGE) < 0) {
    t.skip('no cachestat(2) here (Linux >= 6.5)');
    return;
  }
  const residency = new Residency();
  assert.equal(residency.covers(fd, 0, 8 * PAGE + 100), true);
  assert.equal(residency.covers(fd, 0, 9 * PAGE + 1), false, 'a page that the file does not have');
  sys.posixFadvise.now(fd, 0, 0, DONTNEED);
  sys.posixFadvise.now(fd, 0, 0, RANDOM); // no more comes than is asked for
  if (sys.cachestatNow(fd, 0, PAGE) !== 0) {
    t.skip('this file system drops no pages');
    return;
  }
  readSync(fd, Buffer.alloc(2 * PAGE), 0, 2 * PAGE, 4 * PAGE);
  assert.equal(residency.covers(fd, 4 * PAGE, 2 * PAGE), true);
  assert.equal(residency.covers(fd, 5 * PAGE - 1, 2), true);
  assert.equal(residency.covers(fd, 4 * PAGE - 1, 2), false);
  assert.equal(residency.covers(fd, 6 * PAGE - 1, 2), false);
});

test('pages whose bytes are still on their way from the disk do not count', (t) => {
  const directory = temporaryDirectory('residency');
  const bytes = 16 * PAGE; // one read of the disk
  const into = Buffer.alloc(bytes);
  const residency = new Residency();
  let onTheWay = 0;
  for (let file = 0; file < 50; file++) {
    const fd = openSync(join(directory, `${file}`), 'w+');
    t.after(() => closeSync(fd));
    writeSync(fd, Buffer.alloc(bytes, 1));
    fsyncSync(fd);
    sys.posixFadvise.now(fd, 0, 0, DONTNEED);
    sys.preadFlags(fd, into, bytes, 0, sys.RWF_NOWAIT); // has the kernel begin to read
    while (sys.cachestatNow(fd, 0, bytes) === 16 && !residency.covers(fd, 0, bytes)) onTheWay++;
    if (residency.covers(fd, 0, bytes)) assert.equal(sys.preadFlags(fd, into, bytes, 0, sys.RWF_NOWAIT), bytes);
  }
  t.diagnostic(`${onTheWay} times the pages were there, and not their bytes`);
});

test('a closed descriptor has nothing in memory, and the next file is asked about all the same', () => {
  const residency = new Residency();
  assert.equal(residency.covers(-1, 0, PAGE), false);
  const fd = openSync(join(temporaryDirectory('residency'), 'file'), 'w+');
  writeSync(fd, Buffer.alloc(PAGE));
  assert.equal(residency.covers(fd, 0, PAGE), sys.cachestatNow(fd, 0, PAGE) === 1);
  closeSync(fd);
});
