/**
 * Changing what a file's inode says, extended attributes included. Always through a descriptor that was made sure to be
 * the file's: a name could lead to another file by the time of the call.
 */
import { Errno, type Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import { type Attributes, FileType } from '../attributes.ts';
import type { AttributeChanges } from '../store.ts';
import { type Context, descriptorPath } from './context.ts';
import type { PosixFile } from './file.ts';
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY } from './flags.ts';
import type { PosixNode } from './node.ts';
import { NO_PATH } from './statx.ts';
import { longTrip, type Steps, trip } from './trips.ts';

const UTIME_NOW = 2 ** 30 - 1;
const UTIME_OMIT = 2 ** 30 - 2;
const ID_UNCHANGED = 0xffff_ffff;

/** Most attributes fit; a larger one costs two more calls. */
const XATTR_FIRST = 1024;
/** A size query and the read after it race with writers; more rounds than this and something is wrong. */
const XATTR_ROUNDS = 8;

/** What no file system may refuse by name alone: an unknown namespace says nothing about the capability. */
const XATTR_NAMESPACES = /^(user|trusted|security)\./;

export class Changes {
  readonly #context: Context;
  readonly #value = Buffer.from(new ArrayBuffer(XATTR_FIRST));
  /** The kernel has fchmodat2 (6.6). */
  #chmodByDescriptor = true;

  constructor(context: Context) {
    this.#context = context;
  }

  change(node: PosixNode, changes: AttributeChanges, file: PosixFile | undefined): Reply<Attributes> {
    if (this.#context.readOnly) return -Errno.EROFS;
    return this.#on(node, file, (fd) => this.#changeSteps(node, fd, changes, file));
  }

  /** Runs steps with a descriptor of the file: the open file's, else an O_PATH one. */
  #on<T>(node: PosixNode, file: PosixFile | undefined, steps: (fd: number) => Steps<T>): Reply<T> {
    const context = this.#context;
    return context.runner.run(file ? context.withFile(file, steps) : context.withNode(node, steps));
  }

