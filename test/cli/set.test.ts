/** `ml-overlay set`: what changes on a live mount, what is refused, and that a refusal changes nothing. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { metaOf, optionNames } from '../../src/config/schema.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';
import { statusOf } from './support.ts';

async function mounted(
  options: readonly string[],
  body: (mount: Mounted, set: (...words: string[]) => Promise<string>) => Promise<void>,
): Promise<void> {
  const source = temporaryDirectory('source');
  writeFileSync(join(source, 'file'), 'first');
  mkdirSync(join(source, 'directory'));
  const mount = await mountOverlay({ source, options });
  const set = async (...words: string[]): Promise<string> => {
    const { stdout, stderr } = await mount.command(['set', mount.mountpoint, ...words], 30);
    return stdout + stderr;
  };
  await withWatchdog(mount, 90, () => body(mount, set));
  await mount.unmount();
}

/** Whether a path below the mount is there, as another process sees it. */
async function exists(path: string): Promise<boolean> {
  return (await run('stat', [path])).status === 0;
}

test('every option that is marked live changes, and status says since when', { skip: noMounts }, async () => {
  const directory = temporaryDirectory('cache');
  await mounted(['--cache', `${directory}:50M`], async ({ mountpoint }, set) => {
    const wanted: Record<string, string> = {
      'log-level': 'debug',
      'attr-ttl': '3',
      'negative-ttl': '2s',
      'passthrough-min': '4M',
      cache: `${directory}:80M`,
      scrub: '2M',
    };
    assert.deepEqual(optionNames.filter((name) => metaOf(name).live === true).sort(), Object.keys(wanted).sort());
    const words = Object.entries(wanted).map(([name, value]) => `${name}=${value}`);
    assert.deepEqual((await set(...words)).trim().split('\n').sort(), words.sort());
    const { options, effective, logLevel } = await statusOf(mountpoint);
    for (const [name, value] of Object.entries(wanted)) assert.deepEqual(options[name], { value, from: 'set' });
    assert.equal(options.readahead?.from, 'default');
    assert.equal(logLevel, 'debug');
    assert.equal(effective.attributesTtlMs, 3000);
    assert.equal(effective.negativeTtlMs, 2000);
    const sizeBytes = 80 * 2 ** 20;
    assert.deepEqual(effective.cache, { directory, sizeBytes, tiers: [{ path: directory, sizeBytes }] });
    await set('attr-ttl=auto');
    assert.equal((await statusOf(mountpoint)).effective.attributesTtlMs, 5000);
  });
});

test('a lease for missing names is in effect at once', { skip: noMounts }, async () => {
  await mounted(['--cache', 'none', '-o', 'store-speed=pooled,negative-ttl=0'], async ({ source, mountpoint }, set) => {
    assert.equal(await exists(join(mountpoint, 'one')), false);
    writeFileSync(join(source, 'one'), '');
    assert.equal(await exists(join(mountpoint, 'one')), true, 'asked again');
    await set('negative-ttl=1h');
    assert.equal(await exists(join(mountpoint, 'two')), false);
    writeFileSync(join(source, 'two'), '');
    assert.equal(await exists(join(mountpoint, 'two')), false, 'believed');
  });
});

