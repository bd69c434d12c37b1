/** What is said to wrong words, and what nothing is mounted for. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { command, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { mountedAt } from '../support/watchdog.ts';
import { ml, mlOk } from './support.ts';

let source: string;
let mountpoint: string;
before(() => {
  source = temporaryDirectory('source');
  mountpoint = temporaryDirectory('mountpoint');
  mkdirSync(join(source, 'inside'));
  mkdirSync(join(mountpoint, 'inside'));
  writeFileSync(join(source, 'file'), 'x');
});

async function refused(words: string[], status: number, said: RegExp): Promise<void> {
  const result = await ml(words);
  assert.match(result.stderr, said, words.join(' '));
  assert.match(result.stderr, /^MLO_[A-Z_]+: .*: .*\n$/s, 'code, what happened, what to do');
  assert.equal(result.status, status, words.join(' '));
  assert.equal(mountedAt(mountpoint), undefined);
}

test('help, for everything that can be helped with', async () => {
  for (const words of [[], ['help'], ['--help'], ['-h']]) assert.match(await mlOk(words), /^Usage: ml-overlay COMMAND/);
  for (const name of [
    'mount',
    'umount',
    'status',
    'stats',
    'support',
    'set',
    'cache',
    'doctor',
    'warmup',
    'plan',
    'simulate',
  ]) {
    const text = await mlOk(['help', name]);
    assert.match(text, new RegExp(`^Usage: ml-overlay ${name} `));
    assert.equal(await mlOk([name, '--help']), text);
  }
  assert.match(await mlOk(['version']), /^ml-overlay \d+\.\d+\.\d+ \(Node \d+/);
  assert.match(await mlOk(['--version']), /^ml-overlay \d/);
});

test('wrong words are usage: status 1', async () => {
  await refused(['mout', source, mountpoint], 1, /^MLO_USAGE: .*"mout".*"mount"/);
  await refused(['mount'], 1, /^MLO_USAGE: .*which mountpoint/);
  await refused(['mount', source, mountpoint, '--cahce', 'none'], 1, /^MLO_OPTION: .*"cahce".*"cache"/);
  await refused(
    ['mount', source, mountpoint, '-o', 'atr-ttl=3'],
    1,
    /^MLO_OPTION: .*"atr-ttl" \(from -o\).*"attr-ttl"/,
  );
  await refused(['mount', source, mountpoint, '--cache', 'mem:lots'], 1, /^MLO_OPTION: .*"mem:SIZE"/);
  await refused(['mount', source, mountpoint, '-o', 'learn=on'], 1, /^MLO_NOT_BUILT: /);
  await refused(['mount', mountpoint, '--config', '/nowhere.yaml'], 1, /^MLO_CONFIG: .*nowhere/);
  await refused(['umount'], 1, /^MLO_USAGE: /);
  await refused(['umount', '--frce', mountpoint], 1, /^MLO_USAGE: /);
  await refused(['set', mountpoint], 1, /^MLO_USAGE: /);
  await refused(['warmup'], 1, /^MLO_USAGE: /);
  await refused(['warmup', '--check', '--evict', mountpoint], 1, /^MLO_USAGE: .*exclude each other/);
  await refused(['warmup', '--parallel', '0', mountpoint], 1, /^MLO_USAGE: --parallel=0/);
  await refused(['warmup', mountpoint], 32, /^MLO_NOT_MOUNTED: no ml-overlay is mounted above /);
  await refused(['help', 'moutn'], 1, /^MLO_USAGE: .*"mount"/);
});

test('places that cannot be mounted: status 32', { skip: noMounts }, async () => {
  await refused(['mount', '/nowhere', mountpoint], 32, /^MLO_SOURCE: .*does not exist/);
  await refused(['mount', join(source, 'file'), mountpoint], 32, /^MLO_SOURCE: .*not a directory/);
  await refused(['mount', source, '/nowhere'], 32, /^MLO_MOUNTPOINT: .*does not exist/);
  await refused(['mount', source, join(source, 'file')], 32, /^MLO_MOUNTPOINT: .*not a directory/);
  await refused(['mount', source, join(source, 'inside')], 32, /^MLO_NESTED: /);
  await refused(['mount', join(mountpoint, 'inside'), mountpoint], 32, /^MLO_NESTED: /);
  await refused(['mount', source, source], 32, /^MLO_NESTED: /);
  await refused(['mount', source, mountpoint, '--cache', join(source, 'c')], 32, /^MLO_NESTED: .*cache/);
  await refused(['mount', source, mountpoint, '--cache', join(mountpoint, 'c')], 32, /^MLO_NESTED: .*cache/);
  await refused(['mount', source, mountpoint, '--cache', '/proc/c'], 32, /^MLO_CACHE: /);
  assert.deepEqual(readdirSync(source).sort(), ['file', 'inside'], 'the source is untouched');
});

test('a refused mount through a symbolic link to the source is refused as well', { skip: noMounts }, async () => {
  const link = join(temporaryDirectory('link'), 'to');
  symlinkSync(source, link);
  await refused(['mount', source, join(link, 'inside')], 32, /^MLO_NESTED: /);
});

test('what is not mounted cannot be unmounted, shown or changed', async () => {
  for (const words of [
    ['umount', mountpoint],
    ['umount', '--force', mountpoint],
    ['status', mountpoint],
    ['set', mountpoint, 'debug'],
  ]) {
    await refused(words, 32, /^MLO_NOT_MOUNTED: /);
  }
});

test('the launcher works from a symbolic link to it, with an empty environment, from any directory', async () => {
  const directory = temporaryDirectory('bin');
  symlinkSync(command, join(directory, 'first'));
  symlinkSync('first', join(directory, 'second'));
  const words = ['-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', join(directory, 'second'), 'version'];
  const result = await run('env', words, { cwd: '/' });
  assert.match(result.stdout, /^ml-overlay \d/, result.stderr);
});

test('doctor tells of the machine', { skip: noMounts }, async () => {
  const findings = JSON.parse(await mlOk(['doctor', '--json'])) as { subject: string; verdict: string }[];
  const subjects = findings.map(({ subject }) => subject);
  for (const subject of ['kernel', '/dev/fuse', 'fusermount3', 'passthrough', 'memory', 'mount(8)']) {
    assert.ok(subjects.includes(subject), subject);
  }
  assert.ok(findings.every(({ verdict }) => verdict !== 'bad'));
  assert.ok(existsSync('/dev/fuse'));
});
