/** Reads the kernel's table of mounts. It tells of a mount without touching it, which the daemon must never do. */
import { readFileSync } from 'node:fs';

export interface MountedFileSystem {
  /** "major:minor", as /sys/class/bdi names it. */
  device: string;
  mountpoint: string;
  type: string;
  source: string;
}

/** "\040" and the like stand for spaces, tabs, newlines and backslashes. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The text of /proc/PID/mountinfo, a line a mount. */
export function parseMountTable(text: string): MountedFileSystem[] {
  const mounts: MountedFileSystem[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ');
    const [, , device, , mountpoint] = before?.split(' ') ?? [];
    const [type, source] = after?.split(' ') ?? [];
    if (device === undefined || mountpoint === undefined || type === undefined) continue;
    mounts.push({ device, mountpoint: unescapeField(mountpoint), type, source: unescapeField(source ?? '') });
  }
  return mounts;
}

export function mountTable(): MountedFileSystem[] {
  const bytes = readFileSync('/proc/self/mountinfo');
  return parseMountTable(bytes.toString('utf8'));
}

/** What is mounted there last, on top of anything else. */
export function mountedAt(mountpoint: string): MountedFileSystem | undefined {
  return mountTable().findLast((mount) => mount.mountpoint === mountpoint);
}
