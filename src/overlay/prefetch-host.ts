/** What prefetching needs of the mount: files and directories by their paths, and bytes brought as for a reader. */
import type { Cache } from '../cache/cache.ts';
import type { FillOptions, HeldFile, Names, PrefetchHost, StoreUse } from '../prefetch/host.ts';
import type { ReadFile } from '../prefetch/order.ts';
import { isDirectory, isRegular, isSymlink } from '../store/attributes.ts';
import type { DirectoryEntry } from '../store/store.ts';
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import { bring } from './bring.ts';
import type { Core } from './core.ts';
import type { NodeId } from './filesystem.ts';
import { Held } from './held.ts';
import { HeldDirectories, splitPath } from './held-directories.ts';
import type { Inode } from './inode.ts';

const DT_DIR = 4;
const DT_REG = 8;
/** Of one file, side by side. */
const PIECES_AT_ONCE = 4;

export class OverlayPrefetchHost implements PrefetchHost {
  readonly #core: Core;
  readonly #cache: Cache;
  readonly #forget: (node: NodeId) => void;
  readonly #directories: HeldDirectories;

  constructor(core: Core, cache: Cache, forget: (node: NodeId) => void) {
    this.#core = core;
    this.#cache = cache;
    this.#forget = forget;
    this.#directories = new HeldDirectories({ core, forget, believing: true });
  }

  nowMs(): number {
    return this.#core.nowMs();
  }

  capacityBytes(): number {
    return this.#cache.sizeBytes();
  }

  freeBytes(): number {
    return this.#cache.freeBytes();
  }

  claim(bytes: number): void {
    this.#cache.claim(bytes);
  }

  keeps(fileKey: string): boolean {
    return this.#cache.keeps(fileKey);
  }

  async drop(fileKey: string): Promise<number> {
    const inode = this.#core.inodes.awakeOf(fileKey);
    if (inode !== undefined && (inode.opens > 0 || inode.source.users > 0)) return 0;
    if (!this.#cache.keeps(fileKey)) return -Errno.ENOENT;
    if (inode !== undefined) this.#core.dropContent(inode); // what the kernel still has registered, too
    return this.#cache.give(fileKey);
  }

  defect(error: unknown): void {
    this.#core.log.error({ error: String(error) }, 'a defect: bringing data before it is read has failed');
  }

  use(): StoreUse {
    return this.#core.store.counts();
  }

  async hold(file: string | ReadFile): Promise<Outcome<HeldFile>> {
    if (typeof file !== 'string') {
      const inode = this.#core.inodes.awake(file.nodeId);
      return inode === undefined ? -Errno.ESTALE : this.#heldFile(new Held(inode, undefined, this.#forget));
    }
    const { directory: path, name } = splitPath(file);
    const directory = await this.#directories.directory(path);
    if (failed(directory)) return directory;
    const found = await this.#directories.find(directory as Held, name);
    (directory as Held).release();
    if (!failed(found)) return this.#heldFile(found as Held);
    this.#directories.doubt(path);
    return found;
  }

  #heldFile(held: Held): Outcome<HeldFile> {
    const { inode } = held;
    const { mode } = inode.attributes;
    if (isRegular(mode)) {
      if (!this.#cache.refuses(inode.fileKey, inode)) return new HeldInode(this.#core, this.#cache, held);
      held.release();
      return -Errno.EPERM;
    }
    held.release();
    return isDirectory(mode) ? -Errno.EISDIR : isSymlink(mode) ? -Errno.ELOOP : -Errno.EINVAL;
  }

  async list(path: string): Promise<Outcome<Names>> {
    const found = await this.#directories.directory(path);
    if (failed(found)) return found;
    const directory = found as Held;
    const { inode } = directory;
    const { metadata, store } = this.#core;
    const listed = await (metadata?.namesAhead(inode) ?? store.list(inode.node));
    directory.release();
    if (failed(listed)) return listed;
    const names = { files: [] as string[], directories: [] as string[] };
    for (const { name, type } of this.#core.shown(inode, listed as DirectoryEntry[])) {
      // One whose type the store does not tell is taken for a file; looking it up will tell.
      if (type === DT_DIR) names.directories.push(name);
      else if (type === DT_REG || type === 0) names.files.push(name);
    }
    return names;
  }

  /** Nothing is held any more. */
  stop(): void {
    this.#directories.stop();
  }
}

class HeldInode implements HeldFile {
  readonly #core: Core;
  readonly #cache: Cache;
  readonly #held: Held;

  constructor(core: Core, cache: Cache, held: Held) {
    this.#core = core;
    this.#cache = cache;
    this.#held = held;
  }

  get #inode(): Inode {
    return this.#held.inode;
  }

  get fileKey(): string {
    return this.#inode.fileKey;
  }

  get size(): number {
    return this.#inode.attributes.size;
  }

  get opens(): number {
    return this.#inode.opens;
  }

  missingBytes(offset: number, length: number): number {
    const { content } = this.#inode;
    const ofFile = this.size - this.#cache.presentBytes(this.#inode.contentKey());
    if (ofFile === 0 || content === undefined || content.stale) return Math.min(length, ofFile);
    return content.missingBytes(offset, length);
  }

  fill(offset: number, length: number, options?: FillOptions): Promise<Outcome<number>> {
    const inode = this.#inode;
    const reader = { path: () => inode.path(), ahead: true };
    const how = { offset, length, reader, piecesAtOnce: PIECES_AT_ONCE, ...options };
    return bring(this.#core, this.#cache, inode, how);
  }

  release(): void {
    this.#held.release();
  }
}
