/** The kernel's switch to end a FUSE connection: every request that waits in it fails (Documentation/filesystems/fuse.rst). */
import { writeFileSync } from 'node:fs';

/** `device`: "major:minor" of the mount. Its user's; there only where fusectl is mounted. */
export function abortFile(device: string): string {
  return `/sys/fs/fuse/connections/${device.split(':')[1]}/abort`;
}

/** Does nothing where it is gone, not ours, or fusectl is not mounted. */
export function abortConnection(device: string): void {
  try {
    writeFileSync(abortFile(device), '1');
  } catch {
    // taking the mount away, and the end of its daemon, have to do
  }
}
