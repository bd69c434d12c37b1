/**
 * Has the kernel read the directories whose names an earlier mount knew, before the mount is said to be there: a first walk
 * then finds them where it would find those of a local disk. By the command, not by the daemon: who reads a mount it serves
 * could not be ended.
 */
import { readdir } from 'node:fs/promises';

/** The mount is there all the while: whoever waits for the command waits no longer than this. */
const MOST_MS = 1000;
/** Names, some 1 KiB of the kernel's memory each. */
export const HANDED_NAMES_MOST = 50_000;
/** They are told in one line. */
export const HANDED_DIRECTORIES_MOST = 4000;

/** `directories`: below the mountpoint, as byte strings. */
export async function handNames(mountpoint: string, directories: readonly string[]): Promise<void> {
  const untilMs = performance.now() + MOST_MS;
  for (const directory of directories) {
    if (performance.now() > untilMs) return;
    const path = Buffer.concat([Buffer.from(`${mountpoint}/`), Buffer.from(directory, 'latin1')]);
    await readdir(path, 'buffer').catch(() => {}); // whoever walks there is told what is wrong
  }
}
