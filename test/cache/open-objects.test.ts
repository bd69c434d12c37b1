/** The files of a tier that are kept open. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { test } from 'node:test';
import type { CacheObject } from '../../src/cache/object.ts';
import { OpenObjects } from '../../src/cache/open-objects.ts';

const MOST = 1024;

function opened(uses: number): CacheObject {
  return { uses, fd: fs.openSync('/dev/null', 'r') } as CacheObject;
}

test('of too many the longest unused is closed, never one that is in use or was asked for just now', () => {
  const open = new OpenObjects();
  const busy = Array.from({ length: MOST }, () => opened(1));
  for (const object of busy) open.touch(object);
  const idle = opened(0);
  open.touch(idle);
  assert.ok(idle.fd >= 0, 'it is about to be read');
  const next = opened(0);
  open.touch(next);
  assert.deepEqual([idle.fd, next.fd >= 0], [-1, true]);
  assert.ok(busy.every(({ fd }) => fd >= 0));
  for (const object of busy) object.uses = 0;
  open.closeAll();
  assert.ok([...busy, next].every(({ fd }) => fd === -1));
});
