/** Records of one large file, read in passes through a mount whose cache holds a half of it. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StatsDocument } from '../../../src/telemetry/stats.ts';
import { mlOk } from '../../cli/support.ts';
import { noMounts } from '../../support/mounts.ts';
import { runProgram } from '../programs.ts';
import { atRest, broughtBy, onSlowStore, SECONDS } from './stage.ts';

const RECORD = 16 * 1024;
/** Of some the kernel has read the beginning ahead, at the end of another: they are no ranges of their own. */
const RECORDS = 1300;
const SIZE = RECORD * RECORDS;
const SHUFFLED_ANEW = '1,2';
const ONE_ORDER = '1,1,1';

interface Read {
  stats: StatsDocument;
  page: string;
  /** Of the store's. */
  bytes: number;
}

/** Passes in the orders of these seeds, by two processes that share the records; every record is looked at. */
async function read(seeds: string): Promise<Read> {
  let said: Read | undefined;
  const parts = { latencyMs: 1, cache: () => SIZE / 2 };
  await onSlowStore(async ({ source, mount, slow }) => {
    const directory = join(source, '../tables');
    mkdirSync(directory);
    const args = [RECORD, RECORDS];
    const made = await runProgram('records_in_order.py', [join(directory, 'table.bin'), ...args, 'make']);
    assert.equal(made.status, 0, made.stderr);
    assert.equal(statSync(join(directory, 'table.bin')).size, SIZE);
    const seen = join(mount.mountpoint, 'tables/table.bin');
    const ran = await runProgram('records_in_order.py', [seen, ...args, 2, seeds], { seconds: SECONDS });
    assert.equal(ran.status, 0, ran.stderr);
    const stats = await atRest(mount);
    const page = await mlOk(['stats', mount.mountpoint]);
    said = { stats, page, bytes: (await slow.counts()).bytesRead };
  }, parts);
  return said!;
}

test('in one order what comes next is brought, and each byte asked for once', { skip: noMounts }, async (context) => {
  const { stats, page, bytes } = await read(ONE_ORDER);
  const { ranges, byOrder } = stats.prefetch;
  context.diagnostic(`${bytes} bytes; ${JSON.stringify({ ranges, ...byOrder.repeat })}`);
  assert.equal(ranges.length, 1);
  assert.deepEqual([ranges[0]!.path, ranges[0]!.repeats], ['tables/table.bin', true]);
  assert.ok(Math.abs(ranges[0]!.ranges - RECORDS) < 0.15 * RECORDS, `${ranges[0]!.ranges} ranges`);
  assert.match(page, /in the order of the pass before/);
  // Of two passes a half each is missing; and of each the beginning is read before it is known that it repeats.
  assert.ok(broughtBy(stats, 'repeat') > 0.6 * SIZE, `${broughtBy(stats, 'repeat')} bytes`);
  assert.ok(byOrder.repeat!.usedBytes >= 0.95 * byOrder.repeat!.bytes);
  assert.ok(bytes <= 1.05 * 2 * SIZE, 'all of it once, and in two passes the half that is not kept');
});

test('shuffled anew in every pass some of what it has not read waits for it', { skip: noMounts }, async (context) => {
  const { stats, bytes } = await read(SHUFFLED_ANEW);
  const { byOrder } = stats.prefetch;
  context.diagnostic(`${bytes} bytes; ${JSON.stringify(byOrder)}`);
  assert.equal(broughtBy(stats, 'repeat'), 0);
  assert.ok(broughtBy(stats, 'unseen') > 0.1 * SIZE, `${broughtBy(stats, 'unseen')} bytes`);
  assert.ok(byOrder.unseen!.usedBytes >= 0.9 * byOrder.unseen!.bytes);
  assert.ok(bytes <= 1.05 * 1.5 * SIZE, 'all of it once, and in the second pass the half that is not kept');
  assert.deepEqual(
    stats.prefetch.ranges.map(({ path, repeats }) => [path, repeats]),
    [['tables/table.bin', false]],
  );
});
