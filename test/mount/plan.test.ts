/** Plans through real mounts: announced by the command and by `.mlo/plan`, followed, and of no harm. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlansSnapshot } from '../../src/prefetch/plans/plans.ts';
import type { StatsDocument } from '../../src/telemetry/stats.ts';
import { command, type Mounted, mountOverlay, noMounts, ORDINARY_USER, temporaryDirectory } from '../support/mounts.ts';
import { type Finished, finished, launch, run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const FILES = 40;
const BYTES = 50_000;
const SECONDS = 120;

function data(): string {
  const source = temporaryDirectory('source');
  mkdirSync(join(source, 'train'));
  for (let i = 0; i < FILES; i++) writeFileSync(join(source, `train/${i}`), Buffer.alloc(BYTES, i));
  return source;
}

async function planned(options: string, body: (mount: Mounted) => Promise<void>): Promise<void> {
  const cache = ['--cache', `${temporaryDirectory('cache')}:1G`, '-o', `store-speed=pooled,${options}`];
  const mount = await mountOverlay({ source: data(), options: cache });
  await withWatchdog(mount, SECONDS, async () => {
    await answers(mount);
    await body(mount);
  }).finally(() => mount.unmount());
}

/** A mount whose command stays in front is there before its daemon can be asked. */
async function answers(mount: Mounted): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await mount.command(['status', mount.mountpoint], 60)).status === 0) return;
    await sleep(100);
  }
}

const plan = (mount: Mounted, ...words: string[]): Promise<Finished> =>
  mount.command(['plan', mount.mountpoint, ...words], 60);

async function listed(mount: Mounted): Promise<PlansSnapshot> {
  const { status, stdout, stderr } = await plan(mount, '--list', '--json');
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as PlansSnapshot;
}

/** Looks until it is so: bringing takes its time. */
async function until(mount: Mounted, what: (snapshot: PlansSnapshot) => boolean): Promise<PlansSnapshot> {
  for (let tries = 0; ; tries++) {
    const snapshot = await listed(mount);
    if (what(snapshot)) return snapshot;
    assert.ok(tries < 100, JSON.stringify(snapshot));
    await sleep(100);
  }
}

async function stats(mount: Mounted): Promise<StatsDocument> {
  return JSON.parse((await mount.command(['stats', mount.mountpoint, '--json'], 60)).stdout) as StatsDocument;
}

const shell = (script: string, user?: number): Promise<Finished> =>
  run('/bin/sh', ['-c', script], { seconds: 60, ...(user !== undefined && { user }) });

function listOf(names: readonly string[]): string {
  const list = join(temporaryDirectory('list'), 'order.txt');
  writeFileSync(list, names.map((name) => `${name}\n`).join(''));
  return list;
}

const train = (from = 0): string[] => Array.from({ length: FILES - from }, (_, i) => `train/${from + i}`);

test('what is announced is there before it is read, and is seen to be read', { skip: noMounts }, () =>
  planned('ro', async (mount) => {
    const said = await plan(mount, listOf([...train(), 'train/no-such', 'train', 'train/0/below']));
    assert.equal(said.status, 0, said.stderr);
    assert.equal(said.stdout, `plan order.txt: ${FILES + 3} items\n`);
    const brought = await until(
      mount,
      ({ plans }) => plans[0]!.missing === 3 && plans[0]!.broughtBytes === FILES * BYTES,
    );
    assert.deepEqual(
      brought.plans.map(({ name, items, used, late, failed }) => [name, items, used, late, failed]),
      [['order.txt', FILES + 3, 0, 0, 0]],
    );
    const read = await shell(`cat ${mount.mountpoint}/train/* | wc -c`);
    assert.equal(read.stdout.trim(), String(FILES * BYTES));
    await until(mount, ({ plans }) => plans[0]!.used === FILES);
    const document = await stats(mount);
    assert.equal(document.reads.fromStore?.count, 0, 'no reader waited for the store');
    assert.deepEqual([document.plans[0]?.name, document.plans[0]?.usedBytes], ['order.txt', FILES * BYTES]);
    assert.equal(document.prefetch.byOrder.plan?.usedBytes, FILES * BYTES);
  }),
);

