/**
 * Directories by their paths, a name at a time beneath the root and without following symbolic links, for work that is sent
 * paths: many files of one directory follow each other, so those used last stay held.
 */
import { isDirectory, isSymlink } from '../store/attributes.ts';
import type { Found } from '../store/store.ts';
import { Errno, failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { NodeId } from './filesystem.ts';
import { Held } from './held.ts';
import type { Turns } from './slots.ts';

/** A data set is read in all of its directories at once. */
const KEPT_MOST = 4096;

export interface HeldDirectoriesParts {
  core: Core;
  forget: (node: NodeId) => void;
  /** What is known of names within the lease will do. Else the store is asked of each: who changed it would not wait for that. */
  believing: boolean;
  /** Undefined: the store is asked at once. */
  turns?: Turns;
}

export class HeldDirectories {
  readonly #parts: HeldDirectoriesParts;
  /** By path; used last at the end. */
  readonly #kept = new Map<string, Held>();
  #stopped = false;

  constructor(parts: HeldDirectoriesParts) {
    this.#parts = parts;
  }

  /** A directory by its path, '' for the root; held for the caller. */
  async directory(path: string): Promise<Outcome<Held>> {
    const kept = this.#keptAt(path);
    if (kept !== undefined) return kept;
    const { core, forget } = this.#parts;
    if (path === '') return new Held(core.inodes.root, undefined, forget);
    const { directory: above, name } = splitPath(path);
    const parent = await this.directory(above);
    if (failed(parent)) return parent;
    const found = await this.find(parent as Held, name);
    (parent as Held).release();
    if (failed(found)) return found;
    const held = found as Held;
    const { mode } = held.inode.attributes;
    if (isDirectory(mode)) return this.#keep(path, held);
    held.release();
    return isSymlink(mode) ? -Errno.ELOOP : -Errno.ENOTDIR;
  }

  /** What a name leads to; held for the caller. */
  async find(directory: Held, name: string): Promise<Outcome<Held>> {
    const { core, turns, believing, forget } = this.#parts;
    const { inode } = directory;
    const known = believing ? await core.metadata?.findAhead(inode, name) : undefined;
    if (known !== undefined) {
      return new Held(core.internAhead(inode, name, known.found, known.askedMs), directory, forget);
    }
    let askedMs = 0;
    const ask = (): Reply<Found> => {
      askedMs = core.nowMs();
      return core.store.lookup(inode.node, name);
    };
    const found = await (turns === undefined ? ask() : turns.run(0, ask));
    if (failed(found)) return found;
    return new Held(core.internAhead(inode, name, found as Found, askedMs), directory, forget);
  }

  /** A name was not where it should be: the directory's path may lead to another by now. */
  doubt(path: string): void {
    this.#kept.get(path)?.release();
    this.#kept.delete(path);
  }

  /** Nothing is held any more, nor will be. */
  stop(): void {
    this.#stopped = true;
    for (const held of this.#kept.values()) held.release();
    this.#kept.clear();
  }

  #keptAt(path: string): Held | undefined {
    const held = this.#kept.get(path);
    if (held === undefined) return undefined;
    this.#kept.delete(path);
    const { inode } = held;
    if (inode.superseded || inode.removed || inode.unlinked || inode.path() !== path) {
      held.release();
      return undefined;
    }
    this.#kept.set(path, held);
    return held.retain();
  }

  #keep(path: string, held: Held): Held {
    const other = this.#kept.get(path);
    if (other !== undefined) {
      held.release(); // another was quicker
      return other.retain();
    }
    if (this.#stopped) return held;
    this.#kept.set(path, held.retain());
    if (this.#kept.size > KEPT_MOST) {
      const [oldest] = this.#kept.keys();
      this.doubt(oldest!);
    }
    return held;
  }
}

/** The path of the directory, '' for the root, and the name in it. */
export function splitPath(path: string): { directory: string; name: string } {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? { directory: '', name: path } : { directory: path.slice(0, slash), name: path.slice(slash + 1) };
}
