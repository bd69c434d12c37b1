/** What `doctor` looks at. Each finding says what is there, and what to do where something is missing. */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { defaultConfigurationPath, readConfiguration } from '../config/file.ts';
import { memoryBudget, memoryLimit } from '../config/memory.ts';
import { formatSize } from '../config/units.ts';
import { isAlive } from '../control/processes.ts';
import { readRecords, runtimeDirectory } from '../control/registry.ts';
import { asMloError } from '../errors.ts';
import { mountTable } from '../fuse/mount-table.ts';
import { maySetBacking } from '../fuse/negotiate.ts';
import { version } from './version.ts';

export interface Finding {
  subject: string;
  /** 'note': works, with less. 'bad': nothing can be mounted. */
  verdict: 'ok' | 'note' | 'bad';
  found: string;
  remedy?: string;
}

const root = process.getuid?.() === 0;

export async function checkMachine(): Promise<Finding[]> {
  return [
    { subject: 'ml-overlay', verdict: 'ok', found: `${version}, Node ${process.versions.node}, ${process.arch}` },
    kernel(),
    device(),
    await systemCalls(),
    await ioUring(),
    helper(),
    otherUsers(),
    passthrough(),
    libfuse(),
    memory(),
    openFiles(),
    cacheDirectory(),
    mountCommand(),
    await configuration(),
    ...brokenMounts(),
  ];
}

function kernel(): Finding {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const at = major * 1000 + minor;
  const subject = 'kernel';
  if (at < 5004) return { subject, verdict: 'bad', found: release(), remedy: 'Linux 5.4 is the oldest supported' };
  if (at < 6009) return { subject, verdict: 'note', found: `${release()}, no passthrough`, remedy: 'Linux 6.9 has it' };
  return { subject, verdict: 'ok', found: release() };
}

function device(): Finding {
  const subject = '/dev/fuse';
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return { subject, verdict: 'ok', found: 'can be opened' };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const remedy = code === 'EACCES' ? 'chmod 666 /dev/fuse' : 'modprobe fuse; in a container: --device /dev/fuse';
    return { subject, verdict: 'bad', found: `cannot be opened (${code})`, remedy };
  }
}

async function systemCalls(): Promise<Finding> {
  const subject = 'system calls';
  try {
    await import('../sys/libc.ts');
    return { subject, verdict: 'ok', found: 'koffi is loaded' };
  } catch (error) {
    const remedy = 'npm ci --ignore-scripts; it needs glibc on x64 or arm64';
    return { subject, verdict: 'bad', found: `koffi cannot be loaded (${(error as Error).message})`, remedy };
  }
}

async function ioUring(): Promise<Finding> {
  const subject = 'io_uring';
  try {
    const { beginIoUring } = await import('../sys/uring-calls.ts');
    const why = beginIoUring(1);
    if (why === undefined) return { subject, verdict: 'ok', found: 'can be used' };
    const remedy = 'works without, with more of the processor for each file that comes from a slow store';
    return { subject, verdict: 'note', found: why, remedy };
  } catch {
    return { subject, verdict: 'note', found: 'not looked for: koffi cannot be loaded' };
  }
}

function helper(): Finding {
  const subject = 'fusermount3';
  const path = inPath('fusermount3');
  const install = 'install the package fuse3';
  const worst = root ? 'ok' : 'bad';
  if (path === undefined) return { subject, verdict: worst, found: 'missing; only root can mount', remedy: install };
  const setuid = (statSync(path).mode & 0o4000) !== 0;
  if (!setuid) return { subject, verdict: worst, found: `${path} is not set-user-id`, remedy: `chmod u+s ${path}` };
  return { subject, verdict: 'ok', found: path };
}

function otherUsers(): Finding {
  const subject = 'allow-other';
  const permitted = /^\s*user_allow_other\b/m.test(read('/etc/fuse.conf'));
  if (root) return { subject, verdict: 'ok', found: 'permitted for root' };
  if (permitted) return { subject, verdict: 'ok', found: 'permitted for every user' };
  return {
    subject,
    verdict: 'note',
    found: 'not permitted for this user',
    remedy: 'user_allow_other in /etc/fuse.conf',
  };
}

