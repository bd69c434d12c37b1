/**
 * The kernel's side of a FUSE mount, as far as the overlay depends on it, in one process and without a mount: dentries
 * that may be out of date, pages kept from open to open, I/O modes and backing files with the kernel's own refusals, and
 * the second attempt after ESTALE. A rule the overlay breaks throws here; in a kernel it would be an EIO for the user.
 */
import * as fs from 'node:fs';
import type { Caller, Entry, Kernel, NodeId, Opened } from '../../src/overlay/filesystem.ts';
import type { Overlay } from '../../src/overlay/index.ts';
import { Errno } from '../../src/sys/errno.ts';

const PAGE = 4096;
const CALLER: Caller = {
  uid: process.getuid!(),
  gid: process.getgid!(),
  pid: process.pid,
  supplementaryGroup: -1,
  askedMs: 0,
};

interface KernelInode {
  size: number;
  mtime: string;
  /** The attributes were invalidated: asked for before they are used. */
  invalid: boolean;
  cached: number;
  passthrough: number;
  backing: number;
  pages: Map<number, Buffer>;
}

export interface KernelFile {
  node: NodeId;
  handle: number;
  flags: number;
  /** The file the kernel itself opened on the backing one. */
  backingFd: number | undefined;
  /** FOPEN_DIRECT_IO. Taken to be mapped: to the inode it is then an open in the cached mode. */
  direct: boolean;
}

export class KernelModel implements Kernel {
  readonly passthrough: boolean;
  readonly directIoMappable = true;
  readonly #overlay: Overlay;
  readonly #inodes = new Map<NodeId, KernelInode>();
  readonly #lookups = new Map<NodeId, number>();
  readonly #dentries = new Map<string, NodeId>();
  readonly #backings = new Map<number, string>();
  #nextBacking = 1;

  constructor(overlay: Overlay, passthrough: boolean) {
    this.#overlay = overlay;
    this.passthrough = passthrough;
    overlay.start(this);
  }

  registerBacking(fd: number): number {
    // The registration holds the file itself: a descriptor of our own does the same.
    const held = fs.openSync(`/proc/self/fd/${fd}`, 'r');
    const id = this.#nextBacking++;
    this.#backings.set(id, `/proc/self/fd/${held}`);
    return id;
  }

  unregisterBacking(id: number): void {
    const path = this.#backings.get(id);
    if (path === undefined) throw new Error(`backing ${id} is not registered`);
    fs.closeSync(Number(path.split('/').at(-1)));
    this.#backings.delete(id);
  }

  readonly pages: Uint8Array = Buffer.alloc(256 * 1024);

  /** NOTIFY_STORE: a page is up to date when it is filled, or is the file's last by the size the kernel knows. */
  pushPages(node: NodeId, length: number): number {
    const inode = this.#inodes.get(node);
    if (inode === undefined) return -Errno.ENOENT;
    if (inode.cached > 0 || inode.passthrough > 0)
      throw new Error(`node ${node}: pages pushed while it is open (a hang)`);
    for (let at = 0; at < length; at += PAGE) {
      const bytes = inode.pages.get(at / PAGE) ?? Buffer.alloc(PAGE);
      const part = this.pages.subarray(at, Math.min(at + PAGE, length));
      if (part.length < PAGE && !inode.pages.has(at / PAGE) && inode.size !== length) continue;
      const page = Buffer.from(bytes);
      page.set(part);
      inode.pages.set(at / PAGE, page);
    }
    return 0;
  }

  invalidateAttributes(node: NodeId): void {
    const inode = this.#inodes.get(node);
    if (inode !== undefined) inode.invalid = true;
  }

  async invalidateData(node: NodeId): Promise<void> {
    this.#inodes.get(node)?.pages.clear();
  }

  async invalidateEntry(): Promise<void> {}

