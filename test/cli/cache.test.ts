/** ml-overlay cache list, check and clear, on what real mounts left and on what is no cache. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { ml, mlOk } from './support.ts';

const FILES = 8;
let cache: string;
let source: string;

async function mountAndRead(options: readonly string[] = []): Promise<void> {
  const mounted = await mountOverlay({
    source,
    options: ['--cache', `${cache}:50M`, '-o', 'store-speed=pooled', ...options],
  });
  const read = await run('/bin/sh', ['-c', `cat ${mounted.mountpoint}/* | cksum`]);
  assert.equal(read.status, 0, read.stderr);
  assert.equal(read.stdout, String(execFileSync('/bin/sh', ['-c', `cat ${source}/* | cksum`])), 'every byte');
  await mounted.unmount();
}

function objects(): string[] {
  const all = readdirSync(cache, { recursive: true, withFileTypes: true });
  return all.filter((e) => e.isFile() && /^\d+$/.test(e.name)).map((e) => join(e.parentPath, e.name));
}

async function listed(): Promise<Record<string, unknown>> {
  const all = JSON.parse(await mlOk(['cache', 'list', cache, '--json'])) as Record<string, unknown>[];
  assert.equal(all.length, 1);
  return all[0]!;
}

before(async () => {
  if (noMounts) return;
  cache = temporaryDirectory('cache');
  source = temporaryDirectory('source');
  for (let i = 0; i < FILES; i++) writeFileSync(join(source, `file${i}`), Buffer.alloc(300_000 + i, `content ${i} `));
  await new Promise((resolve) => setTimeout(resolve, 1500)); // files that changed just now are not cached
  await mountAndRead();
});

test('list says what is cached of which source', { skip: noMounts }, async () => {
  const { files, completeFiles, bytes, source: named, inUseBy } = await listed();
  assert.deepEqual([files, completeFiles, inUseBy], [FILES, FILES, null]);
  assert.equal(bytes, FILES * 300_000 + (FILES * (FILES - 1)) / 2);
  assert.ok(String(named).includes(source), String(named));
  const text = await mlOk(['cache', 'list', cache, '--objects']);
  assert.match(text, /files +8, 8 of them complete; 2.3 MiB/);
  assert.equal(text.match(/ 100 %/g)?.length, FILES);
});

test('a cache in use is named, and left alone', { skip: noMounts }, async () => {
  const mounted = await mountOverlay({ source, options: ['--cache', `${cache}:50M`] });
  const [pid] = mounted.daemons();
  assert.equal((await listed()).inUseBy, pid);
  for (const action of ['check', 'clear']) {
    const { status, stderr } = await ml(['cache', action, cache]);
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`^MLO_CACHE_BUSY: .* is in use by process ${pid}: unmount it first: .*umount`));
  }
  await mounted.unmount();
  assert.equal(objects().length, FILES);
});

test('check finds what is damaged, and a mount then gives every byte', { skip: noMounts }, async () => {
  assert.match(await mlOk(['cache', 'check', cache]), /8 files, 16 chunks, 2.3 MiB checked\n {2}nothing is damaged/);
  const [flipped, cut, gone] = objects();
  const bytes = readFileSync(flipped!);
  bytes[299_999]! ^= 0x10;
  writeFileSync(flipped!, bytes);
  truncateSync(cut!, 1000);
  rmSync(gone!);
  const { status, stdout } = await ml(['cache', 'check', cache]);
  assert.equal(status, 2);
  assert.match(stdout, new RegExp(`${flipped!}\\): bytes are not what they were in 1 chunk\n`));
  assert.match(stdout, new RegExp(`${cut!}\\): its file has another length\n`));
  assert.match(stdout, new RegExp(`${gone!}\\): its file is missing\n`));
  const report = JSON.parse((await ml(['cache', 'check', cache, '--json'])).stdout) as { damaged: unknown[] }[];
  assert.equal(report[0]?.damaged.length, 3);
  await mountAndRead();
  await mountAndRead(); // an object that was lost as a whole is made anew at the next open
  assert.match(await mlOk(['cache', 'check', cache]), /8 files.*\n {2}nothing is damaged/);
});

test('what is no cache is refused', async () => {
  const other = temporaryDirectory('other');
  mkdirSync(join(other, 'objects'));
  writeFileSync(join(other, 'objects', '17'), 'mine');
  for (const [directory, said] of [
    [other, /is no cache of ml-overlay/],
    [join(other, 'nowhere'), /does not exist/],
    [join(other, 'objects', '17'), /cannot be read/],
  ] as const) {
    for (const action of ['list', 'check', 'clear']) {
      const { status, stderr } = await ml(['cache', action, directory]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, said);
      assert.match(stderr, /^MLO_NO_CACHE: .*: give the DIR/);
    }
  }
  assert.equal(readFileSync(join(other, 'objects', '17'), 'utf8'), 'mine');
  for (const words of [
    ['cache'],
    ['cache', 'empty', other],
    ['cache', 'list'],
    ['cache', 'clear', other, '--objects'],
  ]) {
    const { status, stderr } = await ml(words);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^MLO_USAGE: /);
  }
});

test('clear removes what is ours, and nothing else', { skip: noMounts }, async () => {
  const [store] = readdirSync(cache).filter((name) => /^[0-9a-f]{16}$/.test(name));
  const mine = join(cache, store!, 'objects', 'aa');
  mkdirSync(mine, { recursive: true });
  writeFileSync(join(mine, 'notes'), 'mine');
  symlinkSync(source, join(cache, store!, 'objects', '4711'));
  writeFileSync(join(cache, 'mine'), 'mine');
  const text = await mlOk(['cache', 'clear', cache]);
  assert.match(text, /8 files removed, 2.3 MiB/);
  assert.deepEqual(
    text.match(/left, because it is not ours: .*/g)?.map((line) => line.slice(line.lastIndexOf('/'))),
    ['/4711', '/notes'],
  );
  assert.equal(readFileSync(join(mine, 'notes'), 'utf8'), 'mine');
  assert.equal(readFileSync(join(cache, 'mine'), 'utf8'), 'mine');
  assert.equal(readdirSync(source).length, FILES, 'no link is followed');
  rmSync(mine, { recursive: true });
  rmSync(join(cache, store!, 'objects', '4711'));
  await mountAndRead();
  await mlOk(['cache', 'clear', cache]);
  assert.ok(!existsSync(join(cache, store!)));
});
