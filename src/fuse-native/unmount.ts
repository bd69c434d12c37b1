/** Unmounting, by mount(2)'s counterpart where permitted, else by the helper that mounted. */
import { execFile } from 'node:child_process';
import { mountedAt } from '../fuse/mount-table.ts';
import { Errno, errnoName } from '../sys/errno.ts';
import { abortConnection } from '../sys/fusectl.ts';
import { cstring, umount2 } from '../sys/libc.ts';
import { TransportError } from './transport-error.ts';

const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** libfuse 2 came with "fusermount", libfuse 3 with "fusermount3"; distributions link one to the other, or do not. */
const HELPERS = ['fusermount3', 'fusermount'];

/** `force`: also when in use or hung; everything that waits fails. */
export async function unmount(mountpoint: string, force: boolean): Promise<void> {
  const device = mountedAt(mountpoint)?.device;
  if (force && device !== undefined) abortConnection(device);
  // Through the pool: the kernel may wait for replies of ours while it unmounts.
  const bytes = cstring(Buffer.from(mountpoint, 'utf8').toString('latin1'));
  const result = await umount2.later(bytes, UMOUNT_NOFOLLOW | (force ? MNT_DETACH | MNT_FORCE : 0));
  if (result >= 0 || result === -Errno.EINVAL) return; // EINVAL: not mounted any more
  if (result !== -Errno.EPERM) throw refused(mountpoint, errnoName(result), result === -Errno.EBUSY);
  let said = '';
  for (const helper of HELPERS) {
    const { missing, stderr, ok } = await run(helper, force ? ['-u', '-z', mountpoint] : ['-u', mountpoint]);
    if (ok) return;
    said = missing ? `${helper} is not installed` : stderr;
    if (!missing) break;
  }
  throw refused(mountpoint, said, /busy/i.test(said));
}

function refused(mountpoint: string, said: string, busy: boolean): TransportError {
  return new TransportError(
    'MLO_LIBFUSE_UNMOUNT',
    `cannot unmount ${mountpoint}: ${said}`,
    busy
      ? 'end the programs that use it (fuser -vm), or unmount with --force'
      : 'unmount as the user who mounted, or as root',
  );
}

function run(command: string, args: string[]): Promise<{ ok: boolean; missing: boolean; stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, (error, _stdout, stderr) =>
      resolve({
        ok: error === null,
        missing: (error as NodeJS.ErrnoException | null)?.code === 'ENOENT',
        stderr: stderr.trim(),
      }),
    );
  });
}
