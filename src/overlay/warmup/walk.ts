/**
 * From paths to the names of files: finds each beneath the root (held-directories.ts) and lists the directories below.
 * Listing goes ahead of whoever works through the names, so that the whole is soon known, but only so far: what is
 * remembered is bounded by NAMES_AHEAD and by what one directory has.
 */
import { isDirectory } from '../../store/attributes.ts';
import type { DirectoryEntry } from '../../store/store.ts';
import { Errno, type Failure, failed, type Outcome } from '../../sys/errno.ts';
import type { Core } from '../core.ts';
import type { NodeId } from '../filesystem.ts';
import type { Held } from '../held.ts';
import { HeldDirectories } from '../held-directories.ts';
import type { Turns } from '../slots.ts';

const DT_UNKNOWN = 0;
const DT_DIR = 4;
const DT_REG = 8;

const NAMES_AHEAD = 100_000;
/** Each takes a few trips, one after the other. */
const LISTINGS_AT_ONCE = 8;
/** Paths waiting to be resolved; whoever sends more is told to wait. */
export const PATHS_MOST = 4096;

/** Names in a directory; whoever takes them gives the directory back with `release`. */
export interface Names {
  directory: Held;
  names: readonly string[];
  /** Asked for by its path, and not found below one: that it is not there, or no file, is an error. */
  byPath: boolean;
}

interface Pending {
  directory: Held;
  /** Undefined: the directory itself. */
  name: string | undefined;
}

export interface WalkParts {
  core: Core;
  slots: Turns;
  forget: (node: NodeId) => void;
  /** What could not be found or listed. */
  trouble: (path: string, failure: Failure) => void;
  /** Names were found that are neither files nor directories. */
  skipped: (count: number) => void;
}

export class Walk {
  readonly #parts: WalkParts;
  readonly #paths: string[] = [];
  readonly #pending: Pending[] = [];
  readonly #queue: Names[] = [];
  readonly #directories: HeldDirectories;
  #namesAhead = 0;
  #underWay = 0;
  #complete = false;
  #stopped = false;
  #wake: (() => void) | undefined;
  /** Names handed to `#queue` so far. */
  found = 0;

  constructor(parts: WalkParts) {
    this.#parts = parts;
    // A warm-up is asked for after a change as often as not: the store is asked, whatever is known of names.
    const { core, slots: turns, forget } = parts;
    this.#directories = new HeldDirectories({ core, forget, turns, believing: false });
  }

  /** A path below the root, in latin1; false when too many wait. */
  add(path: string): boolean {
    if (this.#paths.length >= PATHS_MOST) return false;
    this.#paths.push(path);
    this.#go();
    return true;
  }

  /** No more paths will come. */
  end(): void {
    this.#complete = true;
    this.#wake?.();
  }

  /** A directory that was met among the names: what is in it comes later. Takes over the caller's hold. */
  enter(directory: Held): void {
    this.found--;
    if (this.#stopped) {
      directory.release();
      return;
    }
    this.#pending.push({ directory, name: undefined });
    this.#go();
  }

  /** Everything below the paths is known, except for names that turn out to be directories. */
  get finished(): boolean {
    return this.#complete && this.#idle;
  }

  get #idle(): boolean {
    return this.#underWay === 0 && this.#pending.length === 0 && this.#paths.length === 0;
  }

  /** The next names, when they are there; undefined when there are none, unless more paths or directories come. */
  async next(): Promise<Names | undefined> {
    for (;;) {
      const names = this.#stopped ? undefined : this.#queue.shift();
      if (names !== undefined) {
        this.#namesAhead -= names.names.length;
        this.#go();
        return names;
      }
      if (this.#stopped || this.finished) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Finds nothing more, and gives back what it holds. */
  stop(): void {
    this.#stopped = true;
    this.#paths.length = 0;
    for (const { directory } of this.#pending.splice(0)) directory.release();
    for (const { directory } of this.#queue.splice(0)) directory.release();
    this.#directories.stop();
    this.#wake?.();
  }

  #go(): void {
    while (!this.#stopped && this.#underWay < LISTINGS_AT_ONCE && this.#namesAhead < NAMES_AHEAD) {
      const pending = this.#pending.pop();
      const path = pending === undefined ? this.#paths.shift() : undefined;
      if (pending !== undefined) this.#do(this.#list(pending));
      else if (path !== undefined) this.#do(this.#resolve(path));
      else break;
    }
  }

  #do(work: Promise<void>): void {
    this.#underWay++;
    void work.finally(() => {
      this.#underWay--;
      this.#go();
      this.#wake?.();
    });
  }

  #found(names: Names): void {
    if (this.#stopped || names.names.length === 0) {
      names.directory.release();
      return;
    }
    this.#namesAhead += names.names.length;
    this.found += names.names.length;
    this.#queue.push(names);
    this.#wake?.();
  }

  /** What a name leads to, held for the caller. */
  find(directory: Held, name: string): Promise<Outcome<Held>> {
    return this.#directories.find(directory, name);
  }

  async #resolve(path: string): Promise<void> {
    const names = path.split('/').filter((name) => name !== '');
    const last = names.pop();
    const found = await this.#directories.directory(names.join('/'));
    if (failed(found)) {
      this.#parts.trouble(path, found);
      return;
    }
    const directory = found as Held;
    if (this.#stopped) directory.release();
    else if (last === undefined) this.#pending.push({ directory, name: undefined });
    else this.#found({ directory, names: [last], byPath: true });
  }

  /** Lists a directory: its files go to the queue, its directories wait for their turn. */
  async #list({ directory: parent, name }: Pending): Promise<void> {
    const directory = name === undefined ? parent : await this.#entered(parent, name);
    if (name !== undefined) parent.release();
    if (directory === undefined) return;
    const { core, slots, trouble, skipped } = this.#parts;
    const listed = await slots.run(0, () => core.store.list(directory.inode.node));
    if (failed(listed)) {
      if (listed !== -Errno.ENOENT || name === undefined) trouble(directory.inode.path(), listed);
      directory.release();
      return;
    }
    const files: string[] = [];
    let others = 0;
    for (const { name: entry, type } of core.shown(directory.inode, listed as DirectoryEntry[])) {
      if (type === DT_REG || type === DT_UNKNOWN) files.push(entry);
      else if (type !== DT_DIR) others++;
      else if (!this.#stopped) this.#pending.push({ directory: directory.retain(), name: entry });
    }
    if (others > 0) skipped(others);
    this.#found({ directory, names: files, byPath: false });
  }

  /** A directory below one that was listed; undefined when it has gone since, or is none any more. */
  async #entered(parent: Held, name: string): Promise<Held | undefined> {
    const found = this.#stopped ? -Errno.ENOENT : await this.find(parent, name);
    if (failed(found)) {
      if (found !== -Errno.ENOENT) this.#parts.trouble(pathOf(parent, name), found);
      return undefined;
    }
    const directory = found as Held;
    if (isDirectory(directory.inode.attributes.mode)) return directory;
    directory.release();
    return undefined;
  }
}

/** Below the root, in latin1. */
export function pathOf(directory: Held, name: string): string {
  const at = directory.inode.path();
  return at === '' ? name : `${at}/${name}`;
}
