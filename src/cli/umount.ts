/** ml-overlay umount MOUNTPOINT [--force] */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { callDaemon } from '../control/client.ts';
import { forgetDead } from '../control/leftovers.ts';
import { type Holder, holdersOf, isAlive } from '../control/processes.ts';
import { findRecord, type MountRecord, runtimeDirectory } from '../control/registry.ts';
import { MloError } from '../errors.ts';
import { abortConnection } from '../sys/fusectl.ts';
import { mountpointNamed } from './mountpoint-named.ts';
import { deviceOf } from './probe.ts';

export const help = `Usage: ml-overlay umount MOUNTPOINT [--force]

Unmounts, and returns when the daemon has ended.

  --force  also when it is in use or hangs: whatever is under way there fails
`;

/** How long a daemon that was asked may take to end: it writes its cache's index out. */
const END_MS = 15_000;
const FORCED_END_MS = 3_000;

export async function run(words: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: { force: { type: 'boolean', short: 'f', default: false }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return console.log(help.trimEnd()) ?? 0;
  const [given] = positionals;
  if (given === undefined || positionals.length > 1) throw new MloError('MLO_USAGE', 'umount takes one mountpoint');
  const directory = runtimeDirectory();
  const mountpoint = mountpointNamed(given);
  const record = findRecord(directory, mountpoint);
  const device = deviceOf(mountpoint);
  if (device === undefined) {
    const left = record !== undefined && isAlive(record);
    if (!left) {
      forgetDead(directory, mountpoint);
      throw new MloError('MLO_NOT_MOUNTED', `no ml-overlay is mounted on ${mountpoint}`);
    }
  } else if (values.force) {
    await force(mountpoint, device);
  } else {
    await politely(mountpoint, record);
  }
  if (record !== undefined) await waitForEnd(record, values.force);
  forgetDead(directory, mountpoint);
  return 0;
}

async function politely(mountpoint: string, record: MountRecord | undefined): Promise<void> {
  const daemon = record !== undefined && isAlive(record) ? record : undefined;
  try {
    if (daemon === undefined) await unmountOurselves(mountpoint);
    else await askDaemon(daemon);
  } catch (error) {
    if (!(error instanceof MloError) || error.code !== 'MLO_BUSY') throw error;
    throw new MloError('MLO_BUSY', `${mountpoint} is in use${by(holdersOf(mountpoint, record?.pid ?? 0))}`);
  }
}

function by(holders: Holder[]): string {
  if (holders.length === 0) return ', by processes this user cannot see, or by a mount in it';
  const shown = holders.slice(0, 8).map(({ pid, name, by }) => `${name} (pid ${pid}, ${by})`);
  return ` by ${shown.join(', ')}${holders.length > shown.length ? `, and ${holders.length - shown.length} more` : ''}`;
}

async function askDaemon(record: MountRecord): Promise<void> {
  try {
    await callDaemon(record.socket, 'POST', '/unmount', { body: {} });
  } catch (error) {
    // It may end before it has answered; then the mount is gone.
    if (error instanceof MloError && error.code !== 'MLO_UNREACHABLE') throw error;
    if (deviceOf(record.mountpoint) !== undefined) await unmountOurselves(record.mountpoint);
  }
}

/** By umount(8) or fusermount3. `lazily`: in use or not. */
export async function unmountOurselves(mountpoint: string, lazily = false): Promise<void> {
  const root = process.getuid?.() === 0;
  const said = root
    ? await output('umount', lazily ? ['-f', '-l', mountpoint] : [mountpoint])
    : await output('fusermount3', lazily ? ['-u', '-z', '--', mountpoint] : ['-u', '--', mountpoint]);
  if (said === undefined) return;
  if (/busy/i.test(said)) throw new MloError('MLO_BUSY', `${mountpoint} is in use`);
  if (/not permitted|not owned|no entry/i.test(said)) throw new MloError('MLO_PERMISSION', said);
  throw new MloError('MLO_UNMOUNT', said);
}

/** What a command says that fails; undefined: it did not. */
function output(command: string, words: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, words, { timeout: 10_000, killSignal: 'SIGKILL' }, (error, _stdout, stderr) =>
      resolve(error === null ? undefined : stderr.trim() || error.message),
    );
  });
}

/** Ends every request that waits, and takes the mount out of the tree. */
async function force(mountpoint: string, device: string): Promise<void> {
  abortConnection(device); // else `umount -f` and the end of the daemon do the same
  if (deviceOf(mountpoint) === device) await unmountOurselves(mountpoint, true);
}

async function waitForEnd(record: MountRecord, forced: boolean): Promise<void> {
  if (await ended(record, forced ? FORCED_END_MS : END_MS)) return;
  const what = `the daemon (pid ${record.pid}) of ${record.mountpoint} did not end`;
  if (!forced) throw new MloError('MLO_UNMOUNT', what);
  try {
    process.kill(record.pid, 'SIGKILL'); // its start time was compared just now
  } catch {
    // it has ended, or is another user's
  }
  if (await ended(record, FORCED_END_MS)) return;
  throw new MloError(
    'MLO_UNMOUNT',
    `${what}, although killed: it waits in the kernel for its source`,
    'it ends when the source answers',
  );
}

async function ended(record: MountRecord, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (isAlive(record)) {
    if (Date.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}
