/**
 * Where a tier in memory lies. For root a tmpfs of its own that is mounted nowhere: it is reached through its descriptor, seen
 * in no namespace, and gone with the process. An ordinary user may not make one; theirs is a directory in the tmpfs that
 * the system gave them ($XDG_RUNTIME_DIR), removed at the end. Never /dev/shm: what lies there is a DataLoader's own traffic.
 *
 * Its pages count as the daemon's: against the memory of the machine, and of the control group it runs in.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { formatSize } from '../config/units.ts';
import { errnoName } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { CacheError } from './error.ts';
import { takeLock } from './lock.ts';

const CLOEXEC = 1;
const EMPTY_PATH = 8;
const SET_STRING = 1;
const CREATE = 6;
const RECONFIGURE = 7;
/** nosuid, nodev, noexec. */
const ATTRIBUTES = 2 | 4 | 8;
const TMPFS_MAGIC = 0x01021994;

export interface MemoryPlace {
  directory: string;
  /** What the file system itself allows, where it is ours alone; 0 or a negated errno. */
  resize(sizeBytes: number): number;
  close(): void;
}

export function openMemory(sizeBytes: number): MemoryPlace {
  const fd = ownTmpfs(sizeBytes);
  if (fd >= 0) {
    return {
      directory: `/proc/self/fd/${fd}`,
      resize: (bytes) => resizeTmpfs(fd, bytes),
      close: () => fs.closeSync(fd),
    };
  }
  const given = process.env.XDG_RUNTIME_DIR;
  if (given !== undefined && isTmpfs(given)) return inDirectory(given, sizeBytes);
  throw new CacheError(
    'memory',
    `no tmpfs can be made for a cache in memory (${errnoName(fd)}), and XDG_RUNTIME_DIR is none`,
    'mount as root, or leave mem:SIZE out: what is read often stays in the page cache as well',
  );
}

/** A descriptor of its root, or a negated errno. */
function ownTmpfs(sizeBytes: number): number {
  const context = sys.fsopen.now(sys.SYS_fsopen, sys.cstring('tmpfs'), CLOEXEC);
  if (context < 0) return context;
  try {
    // By its default tmpfs has as many inodes as half the memory has pages: too few for small files.
    for (const [key, value] of [
      ['size', String(sizeBytes)],
      ['nr_inodes', '0'],
      ['mode', '0700'],
    ] as const) {
      const set = sys.fsconfig.now(sys.SYS_fsconfig, context, SET_STRING, sys.cstring(key), sys.cstring(value), 0);
      if (set < 0) return set;
    }
    const made = sys.fsconfig.now(sys.SYS_fsconfig, context, CREATE, null, null, 0);
    return made < 0 ? made : sys.fsmount.now(sys.SYS_fsmount, context, CLOEXEC, ATTRIBUTES);
  } finally {
    sys.close.now(context);
  }
}

function resizeTmpfs(fd: number, sizeBytes: number): number {
  const context = sys.fspick.now(sys.SYS_fspick, fd, sys.cstring(''), CLOEXEC | EMPTY_PATH);
  if (context < 0) return context;
  const size = sys.cstring(String(sizeBytes));
  const set = sys.fsconfig.now(sys.SYS_fsconfig, context, SET_STRING, sys.cstring('size'), size, 0);
  const done = set < 0 ? set : sys.fsconfig.now(sys.SYS_fsconfig, context, RECONFIGURE, null, null, 0);
  sys.close.now(context);
  return done;
}

function isTmpfs(directory: string): boolean {
  try {
    return fs.statfsSync(directory).type === TMPFS_MAGIC;
  } catch {
    return false;
  }
}

function inDirectory(given: string, sizeBytes: number): MemoryPlace {
  const all = path.join(given, 'ml-overlay-mem');
  fs.mkdirSync(all, { recursive: true, mode: 0o700 });
  removeLeftOver(all);
  const { bavail, bsize } = fs.statfsSync(given);
  if (bavail * bsize < sizeBytes) {
    const free = formatSize(bavail * bsize);
    throw new CacheError(
      'memory',
      `${given} has ${free} free, less than a cache in memory of ${formatSize(sizeBytes)}`,
      `give mem:SIZE less than ${free}, or mount as root`,
    );
  }
  const directory = fs.mkdtempSync(path.join(all, `${process.pid}-`));
  const lock = takeLock(directory);
  const close = (): void => {
    if ('fd' in lock) fs.closeSync(lock.fd);
    fs.rmSync(directory, { recursive: true, force: true });
  };
  return { directory, resize: () => 0, close };
}

/** Of daemons that were killed. */
function removeLeftOver(all: string): void {
  for (const name of fs.readdirSync(all)) {
    const directory = path.join(all, name);
    const pid = Number.parseInt(name, 10);
    if (!(pid > 0) || (pid !== process.pid && fs.existsSync(`/proc/${pid}`))) continue;
    const lock = takeLock(directory);
    if (!('fd' in lock)) continue; // of a process that is seen elsewhere only, in a container
    fs.closeSync(lock.fd);
    fs.rmSync(directory, { recursive: true, force: true });
  }
}
