/**
 * Where the bytes come from. A store names files by opaque `StoreNode`s that it hands out itself, so that one store can
 * keep directory descriptors (posix/), another paths or object keys. Nothing here knows of FUSE, nodeids or caches.
 *
 * Every call answers at once or with a promise, as the store's speed allows (`Reply`); failures are negated errnos.
 * Names are single path components as byte strings (latin1: one character a byte), never empty, ".", ".." or with "/" or NUL.
 */
import type { Carrier } from '../sys/carrier.ts';
import type { Outcome, Reply } from '../sys/errno.ts';
import type { Attributes } from './attributes.ts';

/**
 * What a store says is the same file for as long as it lives, across renames and hard links. A number where that is
 * possible (cheap as a map key), else a string. Never reused for another file that exists at the same time; `birth`
 * tells files apart whose id was reused one after the other.
 */
export type FileId = number | string;

/** A file as the store knows it: its identity and where it was last seen. Owned by the store; opaque to everyone else. */
export interface StoreNode {
  readonly id: FileId;
  /** Tells successive files with a reused id apart (birth time and type); '' where the store cannot tell. */
  readonly birth: string;
  /** Below the store's root, where it was seen last; '' for the root and for what has no name any more. */
  path(): string;
}

export interface Found {
  id: FileId;
  birth: string;
  attributes: Attributes;
}

/** Which content a regular file has: two equal versions have equal bytes. Compared with ===, stored in the cache's index. */
export type Version = string;

export interface StoreFile {
  /** A descriptor the kernel can be handed and `preadv2` be used on; undefined where the store has none. */
  readonly fd: number | undefined;
  /** As open(2): the access mode it was opened with (O_RDONLY, O_WRONLY, O_RDWR). */
  readonly accessMode: number;
}

export interface DirectoryEntry {
  name: string;
  /** DT_* type (mode >> 12), 0 when unknown. */
  type: number;
  ino: bigint;
}

export interface StoreStatistics {
  blockSize: number;
  fragmentSize: number;
  /** In fragments. */
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameLengthMax: number;
}

/** What chmod, chown, truncate and utimensat change; absent members stay. Times: 'now', or seconds and nanoseconds. */
export interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: 'now' | { sec: number; nsec: number };
  mtime?: 'now' | { sec: number; nsec: number };
}

/** On whose behalf something is created or looked at. */
export interface Identity {
  uid: number;
  gid: number;
  /** The one supplementary group that matters for a creation (the parent directory's, when the caller is in it). */
  supplementaryGroup?: number;
  /** The caller's umask, applied by the store unless the parent has a default ACL. */
  umask: number;
}

/**
 * 'inline': every call returns at once (ext4, xfs, btrfs, tmpfs); safe to use in the session's own turn.
 * 'pooled': calls may take milliseconds or hang; they return promises and run on the pool, within the lane named.
 */
export type SpeedClass = 'inline' | 'pooled';

export type StoreCapability =
  | 'xattr'
  | 'acl'
  | 'hardlink'
  | 'symlink'
  | 'exchange'
  | 'tmpfile'
  | 'fallocate'
  | 'sparse'
  | 'direct';

/**
 * What a source was asked for. `lookup`: a name, with its attributes. `attributes`: of what is open. `openDirectory`,
 * `list`: one opening of a directory, one reading on in it. `name`: one made, linked, moved or removed. `change`: mode,
 * owner, times, size. `flush`: errors of delayed writes.
 */
export type StoreRequest =
  | 'lookup'
  | 'attributes'
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'openDirectory'
  | 'list'
  | 'readlink'
  | 'change'
  | 'name'
  | 'xattr'
  | 'sync'
  | 'flush'
  | 'seek'
  | 'copy'
  | 'statistics';

/** What this process asked of a source since it was opened; see docs/COUNTS.md for what becomes of it on the way. */
export interface StoreCounts {
  /** The sum of `byKind`. */
  requests: number;
  /** Bytes that reads brought, and that writes took. */
  bytes: number;
  bytesWritten: number;
  /** Requests that failed by trouble with the source: not those that were answered "no such file" and the like. */
  errors: number;
  /** Files closed. No requests: nobody waits for it. */
  closes: number;
  /** Names entered without opening them (O_PATH), just after they were looked up. No requests: no bytes, no news. */
  walks: number;
  byKind: Record<StoreRequest, number>;
}

export interface Store {
  /** Identifies this store across mounts and machines' restarts, for the cache's index: "posix:/mnt/beegfs". */
  readonly id: string;
  readonly speed: SpeedClass;
  readonly readOnly: boolean;
  /** Says whether the store can do something; what it cannot is answered EOPNOTSUPP. */
  can(capability: StoreCapability): boolean;
  root(): Found & { node: StoreNode };

  /** Finds a name. Never follows a symbolic link. The result is not yet a node: see `node`. */
  lookup(parent: StoreNode, name: string): Reply<Found>;
  /** The node for what `lookup` (or a creation) found at parent/name; to be given back with `release`. */
  node(parent: StoreNode, name: string, found: Found): StoreNode;
  /**
   * Tells the store that a node was also found at parent/name (hard links, renames by others), when it was asked at
   * `askedMs` (monotonic). What is older than the node's last move through this store is no news.
   */
  alias(node: StoreNode, parent: StoreNode, name: string, askedMs: number): void;
  /**
   * The place of a node that `node`, with what was found there, makes again as it is; undefined where there is more to it:
   * descriptors, calls under way, several names.
   */
  place(node: StoreNode): { parent: StoreNode; name: string } | undefined;
  /** Ends the use of a node: descriptors held for it are closed. */
  release(node: StoreNode): void;