  /**
   * In the order that loses nothing: a change of owner takes set-user-id bits away, so the mode comes after it; all of
   * them may touch times, so these come last.
   */
  *#changeSteps(
    node: PosixNode,
    fd: number,
    changes: AttributeChanges,
    file: PosixFile | undefined,
  ): Steps<Attributes> {
    const { size, uid, gid, mode, atime, mtime } = changes;
    if (size !== undefined) {
      const result = yield* this.#truncate(fd, size, file);
      if (result < 0) return result;
    }
    if (uid !== undefined || gid !== undefined) {
      const owner = [uid ?? ID_UNCHANGED, gid ?? ID_UNCHANGED] as const;
      const result = yield trip(sys.fchownat, fd, NO_PATH, owner[0], owner[1], AT_EMPTY_PATH);
      if (result < 0) return result;
    }
    if (mode !== undefined) {
      const result = yield* this.#chmod(node, fd, mode & 0o7777);
      if (result < 0) return result;
    }
    if (atime !== undefined || mtime !== undefined) {
      const result = yield trip(sys.utimensat, fd, NO_PATH, timespecs(atime, mtime), AT_EMPTY_PATH);
      if (result < 0) return result;
    }
    return yield* this.#context.attributesOf(fd);
  }

  *#truncate(fd: number, size: number, file: PosixFile | undefined): Steps<number> {
    if (file && file.accessMode !== O_RDONLY) return yield trip(sys.ftruncate, fd, size);
    return yield trip(sys.truncate, descriptorPath(fd), size);
  }

  *#chmod(node: PosixNode, fd: number, mode: number): Steps<number> {
    if (node.type === FileType.SYMLINK) return -Errno.EOPNOTSUPP;
    if (this.#chmodByDescriptor) {
      const result = yield trip(sys.fchmodat2, sys.SYS_fchmodat2, fd, NO_PATH, mode, AT_EMPTY_PATH);
      if (result !== -Errno.ENOSYS) return result;
      this.#chmodByDescriptor = false;
    }
    return yield trip(sys.chmod, descriptorPath(fd), mode);
  }

  syncDirectory(node: PosixNode): Reply<0> {
    const context = this.#context;
    return context.runner.run(
      context.within(node, function* (dir): Steps<0> {
        const fd = yield trip(sys.openat, AT_FDCWD, descriptorPath(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (fd < 0) return fd;
        const result = yield longTrip(sys.fsync, fd);
        context.runner.close(fd);
        return result as 0;
      }),
    );
  }

  getXattr(node: PosixNode, name: string, file: PosixFile | undefined): Reply<Buffer> {
    const key = sys.cstring(name);
    if (this.#context.runner.inline && !file) {
      const outcome = this.#getXattrNow(node, key);
      if (outcome !== undefined) return outcome;
    }
    return this.#xattr(node, name, file, (path) =>
      readSized((into, size) => trip(sys.getxattr, path, key, into, size)),
    );
  }

  /**
   * The usual case of an inline store, which kernels ask for at every first write and exec (security.capability).
   * Undefined: anything unusual.
   */
  #getXattrNow(node: PosixNode, key: Buffer): Buffer | number | undefined {
    const fd = this.#context.descriptors.openNow(node);
    if (fd < 0) return undefined;
    const length = sys.getxattr.now(descriptorPath(fd), key, this.#value, XATTR_FIRST);
    this.#context.runner.counts.xattr++;
    sys.closeNow(fd);
    if (length >= 0) return Buffer.from(this.#value.subarray(0, length));
    return length === -Errno.ENODATA ? length : undefined;
  }

  listXattr(node: PosixNode, file: PosixFile | undefined): Reply<Buffer> {
    return this.#xattr(node, 'user.', file, (path) => readSized((into, size) => trip(sys.listxattr, path, into, size)));
  }

  setXattr(node: PosixNode, name: string, value: Buffer, flags: number, file: PosixFile | undefined): Reply<0> {
    if (this.#context.readOnly) return -Errno.EROFS;
    const key = sys.cstring(name);
    return this.#xattr(node, name, file, function* (path): Steps<0> {
      return (yield trip(sys.setxattr, path, key, value, value.length, flags)) as 0;
    });
  }

  removeXattr(node: PosixNode, name: string, file: PosixFile | undefined): Reply<0> {
    if (this.#context.readOnly) return -Errno.EROFS;
    const key = sys.cstring(name);
    return this.#xattr(node, name, file, function* (path): Steps<0> {
      return (yield trip(sys.removexattr, path, key)) as 0;
    });
  }

  /** An operation on attributes by the path of the descriptor; remembers when the source has none at all. */
  #xattr<T>(node: PosixNode, name: string, file: PosixFile | undefined, steps: (path: Buffer) => Steps<T>): Reply<T> {
    const { missing } = this.#context;
    const capability = name.startsWith('system.posix_acl_') ? 'acl' : XATTR_NAMESPACES.test(name) ? 'xattr' : undefined;
    if (capability !== undefined && missing.has(capability)) return -Errno.EOPNOTSUPP;
    return this.#on(node, file, function* (fd): Steps<T> {
      const outcome = yield* steps(descriptorPath(fd));
      // Symbolic links have no ACLs anywhere.
      if (outcome === -Errno.EOPNOTSUPP && capability !== undefined && node.type !== FileType.SYMLINK) {
        missing.add(capability);
      }
      return outcome;
    });
  }
}

/** Reads a value whose size is not known: once into a small buffer, then by asking for the size, until it fits. */
function* readSized(call: (into: Buffer | null, size: number) => ReturnType<typeof trip>): Steps<Buffer> {
  let buffer = Buffer.allocUnsafe(XATTR_FIRST);
  for (let round = 0; round < XATTR_ROUNDS; round++) {
    const length = yield call(buffer, buffer.length);
    if (length >= 0) return buffer.subarray(0, length);
    if (length !== -Errno.ERANGE) return length;
    const size = yield call(null, 0);
    if (size < 0) return size;
    buffer = Buffer.allocUnsafe(Math.max(size, 1));
  }
  return -Errno.ERANGE;
}

type Time = AttributeChanges['atime'];

function timespecs(atime: Time, mtime: Time): Buffer {
  const times = Buffer.alloc(32);
  writeTimespec(times, 0, atime);
  writeTimespec(times, 16, mtime);
  return times;
}

function writeTimespec(times: Buffer, at: number, time: Time): void {
  if (time === undefined || time === 'now') {
    times.writeBigInt64LE(BigInt(time === 'now' ? UTIME_NOW : UTIME_OMIT), at + 8);
    return;
  }
  times.writeBigInt64LE(BigInt(time.sec), at);
  times.writeBigInt64LE(BigInt(time.nsec), at + 8);
}
