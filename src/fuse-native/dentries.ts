/**
 * From paths to nodes. libfuse names files by path, the file system by node: each path is walked name by name with
 * lookup, and what was found is remembered for as long as its entry may be believed.
 */
import type { Caller, Entry, FileSystem, HandleId, NodeId } from '../overlay/filesystem.ts';
import { ROOT } from '../overlay/filesystem.ts';
import { type Attributes, isDirectory } from '../store/attributes.ts';
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import { isWithin, placeOf } from './paths.ts';
import type { References } from './references.ts';

/** A remembered name. Holds its node, and its directory's so that no node outlives the one it was found in. */
interface Dentry {
  node: NodeId;
  parent: NodeId;
  directory: boolean;
  expiresAtMs: number;
}

export interface Located {
  /** Held for the caller, who releases it. */
  node: NodeId;
  /** When the last name was looked up just now. */
  attributes: Attributes | undefined;
  /** Of a file that has no name any more, and is known by an open handle only. */
  handle?: HandleId | undefined;
}

/** Some 300 bytes each. libfuse keeps a table of its own of every name the kernel knows, so a small one does here. */
const DENTRIES_MOST = 16_384;

export class Dentries {
  readonly #fileSystem: FileSystem;
  readonly #references: References;
  readonly #caller: Caller;
  readonly #most: number;
  /** By place, the least recently used first. */
  readonly #dentries = new Map<string, Dentry>();
  /** Counts removals: what was looked up before one may not be remembered after it. */
  #removals = 0;

  constructor(fileSystem: FileSystem, references: References, caller: Caller, most: number = DENTRIES_MOST) {
    this.#fileSystem = fileSystem;
    this.#references = references;
    this.#caller = caller;
    this.#most = most;
  }

  get size(): number {
    return this.#dentries.size;
  }

  /** ESTALE: a node on the way is gone; after `forgetAlong` another walk may succeed. */
  async walk(names: readonly string[]): Promise<Outcome<Located>> {
    let located: Located = { node: ROOT, attributes: undefined };
    let place = '';
    for (const name of names) {
      const directory = located.node;
      place += `/${name}`;
      const next = this.#known(place, directory) ?? (await this.#lookup(directory, name, place));
      this.#references.release(directory);
      if (failed(next)) return next;
      located = next;
    }
    return located;
  }

  /** Remembers an entry of a creation, whose lookup is taken over. The caller holds its node. */
  created(parent: NodeId, place: string, entry: Entry): void {
    this.#references.adopt(entry.node);
    this.#remember(place, parent, entry);
  }

  /** Drops one place. What is remembered beneath it counts no more once another node is there (see `#known`). */
  forget(place: string): void {
    this.#removals++;
    this.#drop(place);
  }

  /** Drops two places, between which something moved, and what is beneath them. */
  moved(from: string, to: string): void {
    const directory = this.#dentries.get(from)?.directory ?? true;
    this.forget(from);
    this.forget(to);
    if (!directory) return;
    for (const place of [...this.#dentries.keys()]) {
      if (isWithin(place, from) || isWithin(place, to)) this.#drop(place);
    }
  }

  /** Drops every name of a path. */
  forgetAlong(names: readonly string[]): void {
    this.#removals++;
    for (let length = 1; length <= names.length; length++) this.#drop(placeOf(names.slice(0, length)));
  }

  /** Drops a name by its directory's node. */
  forgetName(parent: NodeId, name: string): void {
    for (const [place, dentry] of [...this.#dentries]) {
      if (dentry.parent === parent && place.endsWith(`/${name}`)) this.forget(place);
    }
  }

  clear(): void {
    this.#removals++;
    for (const place of [...this.#dentries.keys()]) this.#drop(place);
  }

  /** INVARIANT: what is remembered counts only in the directory in which it was found. */
  #known(place: string, directory: NodeId): Located | undefined {
    const dentry = this.#dentries.get(place);
    if (dentry === undefined || dentry.parent !== directory || dentry.expiresAtMs <= performance.now())
      return undefined;
    this.#dentries.delete(place);
    this.#dentries.set(place, dentry);
    this.#references.hold(dentry.node);
    return { node: dentry.node, attributes: undefined };
  }

  async #lookup(directory: NodeId, name: string, place: string): Promise<Outcome<Located>> {
    const removals = this.#removals;
    const entry = await this.#fileSystem.lookup(directory, name, this.#caller);
    if (failed(entry) || entry.node === 0) {
      this.#drop(place);
      return failed(entry) ? entry : -Errno.ENOENT;
    }
    this.#references.adopt(entry.node);
    if (removals === this.#removals) this.#remember(place, directory, entry);
    return { node: entry.node, attributes: entry.attributes };
  }

  #remember(place: string, parent: NodeId, entry: Entry): void {
    // First the new, then the old one: they may be the same node, which must not be forgotten in between.
    this.#references.hold(entry.node);
    this.#references.hold(parent);
    this.#drop(place);
    const directory = isDirectory(entry.attributes.mode);
    const expiresAtMs = performance.now() + entry.entryTtlMs;
    this.#dentries.set(place, { node: entry.node, parent, directory, expiresAtMs });
    if (this.#dentries.size <= this.#most) return;
    for (const oldest of this.#dentries.keys()) {
      this.#drop(oldest);
      break;
    }
  }

  #drop(place: string): void {
    const dentry = this.#dentries.get(place);
    if (dentry === undefined) return;
    this.#dentries.delete(place);
    this.#references.release(dentry.node);
    this.#references.release(dentry.parent);
  }
}
