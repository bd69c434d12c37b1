/** Where a tier puts its objects. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeObjectsDirectory, objectPath } from '../../src/cache/objects-directory.ts';

const work = mkdtempSync(join(tmpdir(), 'ml-overlay-objects-'));
after(() => rmSync(work, { recursive: true, force: true }));

/** What lsattr(1) shows of a directory; undefined where the file system has no such flags. */
function flagsOf(directory: string): string | undefined {
  try {
    return execFileSync('lsattr', ['-d', directory], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(
      ' ',
    )[0];
  } catch {
    return undefined;
  }
}

test('objects are spread over directories, whose directory is for its owner alone', () => {
  const tier = join(work, 'one', 'tier');
  makeObjectsDirectory(tier);
  makeObjectsDirectory(tier); // there already
  assert.equal(statSync(join(tier, 'objects')).mode & 0o777, 0o700);
  const names = Array.from({ length: 1000 }, (_, id) => objectPath(tier, id));
  assert.equal(new Set(names).size, 1000);
  assert.equal(new Set(names.map((name) => join(name, '..'))).size, 256);
});

test('on ext4 the directories of objects lie far from each other', (t) => {
  const probe = join(work, 'probe');
  mkdirSync(probe);
  try {
    execFileSync('chattr', ['+T', probe], { stdio: 'ignore' });
  } catch {
    t.skip('this file system, or user, knows no such flag (chattr +T)');
    return;
  }
  const tier = join(work, 'two');
  makeObjectsDirectory(tier);
  assert.match(flagsOf(join(tier, 'objects')) ?? '', /T/);
});
