/**
 * The source files that readers share: one descriptor an inode, opened at the first need.
 *
 * On an inline store it outlives its last reader (an LRU of idle descriptors): opening the same small file again, epoch
 * after epoch, then costs no system call, and a file that is replaced while open keeps its bytes as POSIX asks. On a
 * pooled store an idle descriptor is closed at once: it would keep state on a server.
 */
import type { Store, StoreFile } from '../store/store.ts';
import { failed, type Outcome, type Reply } from '../sys/errno.ts';
import { O_RDONLY } from '../sys/open-flags.ts';
import type { Inode } from './inode.ts';

/** Idle descriptors kept: more than the files of a directory that is read over and over, far below the limit of a process. */
const IDLE_MAX = 16_384;

export class SourceFiles {
  readonly #store: Store;
  readonly #idleMax: number;
  /** Insertion order is age: the first is the longest idle. */
  readonly #idle = new Set<Inode>();

  constructor(store: Store, idleMax = IDLE_MAX) {
    this.#store = store;
    this.#idleMax = store.speed === 'inline' ? idleMax : 0;
  }

  get idle(): number {
    return this.#idle.size;
  }

  /** Opens the file for one more reader; `release` gives the use back. ESTALE: its name leads to another file now. */
  acquire(inode: Inode): Reply<StoreFile> {
    const { source } = inode;
    if (source.file !== undefined) {
      source.users++;
      this.#idle.delete(inode);
      return source.file;
    }
    if (source.opening !== undefined) return this.#join(inode, source.opening);
    const opened = this.#store.open(inode.node, O_RDONLY);
    if (!(opened instanceof Promise)) return this.#opened(inode, opened);
    source.opening = opened.then((outcome) => {
      source.opening = undefined;
      if (!failed(outcome)) source.file = outcome as StoreFile;
      return outcome;
    });
    return this.#join(inode, source.opening);
  }

  release(inode: Inode): void {
    const { source } = inode;
    source.users--;
    if (source.users > 0 || source.file === undefined) return;
    // A fetch can outlast the last handle and the kernel's memory of the inode: nobody would open it again.
    if (this.#idleMax === 0 || inode.superseded || inode.unlinked || inode.removed) {
      this.drop(inode);
      return;
    }
    this.#idle.add(inode);
    if (this.#idle.size > this.#idleMax) {
      for (const oldest of this.#idle) {
        this.drop(oldest);
        break;
      }
    }
  }

  /** Closes the shared descriptor of an inode without users. */
  drop(inode: Inode): void {
    const { source } = inode;
    if (source.users > 0 || source.file === undefined) return;
    this.#idle.delete(inode);
    this.#store.close(source.file);
    source.file = undefined;
  }

  #opened(inode: Inode, outcome: Outcome<StoreFile>): Outcome<StoreFile> {
    if (failed(outcome)) return outcome;
    inode.source.file = outcome as StoreFile;
    inode.source.users++;
    return outcome;
  }

  async #join(inode: Inode, opening: Promise<Outcome<StoreFile>>): Promise<Outcome<StoreFile>> {
    inode.source.users++; // before the wait: whoever finishes first must not close it under the others
    const outcome = await opening;
    if (failed(outcome)) inode.source.users--;
    return outcome;
  }
}
