/**
 * A file system in memory behind the contract of overlay/filesystem.ts: for tests of a transport, and as the simplest
 * example of what a transport may expect. Counts lookups and handles exactly, so that a test can tell whether the
 * transport gave back what it took (`lookupsHeld`, `handlesHeld`).
 *
 * `later` makes operations answer by promises. Permissions are the kernel's business and not checked.
 */
import type {
  AttributesReply,
  Caller,
  Created,
  DirectorySink,
  Entry,
  FileSystem,
  HandleId,
  Kernel,
  LateBytes,
  NodeId,
  Opened,
  OpenedDirectory,
  SetAttributes,
} from '../../src/overlay/filesystem.ts';
import { FileType, isDirectory, isRegular } from '../../src/store/attributes.ts';
import type { StoreStatistics } from '../../src/store/store.ts';
import { Errno, type Outcome, type Reply } from '../../src/sys/errno.ts';
import { type Inode, MemoryInodes, now, touch } from './memory-inodes.ts';

const SYMLINK_MODE = FileType.SYMLINK | 0o777;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const O_TRUNC = 0o1000;
const O_EXCL = 0o200;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_KEEP_SIZE = 1;
const FALLOC_PUNCH_HOLE = 2;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const SUID_SGID = 0o6000;

interface OpenDirectory {
  inode: Inode;
  listing: { name: string; inode: Inode }[];
}

export interface MemoryOptions {
  /** How long the kernel may remember. */
  ttlMs?: number;
  /** Bytes of the largest file. */
  maxFileSize?: number;
  maxInodes?: number;
  /** Whether the next operation of this name answers by a promise. */
  later?: (operation: string) => boolean;
}

export class MemoryFileSystem implements FileSystem {
  readonly root: Inode;
  kernel: Kernel | undefined;
  stopped = false;
  readonly #table: MemoryInodes;
  readonly #files = new Map<HandleId, Inode>();
  readonly #directories = new Map<HandleId, OpenDirectory>();
  readonly #later: (operation: string) => boolean;
  #nextHandle = 1;

