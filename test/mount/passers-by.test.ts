/**
 * Backup and other scanners (`never-cache-process`), over a real mount: nothing is kept on their account, what is there serves
 * them, and whoever else reads has what he reads kept. Sentences of docs/EVICTION.md.
 */
import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { mlOk } from '../cli/support.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const FILES = 8;
const BYTES = 512 * 1024;

function makeSource(): string {
  const source = temporaryDirectory('source');
  for (let at = 0; at < FILES; at++)
    writeFileSync(join(source, `file${at}`), Buffer.alloc(BYTES, 'a'.charCodeAt(0) + at));
  return source;
}

/** head(1) by another name: the kernel knows a process by the name its program was started by. */
function scanner(): string {
  const program = join(temporaryDirectory('bin'), 'scanner-with-a-long-name');
  symlinkSync('/usr/bin/head', program);
  return program;
}

async function reads(program: string, mount: Mounted, bytes: number, files: readonly number[]): Promise<void> {
  const paths = files.map((at) => join(mount.mountpoint, `file${at}`));
  const { stdout } = await run(program, ['-q', '-c', String(bytes), ...paths]);
  assert.equal(stdout, files.map((at) => String.fromCharCode('a'.charCodeAt(0) + at).repeat(bytes)).join(''));
}

async function statsOf({ mountpoint }: Mounted): Promise<StatsDocument> {
  return JSON.parse(await mlOk(['stats', mountpoint, '--json'])) as StatsDocument;
}

/** What was read is kept after its reader has it. */
async function keptObjects(mount: Mounted, objects: number): Promise<StatsDocument> {
  for (let tries = 0; ; tries++) {
    const stats = await statsOf(mount);
    if (stats.cache.completeObjects === objects) return stats;
    assert.ok(tries < 500, `${stats.cache.completeObjects} objects, not ${objects}`);
    await sleep(20);
  }
}

const all = Array.from({ length: FILES }, (_, at) => at);
const half = all.slice(0, FILES / 2);

for (const [name, tiers] of [
  ['one tier', ['']],
  ['two tiers', ['mem:64M', '']],
] as const) {
  test(`a scanner of the name given has nothing kept, and is served what is there: ${name}`, {
    skip: noMounts,
  }, async () => {
    const places = tiers.map((tier) => tier || `${temporaryDirectory('cache')}:64M`);
    const cache = places.flatMap((place) => ['--cache', place]);
    const names = ['--never-cache-process', 'other', '--never-cache-process', 'scanner-with-a-long-name'];
    const options = [...cache, ...names, '-o', 'store-speed=pooled,disable=keep-cache,prefetch=off'];
    const mount = await mountOverlay({ source: makeSource(), options });
    await withWatchdog(mount, 120, async () => {
      const program = scanner();
      await reads(program, mount, BYTES, all);
      const passed = await statsOf(mount);
      assert.deepEqual([passed.cache.objects, passed.cache.bytes], [0, 0]);
      assert.equal(passed.cache.refusedFor.neverCache, FILES);

      await reads('head', mount, BYTES, half);
      const kept = await keptObjects(mount, half.length);
      await reads(program, mount, BYTES, half);
      const served = await statsOf(mount);
      assert.equal(served.store.bytes, kept.store.bytes, 'what is there serves it');
      await reads(program, mount, BYTES, all);
      assert.equal((await statsOf(mount)).cache.objects, half.length);
      await mount.unmount();
    });
  });
}

test('where the kernel opens by itself, who reads on after a scanner has it kept', { skip: noMounts }, async () => {
  const cache = temporaryDirectory('cache');
  const options = ['--cache', `${cache}:64M`, '-o', 'ro,immutable,store-speed=pooled,never-cache-process=scanner*'];
  const mount = await mountOverlay({ source: makeSource(), options });
  await withWatchdog(mount, 120, async () => {
    await reads(scanner(), mount, 4096, all);
    assert.equal((await statsOf(mount)).cache.objects, 0);
    await reads('head', mount, BYTES, half); // what the scanner read the kernel has, the rest not
    for (let tries = 0; (await statsOf(mount)).cache.objects < half.length; tries++) {
      assert.ok(tries < 500, 'what others read is kept');
      await sleep(20);
    }
    await mount.unmount();
  });
});
