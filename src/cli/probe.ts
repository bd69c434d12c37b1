/** Looking at mounts without hanging with them. */
import { execFile } from 'node:child_process';
import { MloError } from '../errors.ts';
import { mountTable } from '../fuse/mount-table.ts';

/** "major:minor" of an ml-overlay mounted there last. */
export function deviceOf(mountpoint: string): string | undefined {
  const mount = mountTable().findLast((each) => each.mountpoint === mountpoint);
  return mount?.type === 'fuse.ml-overlay' ? mount.device : undefined;
}

/** Of every ml-overlay that is mounted. */
export function overlayDevices(): Set<string> {
  const mounts = mountTable().filter(({ type }) => type === 'fuse.ml-overlay');
  return new Set(mounts.map(({ device }) => device));
}

/** What stat(2) says of a path, as "major:minor". */
export function statDevice(path: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL' as const };
    execFile('stat', ['-c', '%d', '--', path], options, (error, stdout, stderr) => {
      if (error) reject(new MloError('MLO_MOUNT', `${path} does not answer: ${stderr.trim() || error.message}`));
      else resolve(deviceName(Number(stdout)));
    });
  });
}

/**
 * Whether a daemon is behind a mount, as far as can be told in time. By statfs(2), which unlike stat(2) is never answered from
 * the kernel's memory.
 */
export function isConnected(mountpoint: string, timeoutMs: number): Promise<boolean> {
  const env = { ...process.env, LC_ALL: 'C' };
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL' as const, env };
  return new Promise((resolve) => {
    execFile('stat', ['-f', '-c', '%T', '--', mountpoint], options, (error, _stdout, stderr) =>
      resolve(error === null || !/endpoint is not connected|connection abort/i.test(stderr)),
    );
  });
}

/** As the kernel packs a device number for stat(2). */
function deviceName(device: number): string {
  const major = Math.floor(device / 256) % 4096;
  const minor = (device % 256) + Math.floor(device / 2 ** 20) * 256;
  return `${major}:${minor}`;
}
