/** The directories that files were opened in, with what was read in each: data sets are made of them (data-set-roots.ts). */
import type { DataSet } from './data-set-epochs.ts';

/** Beyond that a directory counts as part of the nearest one above it that is known. */
const DIRECTORIES_MOST = 65_536;

export class Directory {
  /** Below the mount's root, '' for the root; a byte string. */
  readonly path: string;
  readonly parent: Directory | undefined;
  readonly depth: number;
  /** Its place among all that are known. */
  readonly index: number;
  readonly children: Directory[] = [];
  set: DataSet;

  /** Files directly in it that were opened, and their bytes. */
  files = 0;
  bytes = 0;
  opens = 0;
  reads = 0;
  readBytes = 0;
  hits = 0;
  hitBytes = 0;
  waitMs = 0;
  betweenMs = 0;
  /** How often a reader that had been elsewhere opened a file in it or below it. */
  entries = 0;
  /** Which processes and jobs opened files directly in it, a bit each: lately, and before that. */
  processes = 0;
  jobs = 0;
  olderProcesses = 0;
  olderJobs = 0;
  /** The name extension (hashed) that most of its files have, as a majority vote (Boyer and Moore). */
  kind = 0;
  kindVotes = 0;

  constructor(path: string, parent: Directory | undefined, index: number, set: DataSet) {
    this.path = path;
    this.index = index;
    this.parent = parent;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.set = set;
  }

  /** Votes for a kind of file. */
  vote(kind: number): void {
    if (this.kindVotes === 0) this.kind = kind;
    this.kindVotes += this.kind === kind ? 1 : -1;
  }
}

export class DirectoryTree {
  readonly root: Directory;
  /** Parents before their children. */
  readonly all: Directory[];
  readonly #byPath = new Map<string, Directory>();

  constructor(set: DataSet) {
    this.root = new Directory('', undefined, 0, set);
    this.all = [this.root];
    this.#byPath.set('', this.root);
  }

  /** The directory of that path, which with those above it becomes known. */
  of(path: string): Directory {
    const known = this.#byPath.get(path);
    if (known !== undefined) return known;
    let at = this.root;
    for (let end = path.indexOf('/'); ; end = path.indexOf('/', end + 1)) {
      const prefix = end < 0 ? path : path.slice(0, end);
      const next = this.#byPath.get(prefix) ?? this.#add(prefix, at);
      if (next === undefined) return at;
      at = next;
      if (end < 0) return at;
    }
  }

  #add(path: string, parent: Directory): Directory | undefined {
    if (this.all.length >= DIRECTORIES_MOST) return undefined;
    const directory = new Directory(path, parent, this.all.length, parent.set);
    parent.children.push(directory);
    this.all.push(directory);
    this.#byPath.set(path, directory);
    return directory;
  }
}

/** Counts that a reader which was in `from` opened a file in `to`: every directory it came into by that was entered. */
export function enter(from: Directory | undefined, to: Directory): void {
  let left = from;
  let entered: Directory | undefined = to;
  while (left !== entered && entered !== undefined) {
    if (left !== undefined && left.depth > entered.depth) {
      left = left.parent;
    } else {
      if (left !== undefined && left.depth === entered.depth) left = left.parent;
      entered.entries++;
      entered = entered.parent;
    }
  }
}
