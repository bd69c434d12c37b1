import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve as path } from 'node:path';
import { test } from 'node:test';
import { documents } from '../../scripts/make-docs.ts';
import type { MountWords } from '../../src/cli/mount-words.ts';
import { planMount } from '../../src/cli/plan-mount.ts';
import { findEntry, parseConfiguration } from '../../src/config/file.ts';
import { resolve } from '../../src/config/resolve.ts';
import { errorTable } from '../../src/errors.ts';

const root = path(import.meta.dirname, '../..');

test('the example is valid, and its entries are found by mountpoint', async () => {
  const file = await parseConfiguration('x.yaml', readFileSync(join(root, 'examples/config.yaml'), 'utf8'));
  assert.equal(file.mounts.length, 2);
  const entry = findEntry(file, '/mnt/ml');
  assert.equal(entry?.source, '/mnt/beegfs/imagenet');
  assert.deepEqual([...(entry?.section.flags ?? [])].sort(), ['noatime', 'nodev']);
  const { settings, origins } = resolve([entry!.section, file.defaults!]);
  assert.equal(settings.ro, true);
  assert.equal(origins.ro, 'x.yaml, mounts[0]');
  assert.equal(origins['attr-ttl'], 'x.yaml, defaults');
  assert.equal(findEntry(file, '/mnt/checkpoints')?.section.noauto, true);
  assert.equal(findEntry(file, '/mnt/other'), undefined);
});

test('an empty file configures nothing', async () => {
  assert.deepEqual((await parseConfiguration('x', '')).mounts, []);
});

test('a list of caches is tiers, in that order', async () => {
  const file = await parseConfiguration(
    'x',
    'mounts: [{ source: /s, mountpoint: /m, cache: ["mem:2G", "/nvme:200G"] }]',
  );
  const { cache } = resolve([findEntry(file, '/m')!.section]).settings;
  assert.deepEqual(cache, {
    kind: 'tiers',
    tiers: [
      { kind: 'memory', sizeBytes: 2 * 2 ** 30 },
      { kind: 'directory', directory: '/nvme', sizeBytes: 200 * 2 ** 30 },
    ],
  });
});

test('flags are on or off by name, and what is nearer to the command takes them back', async () => {
  const text = `
defaults: { noexec: on, noatime: off, nodev: no, options: nosuid }
mounts:
  - { source: /s, mountpoint: /a, exec: true, options: suid }
  - { source: /s, mountpoint: /b, noauto: on }
  - { source: /s, mountpoint: /c, options: 'ro, noauto' }
  - { source: /s, mountpoint: /d, noauto: off, user: off }
`;
  const file = await parseConfiguration('x', text);
  assert.deepEqual([...file.defaults!.flags].sort(), ['noexec', 'nosuid']);
  assert.deepEqual(
    file.mounts.map(({ section }) => section.noauto),
    [false, true, true, false],
  );
  const flagsOf = async (mountpoint: string, options: string[] = []): Promise<string[]> =>
    (await planMount({ mountpoint, options, flags: [], foreground: false } as unknown as MountWords, file)).flags;
  assert.deepEqual(await flagsOf('/a'), []);
  assert.deepEqual(await flagsOf('/b'), ['nosuid', 'noexec']);
  assert.deepEqual(await flagsOf('/b', ['exec,noatime']), ['nosuid', 'noatime']);
  assert.deepEqual(await flagsOf('/b', ['noexec=off']), ['nosuid']);
  assert.deepEqual(await flagsOf('/d'), ['nosuid', 'noexec'], 'nothing is said by user: off');
  await assert.rejects(parseConfiguration('x', 'defaults: { noexec: maybe }'), /x, defaults, noexec: takes on or off/);
});

test('a file that is wrong says where', async () => {
  const wrong: [string, RegExp][] = [
    ['mounts: {', /^MLO_CONFIG: x: /],
    ['mount: []', /"mount" is neither/],
    ['mounts: 3', /mounts is no list/],
    ['mounts: [{ mountpoint: /m }]', /mounts\[0\]: source is no absolute path/],
    ['mounts: [{ source: /s, mountpoint: m }]', /mounts\[0\]: mountpoint is no absolute path/],
    ['mounts: [{ source: /s, mountpoint: /m, cache: { a: 1 } }]', /mounts\[0\], cache: takes text/],
    ['defaults: [ro]', /defaults: takes names/],
    ['- a', /x: takes names/],
  ];
  for (const [text, said] of wrong) {
    await assert.rejects(parseConfiguration('x', text), (error: Error) => {
      assert.match(String(error), said, text);
      return true;
    });
  }
});

test('aliases cannot be used to blow the file up', async () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let at = 1; at < 12; at++)
    bomb.push(`k${at}: &${String.fromCharCode(97 + at)} [${`*${String.fromCharCode(96 + at)}, `.repeat(9)}]`);
  await assert.rejects(parseConfiguration('x', bomb.join('\n')), /MLO_CONFIG|alias/i);
});

test('the documents are current (npm run docs)', () => {
  for (const [name, text] of documents()) assert.equal(readFileSync(join(root, name), 'utf8'), text, name);
});

test('every error says what it means and what to do, and the code is documented', () => {
  const text = readFileSync(join(root, 'docs/ERRORS.md'), 'utf8');
  for (const [code, { meaning, remedy, exit }] of Object.entries(errorTable)) {
    assert.match(code, /^MLO_[A-Z_]+$/);
    assert.ok(meaning.endsWith('.') && remedy.length > 0, code);
    assert.ok([1, 2, 32].includes(exit), code);
    assert.ok(text.includes(code), code);
  }
});
