/**
 * How the kernel looks after names while many processes use them: one dentry a name, a lock for each directory and file,
 * look-ups of names whose lease has ended without any lock, and inodes that are forgotten when nobody refers to them.
 * Beside it, what is true: since changes hold locks, each has one outcome.
 */
import assert from 'node:assert/strict';
import type { Entry, NodeId } from '../../src/overlay/filesystem.ts';
import type { Overlay } from '../../src/overlay/index.ts';
import { Errno } from '../../src/sys/errno.ts';

/** A reader-writer lock, first come, first served. */
export class Lock {
  #readers = 0;
  #writing = false;
  readonly #waiting: { exclusive: boolean; enter: () => void }[] = [];

  async shared<T>(body: () => Promise<T>): Promise<T> {
    await this.#enter(false);
    try {
      return await body();
    } finally {
      this.#readers--;
      this.#next();
    }
  }

  async exclusive<T>(body: () => Promise<T>): Promise<T> {
    await this.#enter(true);
    try {
      return await body();
    } finally {
      this.#writing = false;
      this.#next();
    }
  }

  #enter(exclusive: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ exclusive, enter: resolve });
      this.#next();
    });
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined && !this.#writing; first = this.#waiting[0]) {
      if (first.exclusive && this.#readers > 0) return;
      this.#waiting.shift();
      if (first.exclusive) this.#writing = true;
      else this.#readers++;
      first.enter();
    }
  }
}

export interface Dentry {
  parent: Thing;
  name: string;
  readonly node: NodeId;
  readonly thing: Thing;
}

/** A file or directory as it truly is. */
export class Thing {
  static #count = 0;
  readonly number: number = Thing.#count++;
  readonly lock = new Lock();
  readonly isDirectory: boolean;
  readonly names = new Map<string, Thing>();
  readonly dentries = new Map<string, Dentry>();
  /** Changes of each name that have begun or ended: odd while one is under way. */
  readonly #changes = new Map<string, number>();
  /** Changes of what is in it, or of its own links, that have begun or ended. */
  changes = 0;
  links = 1;
  /** What a file holds, once it was written. */
  content = '';
  written = false;

  constructor(isDirectory: boolean) {
    this.isDirectory = isDirectory;
  }

  /** Names whose change is under way. */
  get begun(): number {
    return [...this.#changes.values()].filter((count) => count % 2 !== 0).length;
  }

  changed(name: string): void {
    this.changes++;
    this.#changes.set(name, this.changesOf(name) + 1);
  }

  changesOf(name: string): number {
    return this.#changes.get(name) ?? 0;
  }
}

interface Known {
  lookups: number;
  /** Dentries, open files and calls under way. */
  holds: number;
  readonly thing: Thing;
}

export class KernelNames {
  readonly overlay: Overlay;
  readonly root = new Thing(true);
  readonly #known = new Map<NodeId, Known>();

  constructor(overlay: Overlay) {
    this.overlay = overlay;
    this.#known.set(1, { lookups: 1, holds: 1, thing: this.root });
  }

  hold(node: NodeId): void {
    this.#known.get(node)!.holds++;
  }

  drop(node: NodeId): void {
    const known = this.#known.get(node)!;
    known.holds--;
    if (known.holds === 0 && known.thing.links === 0) this.#forget(node, known);
  }

  /** The inodes that memory pressure may take. */
  get idle(): NodeId[] {
    // Names in use hold their directory.
    return [...this.#known].filter(([, one]) => one.holds === 0 && one.thing.dentries.size === 0).map(([node]) => node);
  }

  forget(node: NodeId): void {
    this.#forget(node, this.#known.get(node)!);
  }

  #forget(node: NodeId, { lookups }: Known): void {
    this.#known.delete(node);
    this.overlay.forget(node, lookups);
  }

  /** Takes in an entry: the lookup counts, and the name leads there from now on. Under the directory's lock. */
  enter(parent: Thing, name: string, entry: Entry, thing: Thing): Dentry {
    const known = this.#known.get(entry.node);
    if (known === undefined) this.#known.set(entry.node, { lookups: 1, holds: 0, thing });
    else {
      assert.equal(known.thing, thing, `node ${entry.node} stands for two files`);
      known.lookups++;
    }
    const before = parent.dentries.get(name);
    if (before?.node === entry.node) return before;
    if (before !== undefined) this.remove(before);
    this.hold(entry.node);
    const dentry = { parent, name, node: entry.node, thing };
    parent.dentries.set(name, dentry);
    return dentry;
  }

  remove(dentry: Dentry): void {
    const { parent, name, node } = dentry;
    if (parent.dentries.get(name) !== dentry) return;
    parent.dentries.delete(name);
    this.drop(node);
  }

  /** d_move; `other`: d_exchange. One that was taken out meanwhile stays out. */
  move(dentry: Dentry, parent: Thing, name: string, other?: Dentry): void {
    const moves: [Dentry, Thing, string][] = [[dentry, parent, name]];
    if (other !== undefined) moves.push([other, dentry.parent, dentry.name]);
    const there = moves.filter(([one]) => one.parent.dentries.get(one.name) === one);
    for (const [one] of there) one.parent.dentries.delete(one.name);
    for (const [one, to, as] of there) {
      one.parent = to;
      one.name = as;
      to.dentries.set(as, one);
    }
  }

  /** The dentry of a name, under a lock of its directory and held; undefined where there is none. */
  async find(parent: Thing, parentNode: NodeId, name: string): Promise<Dentry | undefined> {
    const known = this.known(parent, name);
    if (known !== undefined) return known;
    const thing = parent.names.get(name);
    const entry = await this.overlay.lookup(parentNode, name);
    if (thing === undefined) {
      assert.equal(entry, -Errno.ENOENT, `the look-up of ${name}, which is not there`);
      return undefined;
    }
    assert.ok(typeof entry === 'object', `the look-up of ${name}: ${String(entry)}`);
    const dentry = this.enter(parent, name, entry, thing);
    this.hold(dentry.node);
    return dentry;
  }

  /** The dentry that is there, held. */
  known(parent: Thing, name: string): Dentry | undefined {
    const dentry = parent.dentries.get(name);
    if (dentry !== undefined) this.hold(dentry.node);
    return dentry;
  }

  /** d_revalidate: without a lock. The dentry, which is held and is dropped, goes when the answer is another. */
  async revalidate(dentry: Dentry, parentNode: NodeId): Promise<void> {
    const { name, node } = dentry;
    const entry = await this.overlay.lookup(parentNode, name);
    const known = this.#known.get(node)!;
    if (typeof entry === 'object' && entry.node === node) known.lookups++;
    else {
      if (typeof entry === 'object') this.#giveBack(entry.node);
      else assert.equal(entry, -Errno.ENOENT, `the look-up of ${name}`);
      if (dentry.thing.dentries.size === 0) this.remove(dentry); // a directory with names in use stays for them
    }
    this.drop(node);
  }

  /** An answer that is not used: its one lookup is given back. */
  #giveBack(node: NodeId): void {
    this.overlay.forget(node, 1);
  }

  /** Drops every dentry and forgets every inode. Nothing must be under way. */
  forgetAll(): void {
    for (const directory of [...this.root.names.values(), this.root]) {
      for (const dentry of [...directory.dentries.values()]) this.remove(dentry);
    }
    for (const node of this.idle) this.forget(node);
    assert.deepEqual([...this.#known.keys()], [1], 'inodes the kernel still knows');
  }
}
