/**
 * Mounting and unmounting. With CAP_SYS_ADMIN by mount(2), else through fusermount3.
 *
 * The process that serves a mount must never look at a path in it, its root included: it would wait for itself. What is
 * known of a mount afterwards comes from the kernel's tables.
 */
import { closeSync, openSync, readFileSync, realpathSync, statSync, writeSync } from 'node:fs';
import { Errno, failureOf } from '../sys/errno.ts';
import { abortFile } from '../sys/fusectl.ts';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_RDWR, O_WRONLY } from '../sys/open-flags.ts';
import { mountByHelper, unmountByHelper } from './fusermount.ts';
import { MountError } from './mount-error.ts';
import { mountedAt } from './mount-table.ts';
import { ReadaheadKnob } from './readahead-knob.ts';

/** Options of mount(2) that are flags. */
const mountFlags = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  noatime: 1024,
  nodiratime: 2048,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
} as const;

export type MountFlag = keyof typeof mountFlags;
export const mountFlagNames = Object.keys(mountFlags) as readonly MountFlag[];

export interface MountOptions {
  /** An existing directory. */
  mountpoint: string;
  /** Shown as the source in the table of mounts. */
  fsName: string;
  readOnly?: boolean;
  /** Other users may enter. Default: when mounted as root. */
  allowOther?: boolean;
  /** The kernel checks permissions. On unless said. */
  defaultPermissions?: boolean;
  flags?: readonly MountFlag[];
  /** Most bytes of one READ. 1 MiB unless said. */
  maxReadBytes?: number;
  /** Which way; 'auto' takes mount(2) when permitted. */
  how?: 'auto' | 'syscall' | 'fusermount3';
}

export interface Mounted {
  /** /dev/fuse, to be given to a Session and to be closed after it. */
  readonly fd: number;
  readonly how: 'syscall' | 'fusermount3';
  /** Absolute, without symbolic links. */
  readonly mountpoint: string;
  /**
   * `force`: also when in use or hung: requests that wait fail, and the connection is aborted (an ordinary user's only where
   * fusectl is mounted).
   */
  unmount(force?: boolean): Promise<void>;
  /** "major:minor" of the mount; undefined when it is not there any more. */
  deviceNumber(): string | undefined;
  /** To be asked for after INIT; undefined: it may not be turned. */
  readaheadKnob(): ReadaheadKnob | undefined;
}

const SUBTYPE = 'ml-overlay';
const MOUNT_TYPE = `fuse.${SUBTYPE}`;
const DEFAULT_MAX_READ_BYTES = 1 << 20;
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const AT_FDCWD = -100;
const CAP_SYS_ADMIN = 21n;

function mayMount(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}

/** Paths as byte strings, the form in which sys/libc.ts wants them. */
function pathBytes(path: string): Buffer {
  return Buffer.from(`${path}\0`, 'utf8');
}

/** Commas separate options, so those in a value are escaped, as libfuse does it. */
function escapeOption(value: string): string {
  return value.replace(/[\\,]/g, '\\$&');
}

export async function mountFuse(options: MountOptions): Promise<Mounted> {
  const mountpoint = resolveMountpoint(options.mountpoint);
  const how =
    options.how === undefined || options.how === 'auto' ? (mayMount() ? 'syscall' : 'fusermount3') : options.how;
  const fd =
    how === 'syscall'
      ? mountBySystemCall(mountpoint, options)
      : await mountByHelper(mountpoint, helperOptions(options));
  return {
    fd,
    how,
    mountpoint,
    unmount: (force = false) => {
      if (how === 'syscall') return unmountBySystemCall(mountpoint, force);
      return force ? forceByHelper(mountpoint) : unmountByHelper(mountpoint, false);
    },
    deviceNumber: () => mountedAt(mountpoint)?.device,
    readaheadKnob: () => ReadaheadKnob.of(mountedAt(mountpoint)?.device),
  };
}

function resolveMountpoint(path: string): string {
  try {
    const resolved = realpathSync(path);
    if (!statSync(resolved).isDirectory()) {
      throw new MountError(Errno.ENOTDIR, `cannot mount on ${path}`, 'give a directory as the mountpoint');
    }
    return resolved;
  } catch (error) {
    if (error instanceof MountError) throw error;
    const errno = -failureOf(error);
    const remedy =
      errno === Errno.ENOENT
        ? 'create the directory first'
        : errno === Errno.ENOTCONN
          ? 'a mount whose daemon is gone is in the way: unmount it (umount -l)'
          : 'check the path and its permissions';
    throw new MountError(errno, `cannot mount on ${path}`, remedy);
  }
}

