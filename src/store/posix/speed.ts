/**
 * Whether a source can be called in the session's own turn. Decided by the file system's type, since only that says
 * what can happen (a network file system that answers in 50 us may hang for a minute); a local type that measures slow
 * (a loop device over a network, a failing disk) is not trusted either.
 */
import { readFile } from 'node:fs/promises';
import * as sys from '../../sys/libc.ts';
import type { SpeedClass } from '../store.ts';
import { AT_EMPTY_PATH, O_CLOEXEC, O_DIRECTORY, O_RDONLY, STATX_BASIC_STATS } from './flags.ts';
import { NO_PATH } from './statx.ts';

/** f_type of statfs(2). */
const LOCAL: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'], // ext2 and ext3 too
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0xf2f52010, 'f2fs'],
  [0x2fc12fc1, 'zfs'],
  [0xca451a4e, 'bcachefs'],
  [0x794c7630, 'overlay'],
  [0x73717368, 'squashfs'],
  [0xe0f5e1e2, 'erofs'],
]);

export const FUSE = 0x65735546;
const NFS = 0x6969;
const OVERLAY = 0x794c7630;
const TMPFS = 0x01021994;
const RAMFS = 0x858458f6;

const REMOTE: ReadonlyMap<number, string> = new Map([
  [FUSE, 'fuse'],
  [NFS, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb'],
  [0x19830326, 'beegfs'],
  [0x0bd00bd0, 'lustre'],
  [0x00c36400, 'ceph'],
  [0x01021997, '9p'],
  [0x47504653, 'gpfs'],
]);

/** The same, as /proc/self/mountinfo names them: what may lie beneath an inline root without making it pooled. */
const HARMLESS_MOUNTS = new Set([
  ...['ext2', 'ext3', ...LOCAL.values(), 'proc', 'sysfs', 'devtmpfs', 'devpts', 'cgroup2', 'cgroup', 'mqueue'],
  ...['hugetlbfs', 'debugfs', 'tracefs', 'securityfs', 'bpf', 'pstore', 'configfs', 'binfmt_misc', 'vfat', 'iso9660'],
]);

/** A local file system answers in microseconds; this is far above a busy machine's scheduling noise. */
const SLOW_MS = 2;
const TRIES = 5;

export interface SourceKind {
  type: string;
  speed: SpeedClass;
  /** Why it is not what the type alone would make it; '' when it is. */
  reason: string;
  /** Memory only: plain reads never wait. */
  memory: boolean;
  /** statx with AT_STATX_DONT_SYNC on a descriptor is answered from the kernel's memory. */
  localStat: boolean;
  /** Birth times are the file's own and stay. overlayfs shows those of whichever layer a file is on now. */
  births: boolean;
  nfs: boolean;
  /** O_DIRECT takes any offset and length, and saves more than it costs. */
  direct: boolean;
}

/** `type`: f_type; `root`: an O_PATH descriptor; `path`: where it is. */
export async function classify(type: number, root: number, path: string): Promise<SourceKind> {
  const kind: SourceKind = {
    type: LOCAL.get(type) ?? REMOTE.get(type) ?? `0x${type.toString(16)}`,
    speed: 'pooled',
    reason: '',
    memory: type === TMPFS || type === RAMFS,
    localStat: type === FUSE,
    births: LOCAL.has(type) && type !== OVERLAY,
    nfs: type === NFS,
    direct: type === FUSE,
  };
  if (!LOCAL.has(type)) return kind;
  const foreign = await foreignMount(path);
  if (foreign !== undefined) return { ...kind, reason: `a ${foreign} file system is mounted beneath it` };
  const took = await medianLatency(root);
  if (took > SLOW_MS) return { ...kind, reason: `it answers in ${took.toFixed(1)} ms` };
  return { ...kind, speed: 'inline', localStat: true };
}

/** A file system mounted somewhere beneath the root that is not known to be fast: one call there would hold up all. */
async function foreignMount(root: string): Promise<string | undefined> {
  const prefix = root.endsWith('/') ? root : `${root}/`;
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [left, right] = line.split(' - ');
    const at = left
      ?.split(' ')[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    const type = right?.split(' ')[0];
    if (at?.startsWith(prefix) && type !== undefined && !HARMLESS_MOUNTS.has(type)) return type;
  }
  return undefined;
}

async function medianLatency(root: number): Promise<number> {
  const buffer = Buffer.alloc(256);
  const names = Buffer.alloc(4096);
  const dot = sys.cstring('.');
  // First on the pool: should this one hang, nothing else does.
  await sys.statx.later(root, NO_PATH, AT_EMPTY_PATH, STATX_BASIC_STATS, buffer);
  const times: number[] = [];
  for (let i = 0; i < TRIES; i++) {
    const start = performance.now();
    sys.statx.now(root, NO_PATH, AT_EMPTY_PATH, STATX_BASIC_STATS, buffer);
    const fd = sys.openat.now(root, dot, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd >= 0) {
      sys.getdents64.now(fd, names, names.length);
      sys.closeNow(fd);
    }
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[TRIES >> 1]!;
}