test('what cannot change is refused with what to do, and nothing of the request is done', {
  skip: noMounts,
}, async () => {
  const directory = temporaryDirectory('cache');
  await mounted(['--cache', `${directory}:50M`], async ({ mountpoint }, set) => {
    const before = (await statusOf(mountpoint)).options;
    const refusals: [string[], RegExp][] = [
      [
        ['log-level=debug', 'readahead=3M'],
        /^MLO_OPTION: readahead cannot change while mounted: .*what can change: .*attr-ttl/,
      ],
      [['log-level=debug', 'profile=serving'], /^MLO_OPTION: profile cannot change/],
      [['attr-tll=3'], /^MLO_OPTION: there is no option "attr-tll" .*did you mean "attr-ttl"/],
      [['attr-ttl=soon'], /^MLO_OPTION: attr-ttl cannot be "soon"/],
      [['log-level=debgu'], /^MLO_OPTION: .*did you mean "debug"/],
      [['passthrough-min'], /^MLO_OPTION: passthrough-min cannot be ""/],
      [[`cache=${directory}`], /^MLO_OPTION: cache: only its size can change while mounted: .*:SIZE/],
      [['cache=/elsewhere:80M'], /^MLO_OPTION: cache: only its size/],
      [['cache=none'], /^MLO_OPTION: cache: only its size/],
      [[`cache=${directory}:1k`], /^MLO_OPTION: cache: 1024 bytes hold nothing/],
      [['nosuid'], /^MLO_OPTION: nosuid cannot change/],
      [['defaults'], /^MLO_USAGE: /],
    ];
    for (const [words, said] of refusals) assert.match(await set(...words), said, words.join(' '));
    assert.deepEqual((await statusOf(mountpoint)).options, before);
  });
  await mounted(['--cache', 'none', '-o', 'ro,immutable'], async (_, set) => {
    assert.match(await set('attr-ttl=3'), /^MLO_OPTION: attr-ttl means nothing here: with immutable/);
    assert.match(await set('cache=/elsewhere:80M'), /^MLO_OPTION: cache: this mount has none/);
  });
});

test('one name twice is refused, and changes neither', { skip: noMounts }, async () => {
  const directory = temporaryDirectory('cache');
  await mounted(['--cache', 'mem:8M', '--cache', `${directory}:80M`], async ({ mountpoint }, set) => {
    const said = await set('cache=mem:4M', `cache=${directory}:40M`);
    assert.match(said, /^MLO_USAGE: cache is given twice: change one after the other/);
    const { cache } = (await statusOf(mountpoint)).stats;
    assert.equal(cache.sizeBytes, 88 * MIB);
    await set('cache=mem:4M');
    assert.equal((await statusOf(mountpoint)).stats.cache.sizeBytes, 84 * MIB);
  });
});

test('a smaller cache lets go of what it has too much, and a larger one takes more', { skip: noMounts }, async () => {
  const directory = temporaryDirectory('cache');
  await mounted(['--cache', `${directory}:4M`, '-o', 'store-speed=pooled'], async ({ source, mountpoint }, set) => {
    const read = async (): Promise<void> => {
      const { stdout } = await run(process.execPath, ['-e', HALF_MIB_FILES, source, mountpoint], { seconds: 20 });
      assert.equal(stdout, 'read\n');
    };
    // What is read is kept after its reader has it, and what is too much goes in the background.
    const comesTo = async (what: string, is: (bytes: number) => boolean): Promise<void> => {
      let bytes = -1;
      for (let tries = 0; tries < 100; tries++) {
        ({ bytes } = (await statusOf(mountpoint)).stats.cache);
        if (is(bytes)) return;
        await sleep(50);
      }
      assert.fail(`${what}: ${bytes} bytes`);
    };
    await read();
    await comesTo('all is kept', (bytes) => bytes === 2 * MIB);
    await set(`cache=${directory}:1M`);
    await comesTo('what is too much goes', (bytes) => bytes <= MIB);
    await read();
    assert.ok((await statusOf(mountpoint)).stats.cache.bytes <= MIB);
    await set(`cache=${directory}:5M`);
    await read();
    await comesTo('there is room for more', (bytes) => bytes > 2 * MIB);
  });
});

const MIB = 2 ** 20;
/** Makes four new files at the source, lets their time stamps settle, and reads them through the mount. */
const HALF_MIB_FILES = `
  const fs = require('node:fs');
  const [source, mount] = process.argv.slice(1);
  const names = [0, 1, 2, 3].map((at) => process.pid + '-' + at);
  for (const name of names) fs.writeFileSync(source + '/' + name, Buffer.alloc(2 ** 19, name));
  setTimeout(() => {
    for (const name of names) fs.readFileSync(mount + '/' + name);
    console.log('read');
  }, 300);
`;
