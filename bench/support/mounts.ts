/**
 * What is mounted, read from /proc, and the ways to end a FUSE mount whose daemon no longer answers. Nothing here touches
 * the mount itself: a `stat` of it would hang with it.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export interface Mount {
  mountpoint: string;
  type: string;
  source: string;
  /** Device number "major:minor"; a FUSE connection is named by its minor number. */
  device: string;
}

function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export function mounts(): Mount[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    return {
      mountpoint: plain(fields[4] ?? ''),
      device: fields[2] ?? '',
      type: fields[dash + 1] ?? '',
      source: plain(fields[dash + 2] ?? ''),
    };
  });
}

/** The topmost mount at a path. */
export function mountAt(path: string): Mount | undefined {
  return mounts().findLast((mount) => mount.mountpoint === path);
}

export function fuseMounts(): Mount[] {
  return mounts().filter((mount) => mount.type === 'fuse' || mount.type.startsWith('fuse.'));
}

/** Makes everything that waits for the daemon fail (ENOTCONN) instead of waiting on. Root, or the mount's owner. */
export function abortConnection(mount: Mount): void {
  const minor = mount.device.split(':')[1];
  try {
    writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1');
  } catch {
    // already gone, or not ours
  }
}

function run(command: string, args: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 5000, killSignal: 'SIGKILL' }, (error) => resolve(error === null));
  });
}

/** Ends whatever is mounted at a path, without waiting for its daemon. */
export async function forceUnmount(path: string): Promise<void> {
  for (let tries = 0; tries < 8; tries++) {
    const mount = mountAt(path);
    if (mount === undefined) return;
    if (mount.type.startsWith('fuse')) abortConnection(mount);
    if (!(await run('umount', ['-l', path]))) await run('fusermount3', ['-u', '-z', path]);
  }
}
