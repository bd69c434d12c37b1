/** Where a tier puts its objects. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openCache } from '../../src/cache/index.ts';
import { makeObjectsDirectory, makeParts, objectPath } from '../../src/cache/objects-directory.ts';
import { silentLog } from '../../src/telemetry/log.ts';
import { fill, objectFiles } from './support.ts';

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

test('a new cache has all directories of objects from the start; those that went are made by the objects that need them', async () => {
  const directory = join(work, 'cache');
  const open = () => openCache({ directory, sizeBytes: 2 ** 20, storeId: 'objects', log: silentLog });
  await (await open()).shutdown();
  const objects = join(directory, readdirSync(directory)[0]!, 'objects');
  const parts = readdirSync(objects);
  assert.equal(parts.length, 256);
  assert.equal(statSync(join(objects, parts[0]!)).mode & 0o777, 0o700);
  for (const part of parts) rmdirSync(join(objects, part));
  const again = await open();
  assert.deepEqual(readdirSync(objects), []); // this cache is not new
  await fill(again, { file: 'a', version: 'v', size: 50_000 });
  assert.equal(readdirSync(objects).length, 1);
  assert.equal(objectFiles(directory).length, 1);
  await again.shutdown();
});

test('directories of objects that cannot be made are no failure yet', async () => {
  const tier = join(work, 'none');
  await makeParts(tier);
  assert.throws(() => readdirSync(join(tier, 'objects')), { code: 'ENOENT' });
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
