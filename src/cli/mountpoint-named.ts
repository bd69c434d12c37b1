/**
 * The mountpoint a user means, as the table of mounts has it, also when named through symbolic links. The mount itself is
 * not looked at: it may hang.
 */
import { readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { mountedAt } from '../fuse/mount-table.ts';

/** As many as the kernel follows. */
const LINKS_MOST = 40;

export function mountpointNamed(path: string): string {
  let named = resolve(path);
  for (let links = 0; links < LINKS_MOST; links++) {
    named = withRealParent(named);
    if (mountedAt(named) !== undefined) return named;
    const target = linkTarget(named);
    if (target === undefined) return named;
    named = resolve(dirname(named), target);
  }
  return named;
}

function withRealParent(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** readlink(2), unlike stat(2), asks a mount nothing. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
