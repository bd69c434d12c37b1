/** Where a tier has its objects: files in a fixed number of directories, by their numbers. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as sys from '../sys/libc.ts';
import { O_CLOEXEC, O_RDONLY } from '../sys/open-flags.ts';

/** Directories the objects are spread over. */
const FAN_OUT = 256;
/** ioctl_iflags(2). */
const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const FS_TOPDIR_FL = 0x0002_0000;

export function objectsDirectory(directory: string): string {
  return path.join(directory, 'objects');
}

/** Where the tier in a directory keeps an object. */
export function objectPath(directory: string, id: number): string {
  return path.join(partPath(directory, id % FAN_OUT), String(id));
}

function partPath(directory: string, part: number): string {
  return path.join(objectsDirectory(directory), part.toString(16).padStart(2, '0'));
}

/** Makes it, and what is above it, unless it is there; true: it was not. Throws as mkdir does. */
export function makeObjectsDirectory(directory: string): boolean {
  const objects = objectsDirectory(directory);
  const isNew = fs.mkdirSync(objects, { recursive: true, mode: 0o700 }) !== undefined;
  if (isNew) spread(objects);
  return isNew;
}

/**
 * Makes the directories the objects are spread over, ahead of a job's first files: ext4 takes 0.1 ms and more to find each its
 * block group. One that cannot be made is tried again by the first object that goes there (tier.ts), and says why not.
 */
export async function makeParts(directory: string): Promise<void> {
  const made = Array.from({ length: FAN_OUT }, (_, part) =>
    fs.promises.mkdir(partPath(directory, part), { mode: 0o700 }),
  );
  await Promise.allSettled(made);
}

/**
 * Has ext4 put the directories in it far from each other (chattr +T), each in a block group of its own: they have nothing to
 * do with each other, and a group in which much was deleted lately is slow to create in. Others do not know the flag.
 */
function spread(objects: string): void {
  const fd = sys.openat.now(-100, sys.cstring(objects), O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  const flags = new Uint32Array(2); // an int, by a name that says long
  const bytes = new Uint8Array(flags.buffer);
  if (sys.ioctl.now(fd, FS_IOC_GETFLAGS, bytes) === 0) {
    flags[0]! |= FS_TOPDIR_FL;
    sys.ioctl.now(fd, FS_IOC_SETFLAGS, bytes);
  }
  sys.close.now(fd);
}
