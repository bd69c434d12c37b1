/** Paths for people. The daemon holds them as byte strings, a character a byte; what is no UTF-8 is shown as U+FFFD. */

export function utf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A path below the mountpoint, which '' is itself. */
export function pathInMount(mountpoint: string, path: string): string {
  return path === '' ? mountpoint : `${mountpoint}/${utf8(path)}`;
}