  constructor(options: MemoryOptions = {}) {
    this.#table = new MemoryInodes({
      ttlMs: options.ttlMs ?? 0,
      maxFileSize: options.maxFileSize ?? 1 << 30,
      maxInodes: options.maxInodes ?? Number.POSITIVE_INFINITY,
    });
    this.#later = options.later ?? (() => false);
    this.root = this.#table.root;
  }

  /** Lookups the kernel holds, the root's left out. */
  get lookupsHeld(): number {
    return this.#table.lookups;
  }

  get handlesHeld(): number {
    return this.#files.size + this.#directories.size;
  }

  /** Puts a file there without going through the kernel. */
  addFile(path: string, data: Buffer | string, mode = 0o644): void {
    const names = path.split('/').filter((name) => name !== '');
    const last = names.pop() ?? '';
    let directory = this.root;
    for (const name of names) {
      let next = directory.children.get(name);
      if (next === undefined) {
        next = this.#table.make(FileType.DIRECTORY | 0o755, undefined, 0, directory) as Inode;
        this.#table.attach(directory, name, next);
      }
      directory = next;
    }
    const file = this.#table.make(FileType.REGULAR | mode, undefined, 0, directory) as Inode;
    file.data = file.room = Buffer.from(data);
    file.attributes.size = file.data.length;
    this.#table.attach(directory, last, file);
  }

  start(kernel: Kernel): void {
    this.kernel = kernel;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.#files.clear();
    this.#directories.clear();
  }

  // --- names ---------------------------------------------------------------------------------------------------------

  lookup(parent: NodeId, name: string): Reply<Entry> {
    return this.#answer('lookup', () => {
      const directory = this.#table.directory(parent);
      if (typeof directory === 'number') return directory;
      const inode = directory.children.get(name);
      return inode ? this.#table.entry(inode) : -Errno.ENOENT;
    });
  }

  forget(node: NodeId, count: number): void {
    const inode = this.#table.get(node);
    if (inode === undefined) return;
    inode.lookups = Math.max(0, inode.lookups - count);
    this.#table.collect(inode);
  }

  mknod(parent: NodeId, name: string, mode: number, rdev: number, umask: number, caller: Caller): Reply<Entry> {
    const masked = mode & ~(umask & 0o777);
    return this.#answer('mknod', () => this.#create(parent, name, masked, caller, rdev));
  }

  mkdir(parent: NodeId, name: string, mode: number, umask: number, caller: Caller): Reply<Entry> {
    const masked = FileType.DIRECTORY | (mode & ~umask & 0o7777);
    return this.#answer('mkdir', () => this.#create(parent, name, masked, caller, 0));
  }

  symlink(parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry> {
    return this.#answer('symlink', () => {
      const entry = this.#create(parent, name, SYMLINK_MODE, caller, 0);
      if (typeof entry === 'number') return entry;
      const inode = this.#table.get(entry.node)!;
      inode.target = target;
      inode.attributes.size = target.length;
      return entry;
    });
  }

  link(node: NodeId, newParent: NodeId, newName: string): Reply<Entry> {
    return this.#answer('link', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      if (isDirectory(inode.attributes.mode)) return -Errno.EPERM;
      const directory = this.#table.directory(newParent);
      if (typeof directory === 'number') return directory;
      if (directory.children.has(newName)) return -Errno.EEXIST;
      this.#table.attach(directory, newName, inode);
      inode.attributes.nlink++;
      return this.#table.entry(inode);
    });
  }

  unlink(parent: NodeId, name: string): Reply<0> {
    return this.#answer('unlink', () => {
      const directory = this.#table.directory(parent);
      if (typeof directory === 'number') return directory;
      const inode = directory.children.get(name);
      if (inode === undefined) return -Errno.ENOENT;
      if (isDirectory(inode.attributes.mode)) return -Errno.EISDIR;
      this.#table.detach(directory, name, inode);
      return 0;
    });
  }

  rmdir(parent: NodeId, name: string): Reply<0> {
    return this.#answer('rmdir', () => {
      const directory = this.#table.directory(parent);
      if (typeof directory === 'number') return directory;
      const inode = directory.children.get(name);
      if (inode === undefined) return -Errno.ENOENT;
      if (!isDirectory(inode.attributes.mode)) return -Errno.ENOTDIR;
      if (inode.children.size > 0) return -Errno.ENOTEMPTY;
      this.#table.detach(directory, name, inode);
      return 0;
    });
  }

  rename(parent: NodeId, name: string, newParent: NodeId, newName: string, flags: number): Reply<0> {
    return this.#answer('rename', () => {
      const from = this.#table.directory(parent);
      if (typeof from === 'number') return from;
      const to = this.#table.directory(newParent);
      if (typeof to === 'number') return to;
      return this.#move(from, name, to, newName, flags);
    });
  }

  #move(from: Inode, name: string, to: Inode, newName: string, flags: number): Outcome<0> {
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) return -Errno.EINVAL;
    const moved = from.children.get(name);
    const target = to.children.get(newName);
    if (moved === undefined) return -Errno.ENOENT;
    for (let up: Inode | undefined = to; up !== undefined; up = up.parent) if (up === moved) return -Errno.EINVAL;
    if (flags & RENAME_NOREPLACE && target !== undefined) return -Errno.EEXIST;
    if (flags & RENAME_EXCHANGE) {
      if (target === undefined) return -Errno.ENOENT;
      for (let up: Inode | undefined = from; up !== undefined; up = up.parent) if (up === target) return -Errno.EINVAL;
      this.#table.attach(from, name, target);
      this.#table.attach(to, newName, moved);
      return 0;
    }
    if (target === moved) return 0;
    if (target !== undefined) {
      const refusal = this.#mayReplace(moved, target);
      if (refusal !== 0) return refusal;
      this.#table.detach(to, newName, target);
    }
    from.children.delete(name);
    this.#table.attach(to, newName, moved);
    return 0;
  }

  #mayReplace(moved: Inode, target: Inode): Outcome<0> {
    const directory = isDirectory(target.attributes.mode);
    if (directory && !isDirectory(moved.attributes.mode)) return -Errno.EISDIR;
    if (!directory && isDirectory(moved.attributes.mode)) return -Errno.ENOTDIR;
    return target.children.size > 0 ? -Errno.ENOTEMPTY : 0;
  }

  // --- attributes ----------------------------------------------------------------------------------------------------

  getattr(node: NodeId): Reply<AttributesReply> {
    return this.#answer('getattr', () => {
      const inode = this.#table.inode(node);
      return typeof inode === 'number' ? inode : this.#table.attributesOf(inode);
    });
  }

  setattr(node: NodeId, changes: SetAttributes): Reply<AttributesReply> {
    return this.#answer('setattr', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      const a = inode.attributes;
      if (changes.size !== undefined) {
        if (!isRegular(a.mode)) return isDirectory(a.mode) ? -Errno.EISDIR : -Errno.EINVAL;
        const resized = this.#table.resize(inode, changes.size);
        if (resized !== 0) return resized;
      }
      if (changes.mode !== undefined) a.mode = (a.mode & FileType.MASK) | (changes.mode & 0o7777);
      if (changes.uid !== undefined) a.uid = changes.uid;
      if (changes.gid !== undefined) a.gid = changes.gid;
      if (changes.clearSuidSgid && isRegular(a.mode)) a.mode &= ~SUID_SGID;
      if (changes.atime !== undefined) {
        const time = changes.atime === 'now' ? now() : changes.atime;
        a.atimeSec = time.sec;
        a.atimeNsec = time.nsec;
      }
      if (changes.mtime !== undefined) {
        const time = changes.mtime === 'now' ? now() : changes.mtime;
        a.mtimeSec = time.sec;
        a.mtimeNsec = time.nsec;
      }
      return this.#table.attributesOf(inode);
    });
  }

  readlink(node: NodeId): Reply<Buffer> {
    return this.#answer('readlink', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      return (inode.attributes.mode & FileType.MASK) === FileType.SYMLINK ? inode.target : -Errno.EINVAL;
    });
  }

  getxattr(node: NodeId, name: string): Reply<Buffer> {
    return this.#answer('getxattr', () => {
      const inode = this.#table.inode(node);
      return typeof inode === 'number' ? inode : (inode.xattrs.get(name) ?? -Errno.ENODATA);
    });
  }

  setxattr(node: NodeId, name: string, value: Buffer, flags: number): Reply<0> {
    return this.#answer('setxattr', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      if (flags & XATTR_CREATE && inode.xattrs.has(name)) return -Errno.EEXIST;
      if (flags & XATTR_REPLACE && !inode.xattrs.has(name)) return -Errno.ENODATA;
      if (inode.xattrs.size >= 64 && !inode.xattrs.has(name)) return -Errno.ENOSPC;
      inode.xattrs.set(name, value);
      return 0;
    });
  }

  listxattr(node: NodeId): Reply<Buffer> {
    return this.#answer('listxattr', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      return Buffer.from([...inode.xattrs.keys()].map((name) => `${name}\0`).join(''), 'latin1');
    });
  }

  removexattr(node: NodeId, name: string): Reply<0> {
    return this.#answer('removexattr', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      return inode.xattrs.delete(name) ? 0 : -Errno.ENODATA;
    });
  }

  statfs(): Reply<StoreStatistics> {
    return this.#answer('statfs', () => ({
      blockSize: 4096,
      fragmentSize: 4096,
      blocks: 1 << 20,
      blocksFree: 1 << 19,
      blocksAvailable: 1 << 19,
      files: 1 << 20,
      filesFree: (1 << 20) - this.#table.count,
      nameLengthMax: 255,
    }));
  }

  access(node: NodeId): Reply<0> {
    return this.#answer('access', () => (this.#table.get(node) ? 0 : -Errno.ESTALE));
  }

  // --- files ---------------------------------------------------------------------------------------------------------

  open(node: NodeId, flags: number, clearSuidSgid: boolean): Reply<Opened> {
    return this.#answer('open', () => {
      const inode = this.#table.inode(node);
      if (typeof inode === 'number') return inode;
      if (!isRegular(inode.attributes.mode)) return isDirectory(inode.attributes.mode) ? -Errno.EISDIR : -Errno.ENXIO;
      if (flags & O_TRUNC) this.#table.resize(inode, 0);
      if (clearSuidSgid) inode.attributes.mode &= ~SUID_SGID;
      return this.#openFile(inode);
    });
  }

  create(parent: NodeId, name: string, mode: number, umask: number, flags: number, caller: Caller): Reply<Created> {
    return this.#answer('create', () => {
      const directory = this.#table.directory(parent);
      if (typeof directory === 'number') return directory;
      const there = directory.children.get(name);
      if (there !== undefined) {
        if (flags & O_EXCL) return -Errno.EEXIST;
        if (!isRegular(there.attributes.mode)) return -Errno.EISDIR;
        if (flags & O_TRUNC) this.#table.resize(there, 0);
        return { entry: this.#table.entry(there), opened: this.#openFile(there) };
      }
      const entry = this.#create(parent, name, FileType.REGULAR | (mode & ~umask & 0o7777), caller, 0);
      if (typeof entry === 'number') return entry;
      return { entry, opened: this.#openFile(this.#table.get(entry.node)!) };
    });
  }

  tmpfile(parent: NodeId, mode: number, umask: number, _flags: number, caller: Caller): Reply<Created> {
    return this.#answer('tmpfile', () => {
      const directory = this.#table.directory(parent);
      if (typeof directory === 'number') return directory;
      const inode = this.#table.make(FileType.REGULAR | (mode & ~umask & 0o7777), caller, 0, undefined);
      if (typeof inode === 'number') return inode;
      inode.attributes.nlink = 0;
      return { entry: this.#table.entry(inode), opened: this.#openFile(inode) };
    });
  }

  read(
    _node: NodeId,
    handle: HandleId,
    offset: number,
    size: number,
    into: Uint8Array,
  ): number | Promise<number | LateBytes> {
    const inode = this.#files.get(handle);
    if (inode === undefined) return -Errno.EBADF;
    if (offset >= inode.data.length) return 0;
    if (!this.#later('read')) return inode.data.copy(into, 0, offset, offset + size);
    const bytes = Buffer.from(inode.data.subarray(offset, offset + size));
    return Promise.resolve({ bytes });
  }

  write(_node: NodeId, handle: HandleId, offset: number, data: Uint8Array, clearSuidSgid: boolean): Reply<number> {
    return this.#answer('write', () => {
      const inode = this.#files.get(handle);
      if (inode === undefined) return -Errno.EBADF;
      const end = offset + data.length;
      if (end > inode.attributes.size) {
        const resized = this.#table.resize(inode, end);
        if (resized !== 0) return resized;
      }
      inode.data.set(data, offset);
      if (clearSuidSgid) inode.attributes.mode &= ~SUID_SGID;
      touch(inode);
      return data.length;
    });
  }

  flush(): Reply<0> {
    return this.#answer('flush', () => 0);
  }

  fsync(_node: NodeId, handle: HandleId): Reply<0> {
    return this.#answer('fsync', () => (this.#files.has(handle) ? 0 : -Errno.EBADF));
  }

  release(_node: NodeId, handle: HandleId): void {
    const inode = this.#files.get(handle);
    if (inode === undefined) return;
    this.#files.delete(handle);
    inode.handles--;
    this.#table.collect(inode);
  }

  fallocate(_node: NodeId, handle: HandleId, mode: number, offset: number, length: number): Reply<0> {
    return this.#answer('fallocate', () => {
      const inode = this.#files.get(handle);
      if (inode === undefined) return -Errno.EBADF;
      if (length === 0) return -Errno.EINVAL;
      if (mode & FALLOC_PUNCH_HOLE) {
        inode.data.fill(0, Math.min(offset, inode.data.length), Math.min(offset + length, inode.data.length));
        return 0;
      }
      if (mode & ~FALLOC_KEEP_SIZE) return -Errno.EOPNOTSUPP;
      if (mode & FALLOC_KEEP_SIZE || offset + length <= inode.attributes.size) return 0;
      return this.#table.resize(inode, offset + length);
    });
  }

  lseek(_node: NodeId, handle: HandleId, offset: number, whence: number): Reply<number> {
    return this.#answer('lseek', () => {
      const inode = this.#files.get(handle);
      if (inode === undefined) return -Errno.EBADF;
      if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return -Errno.EINVAL;
      const size = inode.attributes.size;
      if (offset >= size) return -Errno.ENXIO;
      return whence === SEEK_DATA ? offset : size;
    });
  }

  copyFileRange(
    _node: NodeId,
    handle: HandleId,
    offset: number,
    toNode: NodeId,
    toHandle: HandleId,
    toOffset: number,
    length: number,
  ): Reply<number> {
    const from = this.#files.get(handle);
    if (from === undefined) return -Errno.EBADF;
    const data = Buffer.from(from.data.subarray(offset, offset + length));
    return data.length === 0 ? 0 : this.write(toNode, toHandle, toOffset, data, false);
  }

  // --- directories ---------------------------------------------------------------------------------------------------

  opendir(node: NodeId): Reply<OpenedDirectory> {
    return this.#answer('opendir', () => {
      const inode = this.#table.directory(node);
      if (typeof inode === 'number') return inode;
      const handle = this.#nextHandle++;
      this.#directories.set(handle, { inode, listing: [] });
      inode.handles++;
      return { handle, cacheListing: false, keepCache: false };
    });
  }

  readdir(_node: NodeId, handle: HandleId, offset: number, plus: boolean, sink: DirectorySink): Reply<0> {
    return this.#answer('readdir', () => {
      const open = this.#directories.get(handle);
      if (open === undefined) return -Errno.EBADF;
      const { inode } = open;
      if (offset === 0) {
        open.listing = [
          { name: '.', inode },
          { name: '..', inode: inode.parent ?? inode },
          ...[...inode.children].map(([name, child]) => ({ name, inode: child })),
        ];
      }
      for (let i = offset; i < open.listing.length; i++) {
        const { name, inode: child } = open.listing[i]!;
        const counted = plus && i > 1;
        const entry = counted ? this.#table.entry(child) : undefined;
        if (!sink.add(name, child.attributes.ino, child.attributes.mode >> 12, i + 1, entry)) {
          if (counted) child.lookups--; // not taken
          break;
        }
      }
      return 0;
    });
  }

  releasedir(_node: NodeId, handle: HandleId): void {
    const open = this.#directories.get(handle);
    if (open === undefined) return;
    this.#directories.delete(handle);
    open.inode.handles--;
    this.#table.collect(open.inode);
  }

  fsyncdir(_node: NodeId, handle: HandleId): Reply<0> {
    return this.#answer('fsyncdir', () => (this.#directories.has(handle) ? 0 : -Errno.EBADF));
  }

  // --- inside --------------------------------------------------------------------------------------------------------

  #answer<T>(operation: string, answer: () => Outcome<T>): Reply<T> {
    return this.#later(operation) ? Promise.resolve().then(answer) : answer();
  }

  #create(parent: NodeId, name: string, mode: number, caller: Caller, rdev: number): Outcome<Entry> {
    const directory = this.#table.directory(parent);
    if (typeof directory === 'number') return directory;
    if (directory.children.has(name)) return -Errno.EEXIST;
    const inode = this.#table.make(mode, caller, rdev, directory);
    if (typeof inode === 'number') return inode;
    this.#table.attach(directory, name, inode);
    return this.#table.entry(inode);
  }

  #openFile(inode: Inode): Opened {
    const handle = this.#nextHandle++;
    this.#files.set(handle, inode);
    inode.handles++;
    return { handle, keepCache: false, backingId: 0, directIo: false, noFlush: false, nonSeekable: false };
  }
}