function passthrough(): Finding {
  const subject = 'passthrough';
  if (maySetBacking()) return { subject, verdict: 'ok', found: 'this user may register backing files' };
  return {
    subject,
    verdict: 'note',
    found: 'not permitted',
    remedy: 'mount as root; in a container: --cap-add SYS_ADMIN',
  };
}

function libfuse(): Finding {
  const there = existsSync(new URL('../../node_modules/fuse-native/package.json', import.meta.url));
  const found = there ? 'fuse-native is installed' : 'fuse-native is not installed; transport=libfuse cannot be had';
  return { subject: 'libfuse', verdict: 'ok', found };
}

function memory(): Finding {
  const limit = memoryLimit();
  const found = `${formatSize(limit.bytes)} (${limit.from}); ${formatSize(memoryBudget('auto', limit))} for the daemon's heap`;
  return { subject: 'memory', verdict: 'ok', found };
}

const FEW_FILES = 8192;

function openFiles(): Finding {
  const subject = 'open files';
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(read('/proc/self/limits'))?.[1] ?? 'unknown';
  if (Number(hard) >= FEW_FILES || hard === 'unlimited') return { subject, verdict: 'ok', found: `up to ${hard}` };
  return { subject, verdict: 'note', found: `only ${hard}`, remedy: 'raise the hard limit (ulimit -Hn, LimitNOFILE=)' };
}

function cacheDirectory(): Finding {
  const subject = 'cache';
  const { XDG_CACHE_HOME, HOME } = process.env;
  const directory = root ? '/var/cache' : (XDG_CACHE_HOME ?? `${HOME ?? ''}/.cache`);
  try {
    const { bavail, bsize } = statfsSync(directory);
    return { subject, verdict: 'ok', found: `${formatSize(bavail * bsize)} free in ${directory}` };
  } catch {
    return { subject, verdict: 'note', found: `${directory} is not there`, remedy: 'name a directory with --cache' };
  }
}

function mountCommand(): Finding {
  const subject = 'mount(8)';
  const here = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const found = here.map((directory) => `${directory}/ml-overlay`).find((path) => existsSync(path));
  const helpers =
    existsSync('/usr/sbin/mount.fuse3') || existsSync('/sbin/mount.fuse3') || existsSync('/sbin/mount.fuse');
  const remedy = 'for mount -t fuse and fstab: link bin/ml-overlay to /usr/bin, and install the package fuse3';
  if (found !== undefined && helpers) return { subject, verdict: 'ok', found: `finds ${found}` };
  return { subject, verdict: 'note', found: 'does not find ml-overlay', remedy };
}

async function configuration(): Promise<Finding> {
  const subject = 'configuration';
  const path = defaultConfigurationPath();
  if (!existsSync(path)) return { subject, verdict: 'ok', found: `no ${path}` };
  try {
    const { mounts } = await readConfiguration(path);
    return { subject, verdict: 'ok', found: `${path}, ${mounts.length} mounts` };
  } catch (error) {
    return { subject, verdict: 'note', found: asMloError(error).message, remedy: 'correct the file' };
  }
}

function brokenMounts(): Finding[] {
  const records = readRecords(runtimeDirectory());
  const mounts = mountTable().filter(({ type }) => type === 'fuse.ml-overlay');
  return mounts.flatMap(({ mountpoint, device }) => {
    const record = records.find((each) => each.mountpoint === mountpoint && each.device === device);
    if (record === undefined || isAlive(record)) return [];
    const remedy = `ml-overlay umount ${mountpoint}`;
    return [{ subject: 'mount', verdict: 'note' as const, found: `${mountpoint} has lost its daemon`, remedy }];
  });
}

function inPath(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/bin'];
  return directories.map((directory) => `${directory}/${name}`).find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