  /** Attributes now. With an open file, of that file even when no name leads to it any more. ESTALE: the node's name leads elsewhere. */
  attributes(node: StoreNode, file?: StoreFile): Reply<Attributes>;
  /**
   * What a name of `node` leads to now: for telling, at OPEN, whether the file was replaced. ESTALE or ENOENT when it
   * leads elsewhere or nowhere.
   */
  revalidate(node: StoreNode): Reply<Attributes>;
  change(node: StoreNode, changes: AttributeChanges, file?: StoreFile): Reply<Attributes>;
  /** The version of the content that attributes describe. */
  version(attributes: Attributes): Version;

  readlink(node: StoreNode): Reply<Buffer>;
  /** All names of a directory but "." and "..", as one snapshot. */
  list(node: StoreNode): Reply<DirectoryEntry[]>;

  makeNode(parent: StoreNode, name: string, mode: number, rdev: number, who: Identity): Reply<Found>;
  makeDirectory(parent: StoreNode, name: string, mode: number, who: Identity): Reply<Found>;
  makeSymlink(parent: StoreNode, name: string, target: Buffer, who: Identity): Reply<Found>;
  /** `node`: what is being linked. The result is what now is at parent/name. */
  makeLink(node: StoreNode, parent: StoreNode, name: string): Reply<Found>;
  /** `node`: what the name leads to, where the overlay knows it; the store keeps it usable while it is held. */
  unlink(parent: StoreNode, name: string, node?: StoreNode): Reply<0>;
  removeDirectory(parent: StoreNode, name: string, node?: StoreNode): Reply<0>;
  /** renameat2: flags 0, NOREPLACE (1) or EXCHANGE (2). `node` moves; `target` is what was at the new name, where known. */
  rename(
    parent: StoreNode,
    name: string,
    newParent: StoreNode,
    newName: string,
    flags: number,
    node?: StoreNode,
    target?: StoreNode,
  ): Reply<0>;

  /** Opens a regular file (never O_CREAT). `flags` as open(2). ESTALE when the name leads to another file. */
  open(node: StoreNode, flags: number): Reply<StoreFile>;
  /** open(2) with O_CREAT: what was found or made, and it opened. */
  create(
    parent: StoreNode,
    name: string,
    mode: number,
    flags: number,
    who: Identity,
  ): Reply<{ found: Found; file: StoreFile }>;
  /** O_TMPFILE. */
  createUnnamed(
    parent: StoreNode,
    mode: number,
    flags: number,
    who: Identity,
  ): Reply<{ found: Found; file: StoreFile; node: StoreNode }>;
  /** Never waits: on a pooled store the descriptor is closed by the pool. */
  close(file: StoreFile): void;

  /**
   * Reads at once when that needs no waiting (an inline store, bytes in memory): the count, short only at the end of the
   * file; else -EAGAIN with `into` possibly scribbled on, and `read` is the way. Pooled stores always say -EAGAIN.
   */
  readNow(file: StoreFile, into: Uint8Array, length: number, offset: number): number;
  /**
   * As `readNow`, but `carrier` takes the bytes from the file itself. `end`: where the caller believes the file to end;
   * of one that ends elsewhere nothing is carried.
   */
  carryNow(file: StoreFile, carrier: Carrier, length: number, offset: number, end: number): number;
  /**
   * Reads up to `length` bytes at `offset` into `into` through the pool; the count, short only at the end of the file.
   * `end`: where the caller believes the file to end. Bytes that stop there, or beyond, are not asked for more.
   */
  read(file: StoreFile, into: Uint8Array, length: number, offset: number, end?: number): Reply<number>;
  write(file: StoreFile, data: Uint8Array, offset: number): Reply<number>;
  /** What close(2) of one of several descriptors would report: errors of writes that the store delays until then. */
  flush(file: StoreFile): Reply<0>;
  /** Whether there can be such errors: else a file may be closed without a `flush`. */
  delaysErrors(): boolean;
  sync(file: StoreFile, dataOnly: boolean): Reply<0>;
  syncDirectory(node: StoreNode): Reply<0>;
  allocate(file: StoreFile, mode: number, offset: number, length: number): Reply<0>;
  /** lseek with SEEK_DATA or SEEK_HOLE. */
  seek(file: StoreFile, offset: number, whence: number): Reply<number>;
  copyRange(from: StoreFile, fromOffset: number, to: StoreFile, toOffset: number, length: number): Reply<number>;

  getXattr(node: StoreNode, name: string, file?: StoreFile): Reply<Buffer>;
  setXattr(node: StoreNode, name: string, value: Buffer, flags: number, file?: StoreFile): Reply<0>;
  /** NUL-terminated names, one after the other, as listxattr(2). */
  listXattr(node: StoreNode, file?: StoreFile): Reply<Buffer>;
  removeXattr(node: StoreNode, name: string, file?: StoreFile): Reply<0>;

  statistics(): Reply<StoreStatistics>;
  counts(): StoreCounts;
  /** Closes everything; the store is not used afterwards. */
  shutdown(): Promise<void>;
}

export type { Outcome, Reply };
