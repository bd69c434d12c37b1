/**
 * What ends a mount that hangs: its FUSE connection is aborted, which fails every request that waits, and the mount is
 * taken out of the tree. Nothing here looks at a path below the mount.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** What withWatchdog needs to know of a mount. */
export interface Watched {
  readonly mountpoint: string;
}

/** The "major:minor" of what is mounted at a path, from the kernel's table; undefined: nothing is. */
export function mountedAt(mountpoint: string): string | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').reverse();
  for (const line of lines) {
    const fields = line.split(' ');
    if (unescapeMount(fields[4] ?? '') === mountpoint) return fields[2];
  }
  return undefined;
}

function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Fails all requests of the connection that serves `mountpoint`, now and for ever. */
export function abortConnection(mountpoint: string): void {
  const device = mountedAt(mountpoint);
  if (device === undefined) return;
  const control = `/sys/fs/fuse/connections/${device.split(':')[1]}/abort`;
  try {
    if (existsSync(control)) writeFileSync(control, '1');
    else quietly('umount', ['-f', mountpoint]); // fusectl is not mounted: MNT_FORCE aborts as well
  } catch {
    // the connection has gone meanwhile
  }
}

/** Takes the mount out of the tree, in use or not. */
export function detach(mountpoint: string): void {
  if (mountedAt(mountpoint) !== undefined) quietly('umount', ['-l', mountpoint]);
}

function quietly(program: string, words: string[]): void {
  try {
    execFileSync(program, words, { stdio: 'ignore', timeout: 10_000 });
  } catch {
    // it may not have been mounted any more; the caller looks again
  }
}

/**
 * Runs `body`; when it takes longer than `seconds`, the mount is aborted and detached, so that whatever hangs in it
 * fails, and the test fails with that as the reason.
 */
export async function withWatchdog<T>(mounted: Watched, seconds: number, body: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      abortConnection(mounted.mountpoint);
      detach(mounted.mountpoint);
      reject(new Error(`${mounted.mountpoint}: no end within ${seconds} s; the mount was aborted`));
    }, seconds * 1000);
  });
  try {
    return await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}
