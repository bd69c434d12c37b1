/**
 * The overlay with virtual files in it: passes every operation on, save those on a virtual node and on the one name in
 * the root that leads to them. There everything can be read and nothing changed (EROFS), save that some files take what is
 * written to them.
 */
import type { StoreStatistics } from '../store/store.ts';
import type { Carrier } from '../sys/carrier.ts';
import { Errno, failed, type Outcome, type Reply } from '../sys/errno.ts';
import { mayWrite } from '../sys/open-flags.ts';
import type { Log } from '../telemetry/log.ts';
import {
  type AttributesReply,
  type Caller,
  type Created,
  type DirectorySink,
  type Entry,
  type FileSystem,
  type HandleId,
  type Kernel,
  type LateBytes,
  type NodeId,
  type Opened,
  type OpenedDirectory,
  ROOT,
  type SetAttributes,
} from './filesystem.ts';
import { isVirtual, VIRTUAL_NAME, type VirtualFiles } from './virtual.ts';

const SEEK_DATA = 3;

/** What truncating changes. */
const BEGINS: ReadonlySet<string> = new Set(['size', 'mtime', 'clearSuidSgid']);

const NO_BYTES = Buffer.alloc(0);

export class VirtualOverlay implements FileSystem {
  readonly #inner: FileSystem;
  readonly #files: VirtualFiles;
  readonly #log: Log;

  constructor(inner: FileSystem, files: VirtualFiles, log: Log) {
    this.#inner = inner;
    this.#files = files;
    this.#log = log;
  }

  start(kernel: Kernel): void {
    this.#inner.start(kernel);
  }

  // --- Names -----------------------------------------------------------------------------------------------------------

  lookup(parent: NodeId, name: string, caller: Caller): Reply<Entry> {
    if (parent === ROOT && name === VIRTUAL_NAME) return this.#files.entry();
    if (isVirtual(parent)) return this.#lookUp(parent, name);
    return this.#inner.lookup(parent, name, caller);
  }

