/**
 * The file system as typed operations: what a transport (fuse/, fuse-native/) calls and overlay/ answers. Bytes on a
 * wire exist on the transport's side only.
 *
 * An operation answers at once or with a promise (`Reply`); a failure is a negated errno. Promises do not reject: a
 * transport answers EIO to one that does, and counts it as a defect.
 *
 * Nodes are named by numbers the file system hands out in entries; the root is 1. Each entry returned (by lookup, the
 * creations, and readdirplus) counts as one lookup until `forget` takes it back.
 */

import type { Attributes } from '../store/attributes.ts';
import type { AttributeChanges, StoreStatistics } from '../store/store.ts';
import type { Carrier } from '../sys/carrier.ts';
import type { Outcome, Reply } from '../sys/errno.ts';

export type NodeId = number;
export const ROOT: NodeId = 1;
/** Names an open file or directory between open and release; never 0. */
export type HandleId = number;

/** Who asks. The object is reused for the next request: copy what must outlive the call. */
export interface Caller {
  uid: number;
  gid: number;
  /** The calling *thread's* id as the daemon's pid namespace sees it; 0 when it cannot be seen. */
  pid: number;
  /** A supplementary group of the caller that equals the parent directory's group; -1 for none (creations only). */
  supplementaryGroup: number;
  /** When the request arrived (monotonic ms); 0 where nobody observes it. */
  askedMs: number;
}

export interface Entry {
  /** 0: the name does not exist, and that may be remembered for `entryTtlMs`. */
  node: NodeId;
  attributes: Attributes;
  entryTtlMs: number;
  attributesTtlMs: number;
}

export interface AttributesReply {
  attributes: Attributes;
  ttlMs: number;
}

/** How the kernel shall treat an opened file. */
export interface Opened {
  handle: HandleId;
  /** Pages already cached for this node are right: keep them. */
  keepCache: boolean;
  /** The registered backing file that serves all I/O of this handle; 0: the daemon serves it. */
  backingId: number;
  /** Every read and write comes to the daemon, nothing is cached. */
  directIo: boolean;
  /** close() need not wait for a FLUSH. */
  noFlush: boolean;
  nonSeekable: boolean;
}

export interface OpenedDirectory {
  handle: HandleId;
  /** The kernel may remember the listing; `keepCache`: what it remembers is still right. */
  cacheListing: boolean;
  keepCache: boolean;
}

export interface Created {
  entry: Entry;
  opened: Opened;
}

/** Takes the entries of a directory in order until the reply is full. */
export interface DirectorySink {
  /** `nextOffset`: where reading goes on after this entry. `entry` only for readdirplus. False: full, not taken. */
  add(name: string, ino: bigint, type: number, nextOffset: number, entry: Entry | undefined): boolean;
}

export interface SetAttributes extends AttributeChanges {
  /** Clear set-user-id and set-group-id (and capabilities), as a write or truncate by another user must. */
  clearSuidSgid?: boolean;
}

/**
 * Bytes of a read that did not fit the caller's buffer because they came later. `release`, when there, gives the buffer
 * back after the reply was sent.
 */
export interface LateBytes {
  bytes: Uint8Array;
  /** They had to be brought from the source. */
  fetched?: boolean;
  release?: () => void;
}

export interface FileSystem {
  /** Called once the connection stands, before any other operation. */
  start(kernel: Kernel): void;