test(
  'plans are fed through a pipe while they are read, go on, are replaced, and are withdrawn',
  { skip: noMounts },
  () =>
    planned('rw', async (mount) => {
      const child = launch(command, ['plan', mount.mountpoint, '-', '--name', 'job'], { env: mount.environment });
      const ended = finished(child, 60);
      child.stdin?.write('train/0\ntrain/1\ntrain');
      await until(mount, ({ plans }) => plans[0]?.broughtBytes === 2 * BYTES);
      child.stdin?.end('/2\n');
      assert.deepEqual(await ended, { status: 0, stdout: 'plan job: 3 items\n', stderr: '' });

      const more = await plan(mount, listOf(train(30)), '--name', 'job', '--append');
      assert.equal(more.stdout, 'plan job: 13 items\n', more.stderr);
      const again = await plan(
        mount,
        listOf([`${mount.mountpoint}/train/5`, '/elsewhere', 'a\tb\tc']),
        '--name',
        'job',
      );
      assert.equal(again.stdout, 'plan job: 1 items\n', 'replaced');
      assert.equal(again.status, 1);
      assert.match(again.stderr, /^2 lines say nothing; the first: the path is none below the mount/);

      assert.equal((await plan(mount, listOf(train()), '--as-listing', 'set')).status, 0);
      const numbers = await plan(mount, listOf(['7', '3', '99']), '--name', 'epoch', '--listing', 'set');
      assert.match(numbers.stderr, /the first: listing set has no line 99/);
      const { plans, listings } = await listed(mount);
      assert.deepEqual([plans.map(({ name }) => name), listings[0]?.lines], [['job', 'epoch'], FILES]);
      assert.equal((await plan(mount, '--withdraw', 'job')).status, 0);
      const gone = await plan(mount, '--withdraw', 'job');
      assert.match(gone.stderr, /^MLO_PLAN: there is no plan job: /);
      const table = await plan(mount, '--list');
      assert.match(table.stdout, /^plan +items +to give .*\nepoch +2 .*\nlisting set: 40 lines\n$/);
    }),
);

test('whoever may enter .mlo may write a plan, a line or all of it at a time', { skip: noMounts }, () =>
  planned('rw,allow-other,control-files=all', async (mount) => {
    const at = `${mount.mountpoint}/.mlo/plan`;
    const good = [
      `echo train/0 > ${at}`,
      `echo train/1 >> ${at}`,
      `printf 'train/2\ntrain/3' | tee ${at} > /dev/null`,
      `cp ${listOf(train(10))} ${at}`,
      `exec 3> ${at}; echo '#ml-overlay-plan 1 name=mine' >&3; echo train/4 >&3; sleep 0.2; echo train/5 >&3`,
    ];
    for (const script of good) {
      const { status, stderr } = await shell(script, ORDINARY_USER);
      assert.equal(status, 0, `${script}: ${stderr}`);
    }
    const counts = (snapshot: PlansSnapshot): number[] => snapshot.plans.map(({ items }) => items);
    await until(mount, (snapshot) => String(counts(snapshot)) === String([1, 1, 2, FILES - 10, 2]));
    assert.match((await shell(`cat ${at}`, ORDINARY_USER)).stdout, /"name": "mine"/);
    for (const script of [`echo '#ml-overlay-plan 9' > ${at}`, `echo x > ${mount.mountpoint}/.mlo/stats`]) {
      assert.match(
        (await shell(script, ORDINARY_USER)).stderr,
        /Invalid argument|I\/O error|Permission denied/,
        script,
      );
    }
    await shell(`echo '#ml-overlay-withdraw 1 name=mine' > ${at}`);
    assert.ok(!(await listed(mount)).plans.some(({ name }) => name === 'mine'));
  }),
);

test('a plan larger than what one write takes is taken whole', { skip: noMounts }, () =>
  planned('rw', async (mount) => {
    const names = Array.from({ length: 50_000 }, (_, i) => `nowhere/at/all/there/is/no/such/file/${i}`);
    const done = await shell(`cat ${listOf(names)} > ${mount.mountpoint}/.mlo/plan`);
    assert.equal(done.status, 0, done.stderr);
    const { plans } = await until(mount, (snapshot) => (snapshot.plans[0]?.missing ?? 0) > 100);
    assert.deepEqual([plans[0]?.items, plans[0]?.malformed], [50_000, 0]);
    assert.equal((await shell(`cat ${mount.mountpoint}/train/3 | wc -c`)).stdout.trim(), String(BYTES));
  }),
);

test('others than the owner may not, unless the mount says so; and where nothing is brought ahead, it is said', {
  skip: noMounts,
}, async () => {
  await planned('rw,allow-other', async (mount) => {
    const { stderr } = await shell(`echo train/0 > ${mount.mountpoint}/.mlo/plan`, ORDINARY_USER);
    assert.match(stderr, /Permission denied/);
  });
  await planned('rw,prefetch=off', async (mount) => {
    const { status, stderr } = await plan(mount, '--list');
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^MLO_PLAN: nothing is brought ahead .*: prefetch is off: mount it without -o prefetch=off\n$/,
    );
    assert.match((await shell(`echo train/0 > ${mount.mountpoint}/.mlo/plan`)).stderr, /Read-only file system/);
  });
});
