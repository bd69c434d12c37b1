/** Short slices, in processes of their own: what is asked for holds for a whole process. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { statusOf } from '../cli/support.ts';
import { mountOverlay, noMounts, temporaryDirectory } from '../support/mounts.ts';
import { run } from '../support/run.ts';
import { withWatchdog } from '../support/watchdog.ts';

const module = fileURLToPath(new URL('../../src/sys/scheduling.ts', import.meta.url));
const program = `
  import { existsSync, readFileSync } from 'node:fs';
  const { askForShortSlices } = await import(${JSON.stringify(module)});
  const asked = askForShortSlices();
  const table = '/proc/self/sched'; // not of every kernel
  const slice = existsSync(table) ? /se.slice +: +(\\d+)/.exec(readFileSync(table, 'latin1'))?.[1] ?? null : null;
  const nice = (await import('node:os')).getPriority();
  console.log(JSON.stringify({ asked, slice, nice }));
`;
const words = ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', program];

const [major = 0, minor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'latin1').split('.').map(Number);
const older = major < 6 || (major === 6 && minor < 12) ? 'Linux before 6.12 takes no slices' : false;

test('a process asks for short slices, and keeps its nice value', { skip: older }, async () => {
  const { status, stdout, stderr } = await run('nice', ['-n', '3', process.execPath, ...words], { seconds: 30 });
  assert.equal(status, 0, stderr);
  const said = JSON.parse(stdout) as { asked: boolean; slice: string | null; nice: number };
  assert.equal(said.asked, true);
  assert.ok(said.slice === null || said.slice === '100000', `the kernel tells of ${said.slice} ns`);
  assert.ok(said.nice >= 3);
});

test('one that was given another policy keeps it as it is', async () => {
  const { status, stdout, stderr } = await run('chrt', ['-b', '0', process.execPath, ...words], { seconds: 30 });
  assert.equal(status, 0, stderr);
  assert.equal((JSON.parse(stdout) as { asked: boolean }).asked, false);
});

const untold = existsSync('/proc/self/sched') ? false : 'no /proc/PID/sched here';

test('the daemon of a mount has short slices', { skip: noMounts || older || untold }, async () => {
  const mount = await mountOverlay({ source: temporaryDirectory('source'), options: ['--cache', 'none'] });
  await withWatchdog(mount, 30, async () => {
    const { pid } = await statusOf(mount.mountpoint);
    assert.match(readFileSync(`/proc/${pid}/sched`, 'latin1'), /^se.slice +: +100000$/m);
  });
  await mount.unmount();
});