  #remember(path: string, entry: Entry): NodeId {
    this.#lookups.set(entry.node, (this.#lookups.get(entry.node) ?? 0) + 1);
    this.#dentries.set(path, entry.node);
    let inode = this.#inodes.get(entry.node);
    if (inode === undefined) {
      inode = { size: 0, mtime: '', invalid: false, cached: 0, passthrough: 0, backing: 0, pages: new Map() };
      this.#inodes.set(entry.node, inode);
    }
    this.#update(inode, entry.attributes);
    return entry.node;
  }

  /** AUTO_INVAL_DATA: attributes with another size or mtime drop the pages. */
  #update(inode: KernelInode, attributes: Entry['attributes']): void {
    const mtime = `${attributes.mtimeSec}.${attributes.mtimeNsec}`;
    if (inode.size !== attributes.size || inode.mtime !== mtime) inode.pages.clear();
    inode.size = attributes.size;
    inode.mtime = mtime;
    inode.invalid = false;
  }

  /** The nodeid of a path, from dentries where they are there (`reval`: asked anew), or a negated errno. */
  async walk(path: string, reval = false): Promise<number> {
    let node: NodeId = 1;
    let at = '';
    for (const name of path.split('/').filter((part) => part !== '')) {
      at += `/${name}`;
      const known = reval ? undefined : this.#dentries.get(at);
      if (known !== undefined) {
        node = known;
        continue;
      }
      const entry = await this.#overlay.lookup(node, name);
      if (typeof entry === 'number') {
        this.#dentries.delete(at);
        return entry;
      }
      if (entry.node === 0) return -Errno.ENOENT;
      node = this.#remember(at, entry);
    }
    return node;
  }

  /** Runs an operation on a path's parent and name; ESTALE looks the parent up again, once. */
  async at<T>(path: string, operation: (parent: NodeId, name: string) => T | Promise<T>): Promise<T | number> {
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    for (const reval of [false, true]) {
      const parent = await this.walk(path.slice(0, cut), reval);
      if (parent < 0) return parent;
      const outcome = await operation(parent, name);
      if (outcome === -Errno.ESTALE && !reval) continue;
      return outcome;
    }
    return -Errno.ESTALE;
  }

  async create(path: string, flags: number): Promise<KernelFile | number> {
    const made = await this.at(path, (parent, name) => this.#overlay.create(parent, name, 0o644, 0, flags, CALLER));
    if (typeof made === 'number') return made;
    const node = this.#remember(path, made.entry);
    return this.#opened(node, flags, made.opened);
  }

  async open(path: string, flags: number): Promise<KernelFile | number> {
    for (const reval of [false, true]) {
      const node = await this.walk(path, reval);
      if (node < 0) return node;
      const opened = await this.#overlay.open(node, flags, false, CALLER);
      if (opened === -Errno.ESTALE && !reval) continue;
      if (typeof opened === 'number') return opened;
      const file = this.#opened(node, flags, opened);
      const inode = this.#inodes.get(node)!;
      if ((flags & fs.constants.O_TRUNC) !== 0) {
        inode.size = 0;
        inode.pages.clear();
      }
      if (inode.invalid) await this.getattr(node);
      return file;
    }
    return -Errno.ESTALE;
  }

  /** fuse_file_io_open(): which opens a kernel refuses. */
  #opened(node: NodeId, flags: number, opened: Opened): KernelFile {
    const inode = this.#inodes.get(node)!;
    let backingFd: number | undefined;
    if (opened.backingId !== 0) {
      const path = this.#backings.get(opened.backingId);
      if (path === undefined) throw new Error(`OPEN names backing ${opened.backingId}, which is not registered`);
      if (inode.cached > 0) throw new Error(`node ${node}: passthrough while open in the cached mode (EIO)`);
      if (inode.passthrough > 0 && inode.backing !== opened.backingId) {
        throw new Error(`node ${node}: a second backing file (EIO)`);
      }
      inode.passthrough++;
      inode.backing = opened.backingId;
      backingFd = fs.openSync(path, flags & ~(fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_TRUNC));
    } else {
      if (inode.passthrough > 0) throw new Error(`node ${node}: cached mode while in passthrough (EIO)`);
      inode.cached++;
      if (!opened.keepCache) inode.pages.clear();
    }
    return { node, handle: opened.handle, flags, backingFd, direct: opened.directIo };
  }

  async getattr(node: NodeId): Promise<Entry['attributes'] | number> {
    const reply = await this.#overlay.getattr(node, undefined);
    if (typeof reply === 'number') return reply;
    const inode = this.#inodes.get(node);
    if (inode !== undefined) this.#update(inode, reply.attributes);
    return reply.attributes;
  }

  async read(file: KernelFile, offset: number, size: number): Promise<Buffer | number> {
    if (file.backingFd !== undefined) {
      const buffer = Buffer.alloc(size);
      return buffer.subarray(0, fs.readSync(file.backingFd, buffer, 0, size, offset));
    }
    if (file.direct) return this.#readDirect(file, offset, size);
    const inode = this.#inodes.get(file.node)!;
    const end = Math.min(offset + size, inode.size);
    const parts: Buffer[] = [];
    for (let page = Math.floor(offset / PAGE); page * PAGE < end; page++) {
      let bytes = inode.pages.get(page);
      if (bytes === undefined) {
        const fetched = await this.#fetch(file, page);
        if (typeof fetched === 'number') return fetched;
        bytes = fetched;
        inode.pages.set(page, bytes);
      }
      const from = Math.max(0, offset - page * PAGE);
      parts.push(bytes.subarray(from, Math.min(PAGE, end - page * PAGE)));
    }
    return Buffer.concat(parts);
  }

  async #readDirect(file: KernelFile, offset: number, size: number): Promise<Buffer | number> {
    const into = Buffer.alloc(size);
    const outcome = await this.#overlay.read(file.node, file.handle, offset, size, into, CALLER);
    if (typeof outcome === 'number') return outcome < 0 ? outcome : into.subarray(0, outcome);
    const bytes = Buffer.from(outcome.bytes);
    outcome.release?.();
    return bytes;
  }

  async #fetch(file: KernelFile, page: number): Promise<Buffer | number> {
    const into = Buffer.alloc(PAGE);
    const outcome = await this.#overlay.read(file.node, file.handle, page * PAGE, PAGE, into, CALLER);
    if (typeof outcome === 'number') {
      if (outcome < 0) return outcome;
      into.fill(0, outcome);
      return into;
    }
    const bytes = Buffer.alloc(PAGE);
    bytes.set(outcome.bytes);
    outcome.release?.();
    return bytes;
  }

  async write(file: KernelFile, offset: number, data: Buffer): Promise<number> {
    const inode = this.#inodes.get(file.node)!;
    if (file.backingFd !== undefined) {
      const count = fs.writeSync(file.backingFd, data, 0, data.length, offset);
      inode.size = Math.max(inode.size, offset + count);
      return count;
    }
    const count = await this.#overlay.write(file.node, file.handle, offset, data, false, CALLER);
    if (count <= 0) return count;
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + count; page++) inode.pages.delete(page);
    inode.size = Math.max(inode.size, offset + count);
    return count;
  }

  close(file: KernelFile): void {
    const inode = this.#inodes.get(file.node)!;
    if (file.backingFd !== undefined) {
      fs.closeSync(file.backingFd);
      inode.passthrough--;
    } else inode.cached--;
    this.#overlay.release(file.node, file.handle);
  }

  unlink(path: string): Promise<number> {
    return this.at(path, (parent, name) => this.#overlay.unlink(parent, name)).then((r) => this.#gone(path, r));
  }

  rmdir(path: string): Promise<number> {
    return this.at(path, (parent, name) => this.#overlay.rmdir(parent, name)).then((r) => this.#gone(path, r));
  }

  #gone(path: string, outcome: number): number {
    if (outcome === 0) this.#dropDentries(path);
    return outcome;
  }

  #dropDentries(path: string): void {
    for (const known of [...this.#dentries.keys()]) {
      if (known === path || known.startsWith(`${path}/`)) this.#dentries.delete(known);
    }
  }

  async mkdir(path: string): Promise<number> {
    const made = await this.at(path, (parent, name) => this.#overlay.mkdir(parent, name, 0o755, 0, CALLER));
    if (typeof made === 'number') return made;
    this.#remember(path, made);
    return 0;
  }

  async link(path: string, newPath: string): Promise<number> {
    const node = await this.walk(path, true);
    if (node < 0) return node;
    const made = await this.at(newPath, (parent, name) => this.#overlay.link(node, parent, name));
    if (typeof made === 'number') return made;
    this.#remember(newPath, made);
    return 0;
  }

  async rename(path: string, newPath: string, flags: number): Promise<number> {
    const outcome = await this.at(path, (parent, name) =>
      this.at(newPath, (newParent, newName) => this.#overlay.rename(parent, name, newParent, newName, flags)),
    );
    if (outcome === 0) {
      this.#dropDentries(path);
      this.#dropDentries(newPath);
    }
    return outcome;
  }

  async truncate(path: string, size: number): Promise<number> {
    for (const again of [false, true]) {
      const node = await this.walk(path, true); // with a lease of 0 no dentry is believed
      if (node < 0) return node;
      const reply = await this.#overlay.setattr(node, { size }, undefined);
      if (reply === -Errno.ESTALE && !again) continue;
      if (typeof reply === 'number') return reply;
      const inode = this.#inodes.get(node)!;
      inode.pages.clear();
      this.#update(inode, reply.attributes);
      return 0;
    }
    return -Errno.ESTALE;
  }

  /** The names of a directory, sorted. */
  async list(path: string): Promise<string[] | number> {
    const node = await this.walk(path, true);
    if (node < 0) return node;
    const opened = await this.#overlay.opendir(node);
    if (typeof opened === 'number') return opened;
    const names: string[] = [];
    let offset = 0;
    for (;;) {
      let taken = 0;
      const outcome = await this.#overlay.readdir(node, opened.handle, offset, true, {
        add: (name, _ino, _type, next, entry) => {
          if (taken === 7) return false; // a small reply, so that offsets are used
          taken++;
          offset = next;
          if (name !== '.' && name !== '..') names.push(name);
          if (entry !== undefined) this.#remember(`${path}/${name}`, entry);
          return true;
        },
      });
      if (outcome !== 0) return outcome;
      if (taken === 0) break;
    }
    this.#overlay.releasedir(node, opened.handle);
    return names.sort();
  }

  /** Drops every page, as `echo 1 > /proc/sys/vm/drop_caches` does. */
  forgetPages(): void {
    for (const inode of this.#inodes.values()) inode.pages.clear();
  }

  /** Forgets every dentry, and with them every inode that nobody has open, as memory pressure does. */
  forgetAll(): void {
    this.#dentries.clear();
    for (const [node, count] of this.#lookups) {
      const inode = this.#inodes.get(node);
      if (inode !== undefined && inode.cached + inode.passthrough > 0) continue;
      this.#lookups.delete(node);
      this.#inodes.delete(node);
      this.#overlay.forget(node, count);
    }
  }
}
