/** Where the tiers of a cache may lie, and what is said of those that cannot be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cachePlaces, refuseTooMuchMemory } from '../../src/cli/cache-places.ts';
import { resolve } from '../../src/config/resolve.ts';
import type { Settings } from '../../src/config/schema.ts';

const GIB = 2 ** 30;

function settings(...caches: string[]): Settings {
  return resolve([{ origin: '-o', options: caches.map((value) => ({ name: 'cache', value })) }]).settings;
}

test('tiers in the order they were named; none for a local source unless asked for', () => {
  assert.deepEqual(
    cachePlaces(settings('mem:1G', '/nvme:2G'), false)?.map(({ kind, sizeBytes }) => [kind, sizeBytes]),
    [
      ['memory', GIB],
      ['directory', 2 * GIB],
    ],
  );
  assert.equal(cachePlaces(settings('auto'), false), undefined);
  assert.equal(cachePlaces(settings('none'), true), undefined);
  assert.equal(cachePlaces(settings('auto'), true)?.length, 1);
});

test('a tier that is named twice is refused', () => {
  assert.throws(
    () => cachePlaces(settings('/a:1G', '/a:2G'), true),
    /^MLO_OPTION: \/a is given as a cache twice: name each tier once/,
  );
  assert.throws(() => cachePlaces(settings('mem:1G', 'mem:2G'), true), /mem:SIZE is given as a cache twice/);
});

test('memory that a machine or its control group does not have is refused, with what would fit', () => {
  const limit = { bytes: 4 * GIB, from: 'cgroup v2' } as const; // an eighth is for the daemon's heap
  refuseTooMuchMemory(3.5 * GIB, settings(), limit);
  assert.throws(
    () => refuseTooMuchMemory(3.5 * GIB + 1, settings(), limit),
    (error: { message: string; remedy: string }) =>
      /3.5 GiB of cache do not fit the memory: its control group has 4 GiB, and 512 MiB are for the daemon/.test(
        error.message,
      ) && error.remedy.startsWith('give mem:3584M at most'),
  );
  const small = { bytes: 128 * 2 ** 20, from: 'machine' } as const;
  assert.throws(() => refuseTooMuchMemory(GIB, settings(), small), { remedy: 'leave mem:SIZE out' });
});
