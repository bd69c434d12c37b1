/**
 * Mounting as an ordinary user: fusermount3 is set-user-id root, mounts for us where the user may write, and hands
 * /dev/fuse over through a socket whose number it finds in _FUSE_COMMFD.
 */
import { spawn } from 'node:child_process';
import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import { MountError } from './mount-error.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
/** The child's number of the socket: the first behind its standard streams. */
const SOCKET_IN_CHILD = 3;

const INSTALL = 'install the package "fuse3" (Debian, Ubuntu, Fedora, Arch, Alpine), or mount as root';

interface Ended {
  status: number | null;
  stderr: string;
}

function run(args: readonly string[], socket?: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn('fusermount3', args, {
      stdio: socket === undefined ? ['ignore', 'ignore', 'pipe'] : ['ignore', 'ignore', 'pipe', socket],
      env: { ...process.env, _FUSE_COMMFD: String(SOCKET_IN_CHILD) },
    });
    let stderr = '';
    child.stderr?.on('data', (text) => {
      stderr += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      const errno = typeof error.errno === 'number' ? -error.errno : Errno.EIO;
      reject(new MountError(errno, 'fusermount3 cannot be run', INSTALL));
    });
    child.on('close', (status) => resolve({ status, stderr: stderr.trim() }));
  });
}

/** Mounts; resolves to the descriptor of /dev/fuse. */
export async function mountByHelper(mountpoint: string, options: string): Promise<number> {
  const pair = Buffer.alloc(8);
  const made = sys.socketpair.now(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  if (made < 0) throw new MountError(-made, 'no socket for fusermount3', 'raise the limit of open files');
  const ours = pair.readInt32LE(0);
  const theirs = pair.readInt32LE(4);
  let theirsOpen = true;
  try {
    const { status, stderr } = await run(['-o', options, '--', mountpoint], theirs);
    sys.close.now(theirs); // else a helper that sent nothing would leave us waiting
    theirsOpen = false;
    if (status !== 0) throw refusal(mountpoint, stderr);
    const fd = sys.receiveDescriptor(ours);
    if (fd < 0) throw new MountError(-fd, 'fusermount3 handed over no device', stderr || 'see its messages');
    return fd;
  } finally {
    sys.close.now(ours);
    if (theirsOpen) sys.close.now(theirs);
  }
}

function refusal(mountpoint: string, stderr: string): MountError {
  const what = `fusermount3 refused to mount ${mountpoint}: ${stderr || 'it gave no reason'}`;
  if (/allow_other/.test(stderr)) {
    return new MountError(Errno.EPERM, what, 'add "user_allow_other" to /etc/fuse.conf, or mount without allow-other');
  }
  if (/no write access|not owner|not owned/i.test(stderr)) {
    return new MountError(Errno.EACCES, what, 'choose a directory that you own and may write to');
  }
  if (/\/dev\/fuse: Permission denied/.test(stderr)) {
    return new MountError(
      Errno.EACCES,
      what,
      'let users open the device: chmod 666 /dev/fuse (a udev rule by default)',
    );
  }
  if (/\/dev\/fuse|modprobe/.test(stderr)) {
    return new MountError(Errno.ENODEV, what, 'load the kernel module: modprobe fuse');
  }
  return new MountError(Errno.EPERM, what, 'see the message of fusermount3');
}

/** Unmounts; `lazily`: at once for new users, for good when the last one has left. */
export async function unmountByHelper(mountpoint: string, lazily: boolean): Promise<void> {
  const { status, stderr } = await run(lazily ? ['-u', '-z', '--', mountpoint] : ['-u', '--', mountpoint]);
  if (status === 0) return;
  const busy = /busy/i.test(stderr);
  throw new MountError(
    busy ? Errno.EBUSY : Errno.EPERM,
    `fusermount3 refused to unmount ${mountpoint}: ${stderr}`,
    busy ? 'end the programs that use it (fuser -vm), or unmount with --force' : 'see the message of fusermount3',
  );
}
