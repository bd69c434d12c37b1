/** A source that does not answer: mount says so within ten seconds, and leaves nothing. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { command, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, kill, launch, run } from '../support/run.ts';
import { abortConnection, detach, mountedAt } from '../support/watchdog.ts';
import { eventually, lives, ml, mlOk, statusOf } from './support.ts';

const root = resolve(import.meta.dirname, '../..');
let slow: string;
let server: ReturnType<typeof launch> | undefined;

before(async () => {
  if (noMounts) return;
  const source = temporaryDirectory('source');
  slow = temporaryDirectory('slow');
  writeFileSync(join(source, 'file'), 'content');
  const words = [join(root, 'bench/slow-store/main.ts'), source, slow, '--latency-ms', '1'];
  server = launch(join(root, 'scripts/node'), words);
  await eventually('the source is mounted', () => mountedAt(slow) !== undefined, 20);
});

after(async () => {
  if (server === undefined) return;
  abortConnection(slow);
  detach(slow);
  kill(server);
  await finished(server, 5);
});

function registered(name: string): string {
  try {
    return readFileSync(join('/run/ml-overlay', name), 'utf8');
  } catch {
    return ''; // it has ended meanwhile
  }
}

async function whileItHangs(body: () => Promise<void>): Promise<void> {
  process.kill(server?.pid ?? 0, 'SIGSTOP');
  try {
    await body();
  } finally {
    process.kill(server?.pid ?? 0, 'SIGCONT');
  }
}

test('mount fails within ten seconds, also on a mountpoint named by a symbolic link', { skip: noMounts }, async () => {
  const mountpoint = temporaryDirectory('mountpoint');
  const link = join(temporaryDirectory('link'), 'to');
  symlinkSync(mountpoint, link);
  // Others may mount meanwhile.
  const daemons = (): string[] =>
    readdirSync('/run/ml-overlay').filter((name) => name.endsWith('.json') && registered(name).includes(`"${slow}"`));
  const before = daemons();
  await whileItHangs(async () => {
    const started = Date.now();
    const { status, stderr } = await ml(['mount', slow, link, '--cache', 'none'], { seconds: 60 });
    assert.equal(status, 32);
    assert.match(stderr, /^MLO_MOUNT_TIMEOUT: /);
    // Ten seconds; on a busy machine, where the wait for a processor does not count, forty at most, and what two processes take.
    assert.ok(Date.now() - started < 60_000, `${Date.now() - started} ms`);
    assert.equal(mountedAt(mountpoint), undefined);
  });
  assert.deepEqual(
    daemons().filter((name) => !before.includes(name)),
    [],
  );
});

test('a signal ends mount --all, whatever is still to be mounted', { skip: noMounts }, async () => {
  const base = temporaryDirectory('all');
  const mountpoints = ['a', 'b', 'c'].map((name) => join(base, name));
  for (const mountpoint of mountpoints) mkdirSync(mountpoint);
  const file = join(base, 'config.yaml');
  const mounts = mountpoints.map((mountpoint) => ({ source: slow, mountpoint, cache: 'none' }));
  writeFileSync(file, JSON.stringify({ mounts }));
  await whileItHangs(async () => {
    const mounting = launch(command, ['mount', '--all', '--config', file]);
    const ended = finished(mounting, 60);
    await sleep(3000); // it asks the source, which does not answer
    mounting.kill('SIGINT');
    const { status, stderr } = await ended;
    assert.notEqual(status, 0);
    assert.match(stderr, /interrupted by SIGINT/);
    assert.equal(stderr.match(/MLO_/g)?.length, 1, stderr);
    for (const mountpoint of mountpoints) assert.equal(mountedAt(mountpoint), undefined);
  });
});

test('umount --force frees a reader that waits for the source, and ends the daemon', { skip: noMounts }, async () => {
  const mounted = await mountOverlay({ source: slow, options: ['--cache', 'none'] });
  const { mountpoint } = mounted;
  const { pid } = await statusOf(mountpoint);
  assert.equal((await statusOf(mountpoint)).effective.storeSpeed, 'pooled');
  await whileItHangs(async () => {
    const reader = launch('cat', [join(mountpoint, 'file')]);
    const reading = finished(reader, 20);
    await eventually('it waits', () => reader.pid !== undefined && lives(reader.pid));
    assert.equal((await statusOf(mountpoint)).health, 'ok', 'the daemon itself does not hang');
    await mlOk(['umount', '--force', mountpoint]);
    assert.equal(mountedAt(mountpoint), undefined);
    assert.notEqual((await reading).status, 0);
    assert.ok(!lives(pid));
  });
});

test('a source that may be slow gets a long lease, and the cache that was asked for', { skip: noMounts }, async () => {
  const cache = temporaryDirectory('cache');
  const mounted = await mountOverlay({ source: slow, options: ['--cache', `${cache}:100M`] });
  const { mountpoint } = mounted;
  for (let i = 0; i < 2; i++) assert.equal((await run('cat', [join(mountpoint, 'file')])).stdout, 'content');
  const { effective } = await statusOf(mountpoint);
  assert.equal(effective.attributesTtlMs, 60_000);
  const sizeBytes = 100 * 2 ** 20;
  assert.deepEqual(effective.cache, { directory: cache, sizeBytes, tiers: [{ path: cache, sizeBytes }] });
  await mounted.unmount();
});
