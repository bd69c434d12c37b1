/** `ml-overlay support`: what is in the bundle, what is not, and what is left of it when the daemon does not answer. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withoutPaths, withoutSecrets } from '../../src/cli/redact.ts';
import { type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

test('secrets are hidden wherever they stand, and nothing else is', () => {
  const document = {
    password: 'one',
    options: { 'filer-api-key': 'two', cache: '/var/cache' },
    lines: ['filer: https://me:three@filer.example/x', 'access_key=four other', '  token: "five"', 'keyboard: qwerty'],
    header: 'Authorization: Bearer sixsixsix',
    key: 'kept',
    count: 7,
    nothing: null,
  };
  const text = JSON.stringify(withoutSecrets(document));
  assert.doesNotMatch(text, /one|two|three|four|five|six/);
  for (const kept of ['/var/cache', 'filer.example/x', ' other', 'qwerty', '"key":"kept"', '"count":7', 'null']) {
    assert.ok(text.includes(kept), `${kept} in ${text}`);
  }
});

test('paths become tokens, the same the same, absolute and relative, and within messages', () => {
  const document = {
    mountpoint: '/mnt/secret project',
    source: '/home/alice/data',
    dataSets: [{ path: 'client-x/train' }],
    sentences: ['the data set client-x/train would fit into /home/alice/cache'],
    mounts: ['53 27 0:50 / /mnt/secret\\040project rw - fuse.ml-overlay /home/alice/data rw'],
    message: 'cannot open /home/alice/data/cat.jpg: ENOENT',
    proc: '/proc/self/mountinfo',
    url: 'https://example.org/page',
    ratio: 'reads/s',
  };
  const shown = withoutPaths(document, 'salt') as typeof document;
  const text = JSON.stringify(shown);
  assert.doesNotMatch(text, /alice|client|secret|train|cat\./);
  assert.match(shown.source, /^\/home\/[0-9a-f]{8}\/[0-9a-f]{8}$/);
  assert.equal(
    shown.message,
    `cannot open ${shown.source}/${/([0-9a-f]{8})\.jpg/.exec(shown.message)?.[1]}.jpg: ENOENT`,
  );
  assert.ok(shown.sentences[0]?.includes(shown.dataSets[0]?.path ?? '-'), text);
  assert.ok(shown.mounts[0]?.includes(shown.source));
  assert.deepEqual([shown.proc, shown.url, shown.ratio], [document.proc, document.url, document.ratio]);
  assert.notEqual(
    (withoutPaths(document, 'other') as typeof document).source,
    shown.source,
    'tokens cannot be looked up',
  );
});

interface Bundle {
  mountpoint: string;
  mounts: string[] | null;
  daemon: { pid: number; alive: boolean; State?: string } | null;
  status: { capabilities: object; stats?: unknown } | null;
  stats: { opens: { count: number } } | null;
  history: object | null;
  doctor: object[] | null;
  log: { msg?: string }[] | null;
  missing: Record<string, string>;
}

async function bundleOf(mount: Mounted, words: readonly string[] = []): Promise<Bundle> {
  const done = await mount.command(['support', mount.mountpoint, '-o', '-', ...words], 30);
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout) as Bundle;
}

test('the bundle of a mount, of one that hangs, and of one that died', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
  try {
    await withWatchdog(mount, 90, async () => {
      const whole = await bundleOf(mount);
      assert.deepEqual(whole.missing, {});
      assert.equal(whole.mountpoint, mount.mountpoint);
      assert.match(whole.mounts?.[0] ?? '', / fuse\.ml-overlay /);
      assert.ok(whole.status?.capabilities && whole.status.stats === undefined);
      assert.equal(whole.stats?.opens.count, 0);
      assert.ok(whole.history !== null && (whole.doctor?.length ?? 0) > 5);
      assert.ok(whole.log?.some(({ msg }) => msg === 'mounted'));

      const [pid = 0] = mount.daemons();
      process.kill(pid, 'SIGSTOP');
      const hung = await bundleOf(mount);
      process.kill(pid, 'SIGCONT');
      assert.deepEqual(Object.keys(hung.missing).sort(), ['history', 'stats', 'status']);
      assert.match(hung.missing.stats ?? '', /^MLO_UNREACHABLE: /);
      assert.match(hung.daemon?.State ?? '', /^T/);
      assert.ok(hung.log !== null && hung.doctor !== null);

      process.kill(pid, 'SIGKILL');
      while (mount.daemons().length > 0) await run('sleep', ['0.05']);
      const dead = await bundleOf(mount);
      assert.deepEqual(dead.daemon, { pid, alive: false });
      assert.equal(dead.status, null);
      assert.ok(
        dead.log?.some(({ msg }) => msg === 'mounted'),
        'its log outlives it',
      );
    });
  } finally {
    mount.abort();
  }
});

test('where nothing was ever mounted there is a bundle about the machine', { skip: noMounts }, async () => {
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
  const done = await mount.command(['support', temporaryDirectory('elsewhere'), '-o', '-'], 30);
  const bundle = JSON.parse(done.stdout) as Bundle;
  assert.match(bundle.missing.mounts ?? '', /^MLO_NOT_MOUNTED/);
  assert.ok((bundle.doctor?.length ?? 0) > 5);
  await mount.unmount();
});

test('the file is for its owner only, says where it is, and never replaces another', { skip: noMounts }, async () => {
  const source = join(temporaryDirectory('source'), 'project-names-are-secret');
  mkdirSync(source);
  const mount = await mountOverlay({ source, options: ['--cache', 'none'] });
  await withWatchdog(mount, 60, async () => {
    const directory = temporaryDirectory('bundle');
    const file = join(directory, 'bundle.json');
    const done = await mount.command(['support', mount.mountpoint, '-o', file, '--redact-paths'], 30);
    assert.equal(done.status, 0, done.stderr);
    assert.ok(done.stdout.startsWith(`${file} (`), done.stdout);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, 'utf8');
    assert.doesNotMatch(text, /project-names|mlo-source|mlo-mnt/);
    const again = await mount.command(['support', mount.mountpoint, '-o', file], 30);
    assert.match(again.stderr, /^MLO_SYSTEM: .*is there already/);
    const target = join(directory, 'target');
    writeFileSync(target, 'mine');
    symlinkSync(target, join(directory, 'link'));
    assert.equal((await mount.command(['support', mount.mountpoint, '-o', join(directory, 'link')], 30)).status, 2);
    assert.equal(readFileSync(target, 'utf8'), 'mine');
  });
  await mount.unmount();
});
