/** What the kernel asks for around what is read of a mapping: little in a file that is not in the cache yet. */
import assert from 'node:assert/strict';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mlOk } from '../cli/support.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';
import { python } from './programs.ts';

const SECONDS = 240;
const KIB = 1024;
const ROWS = 40;

/** One row of 8 KiB in each of so many parts of a mapped file: `map rows FILE COUNT`, or all of another: `whole FILE`. */
const program = `
import mmap, os, sys
what, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
fd = os.open(path, os.O_RDONLY)
if what == 'whole':
    while os.read(fd, 1 << 20): pass
else:
    table = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    part = len(table) // count
    for row in range(count):
        at = (row * 17 % count) * part + part // 2 + row * 4096
        bytes(table[at : at + 8192])
`;

test('rows of a mapping that is not cached: no more than 128 KiB around each', { skip: noMounts }, async () => {
  const source = temporaryDirectory('source');
  mkdirSync(join(source, 'data'));
  for (const name of ['table', 'other']) {
    writeFileSync(join(source, 'data', name), '');
    truncateSync(join(source, 'data', name), (name === 'table' ? 256 : 2) * 1024 * KIB);
  }
  const cache = temporaryDirectory('cache');
  const mounted = await mountOverlay({
    source,
    options: ['--cache', `${cache}:1G`, '-o', 'ro,store-speed=pooled,bulk=off'],
  });
  try {
    await withWatchdog(mounted, SECONDS, async () => {
      const reads = async (what: string, name: string): Promise<number> => {
        const before = JSON.parse(await mlOk(['stats', mounted.mountpoint, '--json'])).reads.bytes as number;
        const path = join(mounted.mountpoint, 'data', name);
        const { status, stderr } = await run(python, ['-c', program, what, path, String(ROWS)], { seconds: SECONDS });
        assert.equal(status, 0, stderr);
        return (JSON.parse(await mlOk(['stats', mounted.mountpoint, '--json'])).reads.bytes as number) - before;
      };
      const first = await reads('rows', 'table');
      assert.ok(first <= ROWS * 144 * KIB, `${first / ROWS / KIB} KiB a row`);
      assert.equal(await reads('whole', 'other'), 2 * 1024 * KIB);
      await reads('whole', 'other'); // is in the cache by now: the window is wide
      const again = await reads('rows', 'table');
      assert.ok(again <= ROWS * 144 * KIB, `${again / ROWS / KIB} KiB a row, after a file that is there`);
    });
  } finally {
    if (mountedAt(mounted.mountpoint) !== undefined) await mounted.unmount();
  }
});
