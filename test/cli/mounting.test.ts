/** Mounting, looking, changing and unmounting, as root. */
// time limit: 900 s
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { basename, join } from 'node:path';
import { afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathsFor } from '../../src/control/registry.ts';
import { command, type Mounted, mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { finished, launch, run } from '../support/run.ts';
import { mountedAt, withWatchdog } from '../support/watchdog.ts';
import { eventually, lives, ml, mlOk, statusOf } from './support.ts';

const SECONDS = 60;
/** A daemon in a few seconds of quiet; the promise is 0.5 % and a clock tick is 10 ms. */
const IDLE_SECONDS = 4;
const RESIDENT_MOST = 130 * 2 ** 20;

let source: string;
let live: Mounted | undefined;

before(() => {
  source = temporaryDirectory('source');
  writeFileSync(join(source, 'file'), 'content');
});

afterEach(async () => {
  if (live && mountedAt(live.mountpoint) !== undefined) await live.unmount();
  live = undefined;
});

function mounting(name: string, body: (mounted: Mounted) => Promise<void>, options: string[] = []): void {
  test(name, { skip: noMounts }, async () => {
    live = await mountOverlay({ source, options: ['--cache', 'none', ...options] });
    const mounted = live;
    await withWatchdog(mounted, SECONDS, () => body(mounted));
  });
}

async function cat(path: string): Promise<string> {
  return (await run('cat', [path], { seconds: 20 })).stdout;
}

// S9.5
mounting(
  'mount returns when the mount answers; umount when the daemon has ended, and nothing is left',
  async (mounted) => {
    const { mountpoint } = mounted;
    assert.equal(await cat(join(mountpoint, 'file')), 'content');
    const { pid, log } = await statusOf(mountpoint);
    assert.ok(existsSync(log));
    await mlOk(['umount', mountpoint]);
    assert.equal(mountedAt(mountpoint), undefined);
    assert.ok(!lives(pid), 'the daemon has ended');
    assert.ok(!existsSync(log), 'a log with nothing to say is removed');
    const left = readdirSync('/run/ml-overlay').filter((name) => name.includes(`-${pid}.`));
    assert.deepEqual(left, []);
  },
);

mounting('the daemon is small, and idle when nothing is asked of it', async ({ mountpoint }) => {
  const { pid } = await statusOf(mountpoint);
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024;
  assert.ok(resident <= RESIDENT_MOST, `${resident >> 20} MiB resident`);
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  // What the start left to do takes its time on a busy machine; then there is nothing.
  const used: number[] = [];
  do {
    const start = ticks();
    await sleep(IDLE_SECONDS * 1000);
    used.push(ticks() - start);
  } while (used.at(-1)! > 2 && used.length < 8);
  assert.ok(used.at(-1)! <= 2, `${used.join(', ')} clock ticks in ${IDLE_SECONDS} s each`);
});

mounting('the control socket and the registry are closed to others', async ({ mountpoint }) => {
  const { pid } = await statusOf(mountpoint);
  assert.equal(statSync('/run/ml-overlay').mode & 0o777, 0o700);
  const names = readdirSync('/run/ml-overlay').filter((name) => name.includes(`-${pid}.`));
  assert.equal(names.length, 2);
  for (const name of names) assert.equal(statSync(join('/run/ml-overlay', name)).mode & 0o777, 0o600, name);
});

mounting(
  'status tells each option, where it came from, and what auto came to',
  async ({ mountpoint }) => {
    const status = await statusOf(mountpoint);
    assert.equal(status.source, source);
    assert.equal(status.health, 'ok');
    assert.deepEqual(status.options.cache, { value: 'none', from: 'command line' });
    assert.deepEqual(status.options['attr-ttl'], { value: '3', from: '-o' });
    assert.deepEqual(status.options.readahead, { value: '1M', from: 'default' });
    assert.equal(status.effective.attributesTtlMs, 3000);
    assert.equal(status.effective.storeSpeed, 'pooled');
    assert.equal(status.effective.negativeTtlMs, 1000);
    assert.equal(status.capabilities.off.passthrough, 'disabled by option');
    assert.match(await mlOk(['status', mountpoint]), /option +attr-ttl=3 \(-o\)/);
    const all = await ml(['status']); // of every mount of the machine: another one may be unwell
    assert.match(all.stdout, new RegExp(`^${mountpoint} .* ok$`, 'm'));
  },
  ['-o', 'attr-ttl=3,disable=passthrough,store-speed=pooled'],
);

mounting(
  'flags of mount(2) and ro reach the kernel',
  async ({ mountpoint }) => {
    const line = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((each) => each.includes(` ${mountpoint} `));
    for (const flag of ['ro', 'noatime', 'nodev', 'noexec']) assert.match(line ?? '', new RegExp(`\\b${flag}\\b`));
    assert.match(line ?? '', / - fuse\.ml-overlay /);
    const touched = await run('touch', [join(mountpoint, 'new')]);
    assert.match(touched.stderr, /Read-only/);
  },
  ['-o', 'ro,noatime,nodev,noexec,defaults,_netdev,x-any=thing,comment=a'],
);

mounting('log-level changes live', async ({ mountpoint }) => {
  assert.match(await mlOk(['set', mountpoint, 'log-level=debug']), /log-level=debug/);
  const status = await statusOf(mountpoint);
  assert.equal(status.logLevel, 'debug');
  assert.deepEqual(status.options['log-level'], { value: 'debug', from: 'set' });
  for (const change of ['readahead=3M', 'log-level=loud']) {
    const refused = await ml(['set', mountpoint, change]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^MLO_OPTION: /);
  }
});

mounting('a second mount there is refused, and the first goes on', async ({ mountpoint }) => {
  const second = await ml(['mount', source, mountpoint, '--cache', 'none']);
  assert.equal(second.status, 32);
  assert.match(second.stderr, /^MLO_MOUNTED: /);
  assert.equal(await cat(join(mountpoint, 'file')), 'content');
});

mounting('a mount in use stays, and who uses it is named; --force ends it', async ({ mountpoint }) => {
  const user = launch('sleep', ['30'], { cwd: mountpoint });
  const { pid } = await statusOf(mountpoint);
  const refused = await ml(['umount', mountpoint]);
  assert.equal(refused.status, 32);
  assert.match(refused.stderr, new RegExp(`^MLO_BUSY: .*sleep \\(pid ${user.pid}, working directory\\)`));
  assert.equal(await cat(join(mountpoint, 'file')), 'content');
  await mlOk(['umount', '--force', mountpoint]);
  assert.equal(mountedAt(mountpoint), undefined);
  assert.ok(!lives(pid));
  user.kill('SIGKILL');
  await finished(user, 5);
});

mounting('--force ends a daemon that hangs, and readers get an error', async ({ mountpoint }) => {
  const { pid } = await statusOf(mountpoint);
  process.kill(pid, 'SIGSTOP');
  const reader = launch('cat', [join(mountpoint, 'file')]);
  const reading = finished(reader, 20);
  assert.equal((await ml(['status', mountpoint])).status, 2);
  await mlOk(['umount', '--force', mountpoint]);
  assert.equal(mountedAt(mountpoint), undefined);
  assert.ok(!lives(pid));
  assert.notEqual((await reading).status, 0);
});

mounting('a mount whose daemon was killed is shown as that, and umount takes it away', async ({ mountpoint }) => {
  const { pid, log } = await statusOf(mountpoint);
  process.kill(pid, 'SIGKILL');
  await eventually('the daemon is gone', () => !lives(pid));
  const all = await ml(['status']);
  assert.equal(all.status, 2);
  assert.match(all.stdout, /its daemon is gone/);
  assert.match((await ml(['status', mountpoint])).stderr, /^MLO_UNREACHABLE: .*lost its daemon/);
  assert.match(await mlOk(['doctor']), /has lost its daemon/);
  await mlOk(['umount', mountpoint]);
  assert.equal(mountedAt(mountpoint), undefined);
  assert.ok(existsSync(log), 'the log of a daemon that did not end well stays');
  await run('rm', ['-f', log]);
});

// S9.7
mounting('a mount whose daemon was killed makes way for a new one, though it is in use', async ({ mountpoint }) => {
  const user = launch('sleep', ['60'], { cwd: mountpoint });
  const { pid, log } = await statusOf(mountpoint);
  await eventually('in use', () => existsSync(`/proc/${user.pid}/cwd`));
  process.kill(pid, 'SIGKILL');
  await eventually('the daemon is gone', () => !lives(pid));
  const again = await ml(['mount', source, mountpoint, '--cache', 'none']);
  assert.equal(again.status, 0, again.stderr);
  assert.match(again.stderr, /took the mount of a daemon that is gone out of the way/);
  assert.equal(await cat(join(mountpoint, 'file')), 'content');
  const next = await statusOf(mountpoint);
  assert.notEqual(next.pid, pid);
  const left = readdirSync('/run/ml-overlay').filter((name) => name.includes(`-${pid}.`));
  assert.deepEqual(left, [], 'nothing is left of the one before');
  user.kill('SIGKILL');
  await finished(user, 5);
  await mlOk(['umount', mountpoint]);
  assert.equal(mountedAt(mountpoint), undefined, 'there is no other mount beneath');
  await run('rm', ['-f', log]);
});

mounting('a mount whose daemon hangs is not taken for one whose daemon is gone', async ({ mountpoint }) => {
  const { pid } = await statusOf(mountpoint);
  process.kill(pid, 'SIGSTOP');
  const second = await ml(['mount', source, mountpoint, '--cache', 'none']);
  assert.match(second.stderr, /^MLO_MOUNTED: /);
  process.kill(pid, 'SIGCONT');
  assert.equal(await cat(join(mountpoint, 'file')), 'content');
});

mounting('plain umount(8) ends the daemon too', async ({ mountpoint }) => {
  const { pid } = await statusOf(mountpoint);
  assert.equal((await run('umount', [mountpoint])).status, 0);
  await eventually('the daemon has ended', () => !lives(pid));
});

test('a log file is reopened on SIGHUP', { skip: noMounts }, async () => {
  const log = join(temporaryDirectory('log'), 'daemon.log');
  live = await mountOverlay({ source, options: ['--cache', 'none', '--log', log] });
  const { pid } = await statusOf(live.mountpoint);
  assert.match(readFileSync(log, 'utf8'), /"msg":"mounted"/);
  renameSync(log, `${log}.1`);
  process.kill(pid, 'SIGHUP');
  await eventually('a new file', () => existsSync(log));
  await live.unmount();
  assert.match(readFileSync(log, 'utf8'), /"msg":"unmounted"/);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`in front: ${signal} unmounts and ends with 0`, { skip: noMounts }, async () => {
    const mountpoint = temporaryDirectory('mountpoint');
    const front = launch(command, ['mount', source, mountpoint, '-f', '--cache', 'none']);
    const ending = finished(front, 30);
    await eventually('mounted', () => mountedAt(mountpoint) !== undefined);
    assert.equal(await cat(join(mountpoint, 'file')), 'content');
    front.kill(signal);
    const { status, stderr } = await ending;
    assert.equal(status, 0, stderr);
    assert.equal(mountedAt(mountpoint), undefined);
    assert.match(stderr, /"msg":"unmounted"/);
  });
}

test('in front and in use: the first signal fails, the second forces', { skip: noMounts }, async () => {
  const mountpoint = temporaryDirectory('mountpoint');
  const front = launch(command, ['mount', source, mountpoint, '-f', '--cache', 'none']);
  const ending = finished(front, 30);
  await eventually('mounted', () => mountedAt(mountpoint) !== undefined);
  const user = launch('sleep', ['30'], { cwd: mountpoint });
  let said = '';
  front.stderr?.on('data', (text: string) => {
    said += text;
  });
  await eventually('in use', () => existsSync(`/proc/${user.pid}/cwd`));
  front.kill('SIGINT');
  await eventually('it says that it cannot', () => said.includes('cannot unmount'));
  assert.notEqual(mountedAt(mountpoint), undefined);
  front.kill('SIGINT');
  const { status, stderr } = await ending;
  assert.equal(mountedAt(mountpoint), undefined);
  assert.equal(status, 0, stderr);
  user.kill('SIGKILL');
  await finished(user, 5);
});

test('mount --all mounts what the file has, less what is noauto or mounted', { skip: noMounts }, async () => {
  const base = temporaryDirectory('all');
  for (const name of ['a', 'b', 'c']) mkdirSync(join(base, name));
  const entries = ['a', 'b', 'c'].map((name) => ({ source, mountpoint: join(base, name), cache: 'none' }));
  const file = join(base, 'config.yaml');
  const text = { defaults: { ro: true }, mounts: [entries[0], entries[1], { ...entries[2], options: 'noauto' }] };
  writeFileSync(file, JSON.stringify(text)); // which is YAML too
  try {
    await mlOk(['mount', join(base, 'b'), '--config', file]);
    const said = await mlOk(['mount', '--all', '--config', file]);
    assert.equal(said, `${join(base, 'a')} mounted\n`);
    const link = join(temporaryDirectory('link'), 'to');
    symlinkSync(base, link);
    const linked = join(base, 'linked.yaml');
    writeFileSync(linked, JSON.stringify({ mounts: [{ ...entries[0], mountpoint: join(link, 'a') }] }));
    assert.equal(await mlOk(['mount', '--all', '--config', linked]), '', 'mounted already, by another name');
    assert.equal(mountedAt(join(base, 'c')), undefined);
    const { options } = await statusOf(join(base, 'a'));
    assert.equal(options.ro?.from, `${file}, defaults`);
    assert.equal(options.cache?.from, `${file}, mounts[0]`);
  } finally {
    for (const { mountpoint } of entries) await ml(['umount', '--force', mountpoint]);
  }
});

test('a mount that fails after its control socket is there leaves none', { skip: noMounts }, async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const mountpoint = temporaryDirectory('mountpoint');
  const { log } = pathsFor('/run/ml-overlay', mountpoint, 0);
  const own = basename(log, '.log'); // others may mount meanwhile
  const words = ['mount', source, mountpoint, '--cache', 'none', '--metrics-listen', `127.0.0.1:${port}`];
  const { status, stderr } = await ml(words);
  taken.close();
  assert.notEqual(status, 0);
  assert.match(stderr, /^MLO_/);
  assert.equal(mountedAt(mountpoint), undefined);
  const left = readdirSync('/run/ml-overlay').filter((name) => name.startsWith(own) && name.endsWith('.sock'));
  assert.deepEqual(left, []);
});
