/**
 * What was asked of the source, by kind. Counted where the call is made, so that the numbers are exact about what this
 * program did; what a kernel or client between us and a server makes of it is in docs/COUNTS.md.
 *
 * On the way of every call: plain numbers, incremented in place.
 */
import { Errno } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { StoreCounts, StoreRequest } from '../store.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_STATX_DONT_SYNC, O_CREAT, O_DIRECTORY, O_PATH, O_TMPFILE } from './flags.ts';
import type { AnyCall } from './lane.ts';

/** Kinds whose result is a number of bytes. */
const READ = 'read';
const WRITE = 'write';

/** What a call is when its arguments do not matter. */
const KINDS = new Map<unknown, StoreRequest>([
  [sys.getdents64, 'list'],
  [sys.readlinkat, 'readlink'],
  [sys.pread, READ],
  [sys.pwrite, WRITE],
  [sys.chmod, 'change'],
  [sys.fchmodat2, 'change'],
  [sys.fchownat, 'change'],
  [sys.utimensat, 'change'],
  [sys.truncate, 'change'],
  [sys.ftruncate, 'change'],
  [sys.fallocate, 'change'],
  [sys.mknodat, 'name'],
  [sys.mkdirat, 'name'],
  [sys.symlinkat, 'name'],
  [sys.linkat, 'name'],
  [sys.unlinkat, 'name'],
  [sys.renameat2, 'name'],
  [sys.getxattr, 'xattr'],
  [sys.setxattr, 'xattr'],
  [sys.listxattr, 'xattr'],
  [sys.removexattr, 'xattr'],
  [sys.fsync, 'sync'],
  [sys.fdatasync, 'sync'],
  [sys.close, 'flush'], // of a second descriptor: plain closes are made elsewhere
  [sys.lseek, 'seek'],
  [sys.copyFileRange, 'copy'],
  [sys.fstatfs, 'statistics'],
]);

/** Failures that answer the question; all others are trouble with the source. */
const ANSWERS: ReadonlySet<number> = new Set(
  [
    [Errno.ENOENT, Errno.EEXIST, Errno.ENOTEMPTY, Errno.ENOTDIR, Errno.EISDIR, Errno.ELOOP, Errno.ENAMETOOLONG],
    [Errno.EPERM, Errno.EACCES, Errno.EROFS, Errno.EXDEV, Errno.EMLINK, Errno.ENODATA, Errno.ERANGE, Errno.ENXIO],
    [Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOSYS, Errno.ETXTBSY, Errno.EFBIG, Errno.E2BIG, Errno.ESTALE],
  ].flat(),
);

export class Counts {
  lookup = 0;
  attributes = 0;
  open = 0;
  create = 0;
  read = 0;
  write = 0;
  openDirectory = 0;
  list = 0;
  readlink = 0;
  change = 0;
  name = 0;
  xattr = 0;
  sync = 0;
  flush = 0;
  seek = 0;
  copy = 0;
  statistics = 0;

  bytesRead = 0;
  bytesWritten = 0;
  errors = 0;
  /** Files that were opened for their bytes and closed again. */
  closes = 0;
  /** Names entered with O_PATH. */
  walks = 0;

  /** A call about to be made; `ended` is to be told how it ended. */
  asked(call: AnyCall, args: readonly sys.Argument[]): void {
    const kind = kindOf(call, args);
    if (kind === undefined) return;
    if (kind === 'walk') this.walks++;
    else this[kind]++;
  }

  ended(call: AnyCall, result: number): void {
    if (result < 0) this.failed(result);
    else if ((call as unknown) === sys.pread) this.bytesRead += result;
    else if ((call as unknown) === sys.pwrite) this.bytesWritten += result;
  }

  /** How a call ended that was counted by hand. */
  failed(result: number): void {
    if (!ANSWERS.has(-result)) this.errors++;
  }

  snapshot(): StoreCounts {
    const byKind: Record<StoreRequest, number> = {
      lookup: this.lookup,
      attributes: this.attributes,
      open: this.open,
      create: this.create,
      read: this.read,
      write: this.write,
      openDirectory: this.openDirectory,
      list: this.list,
      readlink: this.readlink,
      change: this.change,
      name: this.name,
      xattr: this.xattr,
      sync: this.sync,
      flush: this.flush,
      seek: this.seek,
      copy: this.copy,
      statistics: this.statistics,
    };
    const requests = Object.values(byKind).reduce((sum, count) => sum + count, 0);
    const { bytesRead: bytes, bytesWritten, errors, closes, walks } = this;
    return { requests, bytes, bytesWritten, errors, closes, walks, byKind };
  }
}

/** Undefined: what is asked is in this machine's memory, whatever the source is. */
function kindOf(call: AnyCall, args: readonly sys.Argument[]): StoreRequest | 'walk' | undefined {
  const which = call as unknown;
  if (which === sys.statx) {
    const flags = args[2] as number;
    if ((flags & AT_STATX_DONT_SYNC) !== 0) return undefined;
    return (flags & AT_EMPTY_PATH) !== 0 ? 'attributes' : 'lookup';
  }
  if (which === sys.openat) {
    const flags = args[2] as number;
    if ((flags & O_PATH) !== 0) return args[0] === AT_FDCWD ? undefined : 'walk';
    if ((flags & O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE) return 'create';
    return (flags & O_DIRECTORY) !== 0 ? 'openDirectory' : 'open';
  }
  return KINDS.get(which);
}
