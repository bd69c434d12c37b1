/** As mount(8) calls it, for real: by type, by "name#source", from the configuration file, from a line of fstab. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { command, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, run } from '../support/run.ts';
import { abortConnection, detach, mountedAt } from '../support/watchdog.ts';
import { ml, statusOf } from './support.ts';

/** mount(8) resets PATH to the system's directories: the command must be in one of them. */
const inSystem = '/usr/sbin/ml-overlay';
const configuration = '/etc/ml-overlay';
const occupied = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
  .map((directory) => `${directory}/ml-overlay`)
  .find((path) => existsSync(path));
const skip =
  noMounts ||
  (occupied !== undefined && `${occupied} is installed: another command would be tested`) ||
  (!existsSync('/usr/sbin/mount.fuse3') && 'no mount.fuse3 (package fuse3)') ||
  (existsSync(configuration) && `${configuration} is in use`);

let source: string;
let mountpoint: string;

before(() => {
  if (skip) return;
  source = temporaryDirectory('source');
  mountpoint = temporaryDirectory('mountpoint');
  writeFileSync(join(source, 'file'), 'content');
  symlinkSync(command, inSystem);
});

function removeOurs(): void {
  if (skip) return;
  if (lstatSync(inSystem, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(inSystem);
  rmSync(configuration, { recursive: true, force: true });
}
after(removeOurs);
process.on('exit', removeOurs);

afterEach(async () => {
  if (skip || mountedAt(mountpoint) === undefined) return;
  await ml(['umount', '--force', mountpoint]);
  abortConnection(mountpoint);
  detach(mountpoint);
});

function mount(...words: string[]): Promise<Finished> {
  return run('mount', words, { seconds: 30 });
}

async function answers(result: Finished, from = source): Promise<void> {
  assert.equal(result.status, 0, result.stderr);
  assert.equal((await run('cat', [join(mountpoint, 'file')])).stdout, 'content');
  assert.equal((await statusOf(mountpoint)).source, from);
}

function configure(entry: object): void {
  mkdirSync(configuration, { recursive: true });
  const mounts = [{ source, mountpoint, cache: 'none', ...entry }];
  writeFileSync(join(configuration, 'config.yaml'), JSON.stringify({ mounts }));
}

test('mount -t fuse ml-overlay#SOURCE MOUNTPOINT', { skip }, async () => {
  await answers(await mount('-t', 'fuse', `ml-overlay#${source}`, mountpoint));
});

test('mount -t fuse.ml-overlay SOURCE MOUNTPOINT, with options of ours and of everyone', { skip }, async () => {
  const options = 'ro,noatime,attr-ttl=3,disable=passthrough,_netdev,nofail,x-systemd.automount';
  await answers(await mount('-t', 'fuse.ml-overlay', source, mountpoint, '-o', options));
  const status = await statusOf(mountpoint);
  assert.deepEqual(status.options.ro, { value: '', from: '-o' });
  assert.deepEqual(status.options.disable, { value: 'passthrough', from: '-o' });
  assert.equal(status.effective.attributesTtlMs, 3000);
});

test('mount -t fuse ml-overlay MOUNTPOINT: the entry of /etc/ml-overlay/config.yaml', { skip }, async () => {
  configure({ ro: true, 'attr-ttl': 8 });
  await answers(await mount('-t', 'fuse', 'ml-overlay', mountpoint));
  const { options } = await statusOf(mountpoint);
  assert.equal(
    options.ro?.from,
    '/etc/ml-overlay/config.yaml, mounts[0]',
    "the rw that mount(8) says is not the user's",
  );
  assert.equal(options['attr-ttl']?.value, '8');
});

test('mount -t fuse.ml-overlay none MOUNTPOINT: the entry as well; and ml-overlay mount MOUNTPOINT', {
  skip,
}, async () => {
  configure({});
  await answers(await mount('-t', 'fuse.ml-overlay', 'none', mountpoint));
  assert.equal((await ml(['umount', mountpoint])).status, 0);
  await answers(await ml(['mount', mountpoint]));
});

test('a line of fstab', { skip }, async () => {
  const table = join(temporaryDirectory('fstab'), 'fstab');
  writeFileSync(table, `${source} ${mountpoint} fuse.ml-overlay ro,noauto,_netdev,nofail,cache=none,comment=x 0 0\n`);
  await answers(await mount('--fstab', table, mountpoint));
  const { options } = await statusOf(mountpoint);
  assert.deepEqual(options.cache, { value: 'none', from: '-o' });
  assert.match(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(` ${mountpoint} ro,`));
});

test('exit statuses come through: 1 for options and configuration, 32 for the mount', { skip }, async () => {
  rmSync(configuration, { recursive: true, force: true });
  const wrong = await mount('-t', 'fuse.ml-overlay', source, mountpoint, '-o', 'atr-ttl=3');
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /MLO_OPTION: .*did you mean "attr-ttl"/);
  const unknown = await mount('-t', 'fuse', 'ml-overlay', mountpoint);
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /MLO_CONFIG: .*no mount at/);
  const missing = await mount('-t', 'fuse.ml-overlay', '/nowhere', mountpoint);
  assert.equal(missing.status, 32);
  assert.match(missing.stderr, /MLO_SOURCE: /);
  assert.equal(mountedAt(mountpoint), undefined);
});