function dataOptions(options: MountOptions): string[] {
  const data: string[] = [];
  if (options.defaultPermissions ?? true) data.push('default_permissions');
  data.push(`max_read=${options.maxReadBytes ?? DEFAULT_MAX_READ_BYTES}`);
  return data;
}

function mountBySystemCall(mountpoint: string, options: MountOptions): number {
  const fd = sys.openat.now(AT_FDCWD, pathBytes('/dev/fuse'), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) throw noDevice(-fd);
  let flags: number = options.readOnly ? mountFlags.ro : 0;
  for (const flag of options.flags ?? []) flags |= mountFlags[flag];
  // The type of the root directory is all that counts of rootmode.
  const data = [
    `fd=${fd}`,
    'rootmode=40000',
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
  ];
  data.push(...dataOptions(options));
  if (options.allowOther ?? true) data.push('allow_other');
  const result = sys.mount.now(
    pathBytes(options.fsName),
    pathBytes(mountpoint),
    pathBytes(MOUNT_TYPE),
    flags,
    pathBytes(data.join(',')),
  );
  if (result >= 0) return fd;
  sys.close.now(fd);
  throw new MountError(-result, `cannot mount on ${mountpoint}`, remedyFor(-result));
}

function helperOptions(options: MountOptions): string {
  const data = [`fsname=${escapeOption(options.fsName)}`, `subtype=${SUBTYPE}`, ...dataOptions(options)];
  if (options.readOnly) data.push('ro');
  if (options.allowOther) data.push('allow_other');
  data.push(...(options.flags ?? []));
  return data.join(',');
}

function noDevice(errno: number): MountError {
  const missing = errno === Errno.ENOENT || errno === Errno.ENODEV || errno === Errno.ENXIO;
  return new MountError(
    errno,
    'cannot open /dev/fuse',
    missing
      ? 'load the kernel module (modprobe fuse); in a container, pass the device: --device /dev/fuse'
      : 'in a container, pass the device: --device /dev/fuse',
  );
}

function remedyFor(errno: number): string {
  if (errno === Errno.EPERM) return 'mounting needs CAP_SYS_ADMIN; in a container: --cap-add SYS_ADMIN';
  if (errno === Errno.EBUSY) return 'something is mounted there already: unmount it first';
  if (errno === Errno.ENODEV) return 'this kernel has no FUSE: modprobe fuse';
  return 'see dmesg for what the kernel says';
}

/** The helper only takes the mount out of the tree: whoever hangs in it would go on hanging. */
async function forceByHelper(mountpoint: string): Promise<void> {
  const abort = openAbort(mountpoint); // before: afterwards its number may be another mount's
  try {
    await unmountByHelper(mountpoint, true);
  } finally {
    if (abort !== undefined) {
      writeSync(abort, '1');
      closeSync(abort);
    }
  }
}

/** What aborts the connection of a mount, and is its user's; undefined where fusectl is not mounted. */
function openAbort(mountpoint: string): number | undefined {
  const mount = mountedAt(mountpoint);
  if (mount?.type !== MOUNT_TYPE) return undefined;
  try {
    return openSync(abortFile(mount.device), O_WRONLY);
  } catch {
    return undefined; // what hangs ends with the daemon
  }
}

/** Through the pool: the kernel may wait for replies of ours while it unmounts. */
async function unmountBySystemCall(mountpoint: string, force: boolean): Promise<void> {
  const flags = UMOUNT_NOFOLLOW | (force ? MNT_DETACH | MNT_FORCE : 0);
  const result = await sys.umount2.later(pathBytes(mountpoint), flags);
  if (result >= 0) return;
  throw new MountError(
    -result,
    `cannot unmount ${mountpoint}`,
    result === -Errno.EBUSY
      ? 'end the programs that use it (fuser -vm), or unmount with --force'
      : result === -Errno.EINVAL
        ? 'nothing is mounted there'
        : 'unmount as the user who mounted, or as root',
  );
}