  #lookUp(parent: NodeId, name: string): Outcome<Entry> {
    try {
      return this.#files.lookup(parent, name);
    } catch (error) {
      this.#log.error({ err: error, name }, 'a virtual file has no content');
      return -Errno.EIO;
    }
  }

  forget(node: NodeId, count: number): void {
    if (isVirtual(node)) this.#files.forget(node, count);
    else this.#inner.forget(node, count);
  }

  /** Why a name cannot be made here; undefined: it can. */
  #barred(parent: NodeId, name: string): number | undefined {
    if (isVirtual(parent)) return -Errno.EROFS;
    return parent === ROOT && name === VIRTUAL_NAME ? -Errno.EEXIST : undefined;
  }

  mknod(parent: NodeId, name: string, mode: number, rdev: number, umask: number, caller: Caller): Reply<Entry> {
    return this.#barred(parent, name) ?? this.#inner.mknod(parent, name, mode, rdev, umask, caller);
  }

  mkdir(parent: NodeId, name: string, mode: number, umask: number, caller: Caller): Reply<Entry> {
    return this.#barred(parent, name) ?? this.#inner.mkdir(parent, name, mode, umask, caller);
  }

  symlink(parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry> {
    return this.#barred(parent, name) ?? this.#inner.symlink(parent, name, target, caller);
  }

  link(node: NodeId, newParent: NodeId, newName: string, caller: Caller): Reply<Entry> {
    const barred = this.#barred(newParent, newName);
    if (barred !== undefined) return barred;
    return isVirtual(node) ? -Errno.EXDEV : this.#inner.link(node, newParent, newName, caller);
  }

  unlink(parent: NodeId, name: string, caller: Caller): Reply<0> {
    const barred = this.#barred(parent, name);
    if (barred !== undefined) return barred === -Errno.EEXIST ? -Errno.EISDIR : barred;
    return this.#inner.unlink(parent, name, caller);
  }

  rmdir(parent: NodeId, name: string, caller: Caller): Reply<0> {
    if (this.#barred(parent, name) !== undefined) return -Errno.EROFS;
    return this.#inner.rmdir(parent, name, caller);
  }

  rename(parent: NodeId, name: string, newParent: NodeId, newName: string, flags: number, caller: Caller): Reply<0> {
    // Not EXDEV: mv(1) would copy the file, and then fail to remove it.
    const barred = this.#barred(parent, name) ?? this.#barred(newParent, newName);
    return barred !== undefined ? -Errno.EROFS : this.#inner.rename(parent, name, newParent, newName, flags, caller);
  }

  create(parent: NodeId, name: string, mode: number, umask: number, flags: number, caller: Caller): Reply<Created> {
    return this.#barred(parent, name) ?? this.#inner.create(parent, name, mode, umask, flags, caller);
  }

  tmpfile(parent: NodeId, mode: number, umask: number, flags: number, caller: Caller): Reply<Created> {
    return isVirtual(parent) ? -Errno.EROFS : this.#inner.tmpfile(parent, mode, umask, flags, caller);
  }

  // --- Inodes ----------------------------------------------------------------------------------------------------------

  getattr(node: NodeId, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply> {
    return isVirtual(node) ? this.#files.attributes(node) : this.#inner.getattr(node, handle, caller);
  }

  setattr(node: NodeId, changes: SetAttributes, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply> {
    if (!isVirtual(node)) return this.#inner.setattr(node, changes, handle, caller);
    // To begin at 0 is how most programs open for writing; there is nothing to cut off.
    const begins = changes.size !== undefined && Object.keys(changes).every((key) => BEGINS.has(key));
    return begins && this.#files.isWritable(node) ? this.#files.attributes(node) : -Errno.EROFS;
  }

  readlink(node: NodeId): Reply<Buffer> {
    return isVirtual(node) ? -Errno.EINVAL : this.#inner.readlink(node);
  }

  getxattr(node: NodeId, name: string, caller: Caller): Reply<Buffer> {
    return isVirtual(node) ? -Errno.ENODATA : this.#inner.getxattr(node, name, caller);
  }

  setxattr(node: NodeId, name: string, value: Buffer, flags: number, caller: Caller): Reply<0> {
    return isVirtual(node) ? -Errno.EROFS : this.#inner.setxattr(node, name, value, flags, caller);
  }

  listxattr(node: NodeId, caller: Caller): Reply<Buffer> {
    return isVirtual(node) ? NO_BYTES : this.#inner.listxattr(node, caller);
  }

  removexattr(node: NodeId, name: string, caller: Caller): Reply<0> {
    return isVirtual(node) ? -Errno.EROFS : this.#inner.removexattr(node, name, caller);
  }

  statfs(node: NodeId): Reply<StoreStatistics> {
    return this.#inner.statfs(isVirtual(node) ? ROOT : node);
  }

  access(node: NodeId, mask: number, caller: Caller): Reply<0> {
    if (!isVirtual(node)) return this.#inner.access(node, mask, caller);
    const known = this.#files.attributes(node);
    return failed(known) ? known : 0;
  }

  // --- Files -----------------------------------------------------------------------------------------------------------

  open(node: NodeId, flags: number, clearSuidSgid: boolean, caller: Caller): Reply<Opened> {
    if (!isVirtual(node)) return this.#inner.open(node, flags, clearSuidSgid, caller);
    if (mayWrite(flags)) return this.#openForWriting(node);
    const bytes = this.#files.bytes(node);
    if (failed(bytes)) return bytes;
    // The node says all there is to say of a handle; it is no 0.
    return { handle: node, keepCache: true, backingId: 0, directIo: false, noFlush: true, nonSeekable: false };
  }

  #openForWriting(node: NodeId): Outcome<Opened> {
    const handle = this.#files.openForWriting(node);
    if (failed(handle)) return handle;
    // Past the page cache, so that each write(2) comes here as it is and is told how much was taken.
    return { handle, keepCache: false, backingId: 0, directIo: true, noFlush: true, nonSeekable: false };
  }

  read(
    node: NodeId,
    handle: HandleId,
    offset: number,
    size: number,
    into: Uint8Array,
    caller: Caller,
    carrier?: Carrier,
  ): number | Promise<number | LateBytes> {
    if (!isVirtual(node)) return this.#inner.read(node, handle, offset, size, into, caller, carrier);
    const bytes = this.#files.bytes(node);
    if (failed(bytes)) return bytes;
    const wanted = (bytes as Buffer).subarray(offset, offset + size);
    into.set(wanted);
    return wanted.length;
  }

  write(
    node: NodeId,
    handle: HandleId,
    offset: number,
    data: Uint8Array,
    clearSuidSgid: boolean,
    caller: Caller,
  ): Reply<number> {
    return isVirtual(node)
      ? this.#files.write(handle, data)
      : this.#inner.write(node, handle, offset, data, clearSuidSgid, caller);
  }

  flush(node: NodeId, handle: HandleId): Reply<0> {
    return isVirtual(node) ? 0 : this.#inner.flush(node, handle);
  }

  fsync(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0> {
    return isVirtual(node) ? 0 : this.#inner.fsync(node, handle, dataOnly);
  }

  release(node: NodeId, handle: HandleId): void {
    if (isVirtual(node)) this.#files.release(handle);
    else this.#inner.release(node, handle);
  }

  fallocate(node: NodeId, handle: HandleId, mode: number, offset: number, length: number, caller: Caller): Reply<0> {
    return isVirtual(node) ? -Errno.EBADF : this.#inner.fallocate(node, handle, mode, offset, length, caller);
  }

  ioctl(node: NodeId, command: number, data: Uint8Array): Outcome<number> {
    if (isVirtual(node)) return this.#files.ioctl(node, command, data);
    return this.#inner.ioctl?.(node, command, data) ?? -Errno.ENOTTY;
  }

  lseek(node: NodeId, handle: HandleId, offset: number, whence: number): Reply<number> {
    if (!isVirtual(node)) return this.#inner.lseek(node, handle, offset, whence);
    const bytes = this.#files.bytes(node);
    if (failed(bytes)) return bytes;
    const { length } = bytes as Buffer;
    if (offset >= length) return -Errno.ENXIO;
    return whence === SEEK_DATA ? offset : length; // no holes but the one at the end
  }

  copyFileRange(
    node: NodeId,
    handle: HandleId,
    offset: number,
    toNode: NodeId,
    toHandle: HandleId,
    toOffset: number,
    length: number,
    caller: Caller,
  ): Reply<number> {
    if (isVirtual(toNode)) return -Errno.EBADF;
    if (isVirtual(node)) return -Errno.EXDEV; // the kernel then copies by reading
    return this.#inner.copyFileRange(node, handle, offset, toNode, toHandle, toOffset, length, caller);
  }

  // --- Directories -----------------------------------------------------------------------------------------------------

  opendir(node: NodeId, caller: Caller): Reply<OpenedDirectory> {
    if (!isVirtual(node)) return this.#inner.opendir(node, caller);
    if (!this.#files.isDirectory(node)) return -Errno.ENOTDIR;
    return { handle: node, cacheListing: false, keepCache: false };
  }

  readdir(
    node: NodeId,
    handle: HandleId,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
    caller: Caller,
  ): Reply<0> {
    if (isVirtual(node)) return this.#files.list(offset, sink);
    return this.#inner.readdir(node, handle, offset, plus, sink, caller);
  }

  releasedir(node: NodeId, handle: HandleId): void {
    if (!isVirtual(node)) this.#inner.releasedir(node, handle);
  }

  fsyncdir(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0> {
    return isVirtual(node) ? 0 : this.#inner.fsyncdir(node, handle, dataOnly);
  }

  stop(): Promise<void> {
    return this.#inner.stop();
  }
}