  lookup(parent: NodeId, name: string, caller: Caller): Reply<Entry>;
  forget(node: NodeId, count: number): void;
  getattr(node: NodeId, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply>;
  setattr(node: NodeId, changes: SetAttributes, handle: HandleId | undefined, caller: Caller): Reply<AttributesReply>;
  readlink(node: NodeId): Reply<Buffer>;
  mknod(parent: NodeId, name: string, mode: number, rdev: number, umask: number, caller: Caller): Reply<Entry>;
  mkdir(parent: NodeId, name: string, mode: number, umask: number, caller: Caller): Reply<Entry>;
  symlink(parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry>;
  link(node: NodeId, newParent: NodeId, newName: string, caller: Caller): Reply<Entry>;
  unlink(parent: NodeId, name: string, caller: Caller): Reply<0>;
  rmdir(parent: NodeId, name: string, caller: Caller): Reply<0>;
  rename(parent: NodeId, name: string, newParent: NodeId, newName: string, flags: number, caller: Caller): Reply<0>;

  /**
   * `flags` as open(2). ESTALE makes the kernel look the name up again and retry with what it then finds.
   * `clearSuidSgid`: a truncation by someone who may not keep these bits (FUSE_OPEN_KILL_SUIDGID).
   */
  open(node: NodeId, flags: number, clearSuidSgid: boolean, caller: Caller): Reply<Opened>;
  create(parent: NodeId, name: string, mode: number, umask: number, flags: number, caller: Caller): Reply<Created>;
  tmpfile(parent: NodeId, mode: number, umask: number, flags: number, caller: Caller): Reply<Created>;
  /**
   * Reads up to `size` bytes. Answered at once: the bytes are in `into` and the count is returned. Answered later:
   * `into` was not touched and the bytes come with the promise. Of an answer at once `carrier`, where there is one, may have
   * taken the bytes instead.
   */
  read(
    node: NodeId,
    handle: HandleId,
    offset: number,
    size: number,
    into: Uint8Array,
    caller: Caller,
    carrier?: Carrier,
  ): number | Promise<number | LateBytes>;
  /**
   * `data` stays valid until the reply has settled. Returns the count written. `clearSuidSgid`: the writer may not keep
   * set-user-id and set-group-id bits (FUSE_WRITE_KILL_SUIDGID).
   */
  write(
    node: NodeId,
    handle: HandleId,
    offset: number,
    data: Uint8Array,
    clearSuidSgid: boolean,
    caller: Caller,
  ): Reply<number>;
  flush(node: NodeId, handle: HandleId): Reply<0>;
  fsync(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0>;
  release(node: NodeId, handle: HandleId): void;
  fallocate(node: NodeId, handle: HandleId, mode: number, offset: number, length: number, caller: Caller): Reply<0>;
  lseek(node: NodeId, handle: HandleId, offset: number, whence: number): Reply<number>;
  /** `data` is valid until it returns; the result is what ioctl(2) returns. Absent: no file knows any (ENOTTY). */
  ioctl?(node: NodeId, command: number, data: Uint8Array): Outcome<number>;
  copyFileRange(
    node: NodeId,
    handle: HandleId,
    offset: number,
    toNode: NodeId,
    toHandle: HandleId,
    toOffset: number,
    length: number,
    caller: Caller,
  ): Reply<number>;

  opendir(node: NodeId, caller: Caller): Reply<OpenedDirectory>;
  /** Offset 0 takes a fresh snapshot. `plus`: entries carry attributes and count as lookups when taken. */
  readdir(node: NodeId, handle: HandleId, offset: number, plus: boolean, sink: DirectorySink, caller: Caller): Reply<0>;
  releasedir(node: NodeId, handle: HandleId): void;
  fsyncdir(node: NodeId, handle: HandleId, dataOnly: boolean): Reply<0>;

  getxattr(node: NodeId, name: string, caller: Caller): Reply<Buffer>;
  setxattr(node: NodeId, name: string, value: Buffer, flags: number, caller: Caller): Reply<0>;
  listxattr(node: NodeId, caller: Caller): Reply<Buffer>;
  removexattr(node: NodeId, name: string, caller: Caller): Reply<0>;
  statfs(node: NodeId): Reply<StoreStatistics>;
  access(node: NodeId, mask: number, caller: Caller): Reply<0>;

  /** The connection has ended (unmount, abort): closes everything. */
  stop(): Promise<void>;
}

/** What the file system may ask of the kernel through its transport. */
export interface Kernel {
  /** Backing files can be registered (FUSE passthrough was negotiated). */
  readonly passthrough: boolean;
  /** Files opened with `directIo` can be mapped, shared or not. */
  readonly directIoMappable?: boolean;
  /** Registers an open regular file as backing; an id > 0 or a negated errno. */
  registerBacking(fd: number): number;
  unregisterBacking(id: number): void;
  /** Memory to put bytes in for `pushPages`, reused each time; empty where pages cannot be pushed. */
  readonly pages: Uint8Array;
  /**
   * Puts the first `length` bytes of `pages` into the page cache as the beginning of a file; a negated errno when the
   * kernel does not take them. Safe inside an operation only for a file that nobody has open: an unanswered READ holds
   * its pages locked, and this would wait for them, and the READ for this.
   */
  pushPages(node: NodeId, length: number): number;
  /** What it takes goes instead of `pages` with the next `pushPages` of the node. */
  carrierOfPages?(node: NodeId): Carrier | undefined;
  /** Drops the kernel's attributes of a node, not its pages. Safe inside an operation; in effect before its reply. */
  invalidateAttributes(node: NodeId): void;
  /** Drops cached pages too. Goes out beside the session, never inside an operation; ENOENT (not known) is no error. */
  invalidateData(node: NodeId, offset: number, length: number): Promise<void>;
  /** Makes the kernel forget a name. Beside the session, as above. */
  invalidateEntry(parent: NodeId, name: string): Promise<void>;
}
