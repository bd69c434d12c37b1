/** What a file's inode says. Sizes in bytes; times as whole seconds (may be negative) and nanoseconds. */
export interface Attributes {
  /** Inode number as the source numbers it, the number applications see in st_ino. */
  ino: bigint;
  /** File type and permission bits, as in st_mode. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Device number of a device node, as st_rdev (major in bits 8-19, minor in 0-7 and 20-31). */
  rdev: number;
  size: number;
  /** 512-byte units. */
  blocks: number;
  blksize: number;
  atimeSec: number;
  atimeNsec: number;
  mtimeSec: number;
  mtimeNsec: number;
  ctimeSec: number;
  ctimeNsec: number;
  /** Birth time; -1 seconds when the store does not know it. */
  btimeSec: number;
  btimeNsec: number;
}

export const FileType = {
  MASK: 0o170000,
  SOCKET: 0o140000,
  SYMLINK: 0o120000,
  REGULAR: 0o100000,
  BLOCK: 0o060000,
  DIRECTORY: 0o040000,
  CHARACTER: 0o020000,
  FIFO: 0o010000,
} as const;

export function isDirectory(mode: number): boolean {
  return (mode & FileType.MASK) === FileType.DIRECTORY;
}

export function isRegular(mode: number): boolean {
  return (mode & FileType.MASK) === FileType.REGULAR;
}

export function isSymlink(mode: number): boolean {
  return (mode & FileType.MASK) === FileType.SYMLINK;
}
