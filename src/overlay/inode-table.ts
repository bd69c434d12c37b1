/** Which nodeid is which file: the inodes the kernel knows, by nodeid and by the store's file id. */
import type { FileId, Found, Store, StoreNode } from '../store/store.ts';
import type { NodeId } from './filesystem.ts';
import { ROOT } from './filesystem.ts';
import { type ChangeListener, Inode } from './inode.ts';
import type { EncodedEntries } from './metadata-codec.ts';
import { BEFORE_MS } from './metadata-listing.ts';
import { type ToldInode, ToldInodes } from './told-inodes.ts';

export class InodeTable {
  readonly #store: Store;
  readonly #changes: ChangeListener | undefined;
  readonly #byNode = new Map<NodeId, Inode>();
  /** The current generation of each file. INVARIANT: none of them is superseded. */
  readonly #byFile = new Map<FileId, Inode>();
  /** INVARIANT: of a file there is an inode, or one that was told, not both. */
  readonly #told = new ToldInodes();
  #nextNode: NodeId = ROOT + 1;
  readonly root: Inode;

  /** `changes`: told of every change of an inode through this mount. */
  constructor(store: Store, nowMs: number, changes?: ChangeListener) {
    this.#store = store;
    this.#changes = changes;
    const { node, attributes, id } = store.root();
    this.root = new Inode(ROOT, node, attributes, store.version(attributes), nowMs, changes);
    this.root.lookups = 1; // the kernel never looks the root up, nor forgets it
    this.#byNode.set(ROOT, this.root);
    this.#byFile.set(id, this.root);
  }

  get size(): number {
    return this.#byNode.size + this.#told.size;
  }

  get(node: NodeId): Inode | undefined {
    return this.#byNode.get(node) ?? this.#make(this.#told.at(node));
  }

  /** An inode that was made; see told-inodes.ts. */
  made(node: NodeId): Inode | undefined {
    return this.#byNode.get(node);
  }

  /** As `current`, of those that were made. */
  madeOf({ id, birth }: Found): Inode | undefined {
    const inode = this.#byFile.get(id);
    return inode !== undefined && inode.node.birth === birth ? inode : undefined;
  }

  /** The nodeid for a file that is told with the names of a directory; undefined: it has an inode. Counts no lookup. */
  tell(parent: Inode, part: EncodedEntries, index: number, found: Found): ToldInode | undefined {
    if (this.#byFile.has(found.id)) return undefined;
    const before = this.#told.of(found.id);
    if (before !== undefined) return before.part.recorded(before.index).birth === found.birth ? before : undefined;
    const told: ToldInode = { nodeId: this.#nextNode++, parent, part, index, lookups: 0 };
    this.#told.add(told, found);
    return told;
  }

  /** Takes lookups from an inode that was told; false: it was made since, or never told. */
  forgetTold(node: NodeId, count: number): boolean {
    const told = this.#told.at(node);
    if (told === undefined) return false;
    told.lookups -= count;
    if (told.lookups <= 0) this.#told.remove(told);
    return true;
  }

  #make(told: ToldInode | undefined): Inode | undefined {
    if (told === undefined) return undefined;
    this.#told.remove(told);
    const { nodeId, parent, part, index, lookups } = told;
    const found = part.recorded(index);
    const node = this.#store.node(parent.node, part.entry(index).name, found);
    const inode = this.#put(nodeId, node, found, BEFORE_MS);
    inode.lookups = lookups;
    return inode;
  }

  /** The current generation of a file, where the kernel knows one. */
  current(found: Found): Inode | undefined {
    this.#make(this.#told.of(found.id));
    return this.madeOf(found);
  }

  /** Adds a generation for what was found at parent/name. Its lookup count starts at 0. */
  add(parent: Inode, name: string, found: Found, nowMs: number): Inode {
    return this.addNode(this.#store.node(parent.node, name, found), found, nowMs);
  }

  /** Adds a generation for a node the store made itself (a file without a name). */
  addNode(node: StoreNode, found: Found, nowMs: number): Inode {
    return this.#put(this.#nextNode++, node, found, nowMs);
  }

  #put(nodeId: NodeId, node: StoreNode, found: Found, nowMs: number): Inode {
    const version = this.#store.version(found.attributes);
    const inode = new Inode(nodeId, node, found.attributes, version, nowMs, this.#changes);
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
