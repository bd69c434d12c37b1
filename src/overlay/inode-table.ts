/** Which nodeid is which file: the inodes the kernel knows, by nodeid and by the store's file id. */
import type { FileId, Found, Store, StoreNode } from '../store/store.ts';
import type { NodeId } from './filesystem.ts';
import { ROOT } from './filesystem.ts';
import { Inode } from './inode.ts';

export class InodeTable {
  readonly #store: Store;
  readonly #byNode = new Map<NodeId, Inode>();
  /** The current generation of each file. INVARIANT: none of them is superseded. */
  readonly #byFile = new Map<FileId, Inode>();
  #nextNode: NodeId = ROOT + 1;
  readonly root: Inode;

  constructor(store: Store, nowMs: number) {
    this.#store = store;
    const { node, attributes, id } = store.root();
    this.root = new Inode(ROOT, node, attributes, store.version(attributes), nowMs);
    this.root.lookups = 1; // the kernel never looks the root up, nor forgets it
    this.#byNode.set(ROOT, this.root);
    this.#byFile.set(id, this.root);
  }

  get size(): number {
    return this.#byNode.size;
  }

  get(node: NodeId): Inode | undefined {
    return this.#byNode.get(node);
  }

  /** The current generation of a file, where the kernel knows one. */
  current(found: Found): Inode | undefined {
    const inode = this.#byFile.get(found.id);
    return inode !== undefined && inode.node.birth === found.birth ? inode : undefined;
  }

  /** Adds a generation for what was found at parent/name. Its lookup count starts at 0. */
  add(parent: Inode, name: string, found: Found, nowMs: number): Inode {
    return this.addNode(this.#store.node(parent.node, name, found), found, nowMs);
  }

  /** Adds a generation for a node the store made itself (a file without a name). */
  addNode(node: StoreNode, found: Found, nowMs: number): Inode {
    const version = this.#store.version(found.attributes);
    const inode = new Inode(this.#nextNode++, node, found.attributes, version, nowMs);
    this.#byNode.set(inode.nodeId, inode);
    const before = this.#byFile.get(found.id);
    if (before !== undefined) before.superseded = true; // an id reused for another file
    this.#byFile.set(found.id, inode);
    return inode;
  }

  /** Ends a generation: the next lookup of the file gets a new nodeid. */
  supersede(inode: Inode): void {
    inode.superseded = true;
    if (this.#byFile.get(inode.node.id) === inode) this.#byFile.delete(inode.node.id);
  }

  /** Removes an inode the kernel has forgotten. The caller releases what it holds. */
  remove(inode: Inode): void {
    inode.removed = true;
    this.#byNode.delete(inode.nodeId);
    if (this.#byFile.get(inode.node.id) === inode) this.#byFile.delete(inode.node.id);
    this.#store.release(inode.node);
  }

  *[Symbol.iterator](): IterableIterator<Inode> {
    yield* this.#byNode.values();
  }

  /** Throws when an invariant of this table does not hold; for tests. */
  checkInvariants(): void {
    for (const [id, inode] of this.#byFile) {
      if (inode.superseded) throw new Error(`file ${id}: its current generation ${inode.nodeId} is superseded`);
      if (this.#byNode.get(inode.nodeId) !== inode) throw new Error(`file ${id}: nodeid ${inode.nodeId} is unknown`);
    }
    for (const inode of this.#byNode.values()) {
      if (inode.lookups <= 0 && inode.opens === 0) throw new Error(`nodeid ${inode.nodeId} is kept without a lookup`);
      if (inode.cachedOpens > 0 && inode.passthroughOpens > 0) {
        throw new Error(`nodeid ${inode.nodeId} is open in two I/O modes`);
      }
    }
  }
}
