/** The inodes of a file system in memory: made, named, counted and dropped when neither a name nor a user is left. */
import type { AttributesReply, Caller, Entry, NodeId } from '../../src/overlay/filesystem.ts';
import { ROOT } from '../../src/overlay/filesystem.ts';
import { type Attributes, FileType, isDirectory } from '../../src/store/attributes.ts';
import { Errno, type Outcome } from '../../src/sys/errno.ts';

export interface Inode {
  readonly node: NodeId;
  attributes: Attributes;
  /** The content: the beginning of `room`, behind which all is zero. */
  data: Buffer;
  room: Buffer;
  readonly children: Map<string, Inode>;
  parent: Inode | undefined;
  target: Buffer;
  readonly xattrs: Map<string, Buffer>;
  lookups: number;
  handles: number;
}

export interface Limits {
  ttlMs: number;
  maxFileSize: number;
  maxInodes: number;
}

export class MemoryInodes {
  readonly root: Inode;
  readonly #inodes = new Map<NodeId, Inode>();
  readonly #limits: Limits;
  #nextNode = ROOT;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.root = this.make(FileType.DIRECTORY | 0o755, undefined, 0, undefined) as Inode;
  }

  get count(): number {
    return this.#inodes.size;
  }

  get(node: NodeId): Inode | undefined {
    return this.#inodes.get(node);
  }

  /** Lookups the kernel holds, in all. */
  get lookups(): number {
    let held = 0;
    for (const inode of this.#inodes.values()) held += inode.lookups;
    return held;
  }

  make(mode: number, caller: Caller | undefined, rdev: number, parent: Inode | undefined): Inode | number {
    if (this.#inodes.size >= this.#limits.maxInodes) return -Errno.ENOSPC;
    const node = this.#nextNode++;
    const { sec, nsec } = now();
    const inode: Inode = {
      node,
      attributes: {
        ino: BigInt(node),
        mode,
        nlink: isDirectory(mode) ? 2 : 1,
        uid: caller?.uid ?? 0,
        gid: caller?.gid ?? 0,
        rdev,
        size: 0,
        blocks: 0,
        blksize: 4096,
        atimeSec: sec,
        atimeNsec: nsec,
        mtimeSec: sec,
        mtimeNsec: nsec,
        ctimeSec: sec,
        ctimeNsec: nsec,
        btimeSec: sec,
        btimeNsec: nsec,
      },
      data: Buffer.alloc(0),
      room: Buffer.alloc(0),
      children: new Map(),
      parent,
      target: Buffer.alloc(0),
      xattrs: new Map(),
      lookups: 0,
      handles: 0,
    };
    this.#inodes.set(node, inode);
    return inode;
  }

  attach(directory: Inode, name: string, inode: Inode): void {
    directory.children.set(name, inode);
    if (isDirectory(inode.attributes.mode)) inode.parent = directory;
    touch(directory);
  }

  detach(directory: Inode, name: string, inode: Inode): void {
    directory.children.delete(name);
    inode.attributes.nlink -= isDirectory(inode.attributes.mode) ? 2 : 1;
    touch(directory);
    this.collect(inode);
  }

  collect(inode: Inode): void {
    if (inode === this.root || inode.attributes.nlink > 0 || inode.lookups > 0 || inode.handles > 0) return;
    this.#inodes.delete(inode.node);
  }

  entry(inode: Inode): Entry {
    inode.lookups++;
    const { node, attributes } = inode;
    return { node, attributes, entryTtlMs: this.#limits.ttlMs, attributesTtlMs: this.#limits.ttlMs };
  }

  attributesOf(inode: Inode): AttributesReply {
    return { attributes: inode.attributes, ttlMs: this.#limits.ttlMs };
  }

  resize(inode: Inode, size: number): Outcome<0> {
    if (size > this.#limits.maxFileSize) return -Errno.EFBIG;
    if (size > inode.room.length) {
      // Twice as much as there was, so that appending does not copy the file each time.
      const grown = Buffer.alloc(Math.min(this.#limits.maxFileSize, Math.max(size, inode.room.length * 2)));
      inode.data.copy(grown);
      inode.room = grown;
    }
    if (size < inode.data.length) inode.room.fill(0, size, inode.data.length);
    inode.data = inode.room.subarray(0, size);
    inode.attributes.size = size;
    inode.attributes.blocks = Math.ceil(size / 512);
    touch(inode);
    return 0;
  }

  inode(node: NodeId): Inode | number {
    return this.#inodes.get(node) ?? -Errno.ESTALE;
  }

  directory(node: NodeId): Inode | number {
    const inode = this.inode(node);
    if (typeof inode === 'number') return inode;
    return isDirectory(inode.attributes.mode) ? inode : -Errno.ENOTDIR;
  }
}

export function now(): { sec: number; nsec: number } {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 };
}

export function touch(inode: Inode): void {
  const { sec, nsec } = now();
  inode.attributes.mtimeSec = inode.attributes.ctimeSec = sec;
  inode.attributes.mtimeNsec = inode.attributes.ctimeNsec = nsec;
}
