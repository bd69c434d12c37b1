/** The kernel's flag bits this store uses. Those whose value depends on the architecture come from Node. */
import { constants } from 'node:fs';
import { O_ACCMODE, O_CLOEXEC, O_DIRECT } from '../../sys/open-flags.ts';

export {
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
} from '../../sys/open-flags.ts';
export const { O_DIRECTORY, O_DSYNC, O_NOATIME, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_SYNC } = constants;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20000000 | O_DIRECTORY;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const AT_STATX_DONT_SYNC = 0x4000;

export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

/** A directory to resolve names in; O_PATH needs no read permission and never waits for a store's open. */
export const OPEN_DIRECTORY = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/** Any file at all, a symbolic link included, without opening it. */
export const OPEN_PINNED = O_PATH | O_NOFOLLOW | O_CLOEXEC;
/** By name, never following it. */
export const STAT_NAME = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

/** What of an open's flags reaches the source's open (see files.ts for why the others do not). */
export const OPEN_KEPT = O_ACCMODE | O_DIRECT | O_SYNC | O_DSYNC | O_NOATIME;
