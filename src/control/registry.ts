/**
 * Which mounts there are: one small file a mount in a directory of the user's own, beside its control socket and log.
 * A file whose process is gone (or whose pid belongs to another process now) is stale.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { MloError } from '../errors.ts';
import { isAlive } from './processes.ts';

export interface MountRecord {
  mountpoint: string;
  source: string;
  pid: number;
  /** Of the process, in clock ticks since boot: tells it from another with the same pid. */
  startTime: string;
  /** "major:minor" of the mount. */
  device: string;
  socket: string;
  log: string;
  /** ISO 8601. */
  mountedAt: string;
  version: string;
}

/** A socket's path has room for 107 bytes; names in the directory are up to 26 long. */
const LONGEST_DIRECTORY = 80;

/** /run/ml-overlay for root, $XDG_RUNTIME_DIR/ml-overlay for others, else /tmp/ml-overlay-UID. */
export function runtimeDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return '/run/ml-overlay';
  const session = environment.XDG_RUNTIME_DIR;
  if (session?.startsWith('/') && existsSync(session)) {
    const directory = `${session}/ml-overlay`;
    if (Buffer.byteLength(directory) <= LONGEST_DIRECTORY) return directory;
  }
  return `/tmp/ml-overlay-${uid}`;
}

/** Makes the directory; refuses one that others could write to. */
export function ensureRuntimeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new MloError('MLO_SYSTEM', `cannot make ${directory}: ${(error as Error).message}`);
  }
  if (!belongsTo(directory, process.getuid?.() ?? 0)) {
    throw new MloError('MLO_SYSTEM', `${directory} is not a directory of this user alone`, 'remove it');
  }
}

export interface RecordPaths {
  record: string;
  socket: string;
  log: string;
}

/**
 * A daemon that ends may overlap with the next one at the same mountpoint, so record and socket are a daemon's own. The log
 * is the mountpoint's: it outlives a daemon that crashed.
 */
export function pathsFor(directory: string, mountpoint: string, pid: number): RecordPaths {
  const id = createHash('sha256').update(mountpoint).digest('hex').slice(0, 12);
  const at = join(directory, `${id}-${pid}`);
  return { record: `${at}.json`, socket: `${at}.sock`, log: `${join(directory, id)}.log` };
}

export function writeRecord(directory: string, record: MountRecord): void {
  const { record: path } = pathsFor(directory, record.mountpoint, record.pid);
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Takes away what belongs to a daemon; the log only when no other has taken its place. */
export function removeRecord({ mountpoint, pid, socket }: MountRecord, withLog = false): void {
  const directory = dirname(socket);
  const paths = pathsFor(directory, mountpoint, pid);
  for (const path of [paths.record, paths.socket]) rmSync(path, { force: true });
  if (withLog && !readRecords(directory).some((other) => other.mountpoint === mountpoint && isAlive(other))) {
    rmSync(paths.log, { force: true });
  }
}

const LONGEST_RECORD = 64 * 1024;

/** Of a regular file only: in another user's directory a name may lead anywhere, or to a pipe that nobody writes to. */
function readPlain(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(fd);
    return found.isFile() && found.size <= LONGEST_RECORD ? readFileSync(fd, 'utf8') : '';
  } finally {
    closeSync(fd);
  }
}

function readRecord(path: string): MountRecord | undefined {
  try {
    const record = JSON.parse(readPlain(path)) as MountRecord;
    return Number.isSafeInteger(record.pid) && record.pid > 1 && typeof record.mountpoint === 'string'
      ? record
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Every record of this user's; root sees those of others too. A record decides which process is asked and killed, so it counts
 * only from a directory that nobody else could write to, and another user's only for a process of that user.
 */
export function readRecords(directory: string): MountRecord[] {
  const own = process.getuid?.() ?? 0;
  const records = recordsIn(directory, own);
  if (own === 0) {
    for (const [path, uid] of directoriesOfUsers()) {
      records.push(...recordsIn(path, uid).filter(({ pid }) => ownerOfProcess(pid) === uid));
    }
  }
  return records;
}

function recordsIn(directory: string, uid: number): MountRecord[] {
  if (!belongsTo(directory, uid)) return [];
  return list(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => readRecord(join(directory, name)))
    .filter((record) => record !== undefined)
    .map((record) => ({ ...record, socket: pathsFor(directory, record.mountpoint, record.pid).socket }));
}

export function findRecord(directory: string, mountpoint: string): MountRecord | undefined {
  const records = readRecords(directory).filter((record) => record.mountpoint === mountpoint);
  return records.find(isAlive) ?? records[0];
}

function directoriesOfUsers(): [path: string, uid: number][] {
  const sessions = list('/run/user').map((uid): [string, number] => [`/run/user/${uid}/ml-overlay`, Number(uid)]);
  const others = list('/tmp').filter((name) => /^ml-overlay-\d+$/.test(name));
  return [...sessions, ...others.map((name): [string, number] => [`/tmp/${name}`, Number(name.slice(11))])];
}

/** A directory of that user, in which nobody else can write. */
export function belongsTo(directory: string, uid: number): boolean {
  try {
    const found = lstatSync(directory);
    return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

function ownerOfProcess(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
