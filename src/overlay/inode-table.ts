/**
 * Which nodeid is which file: the inodes the kernel knows, by nodeid and by the store's file id.
 *
 * INVARIANT: of a file there is one of: an inode awake, one at rest (resting.ts), one that was told (told-inodes.ts).
 *
 * When there are more awake than a bound, those that nobody uses are put to rest, but for those that were asked for again
 * since they were last looked at; they awake when they are asked for. An inode is put to rest only when everything has ended
 * that may have hold of it: what was under way when it was asked for last (grace.ts), handles, and what it says itself
 * (`Inode.atRest`). Whoever keeps one beyond an operation counts among its `holders`. Directories never rest.
 */
import type { FileId, Found, Store, StoreNode } from '../store/store.ts';
import type { NodeId } from './filesystem.ts';
import { ROOT } from './filesystem.ts';
import { Grace } from './grace.ts';
import { type ChangeListener, Inode } from './inode.ts';
import type { EncodedEntries } from './metadata-codec.ts';
import { BEFORE_MS } from './metadata-listing.ts';
import { RestingInodes } from './resting.ts';
import { type ToldInode, ToldInodes } from './told-inodes.ts';

/** Inodes awake beyond which others go to rest: some 20 MB. */
const AWAKE_MOST = 16_384;
/** Put to rest in one turn of the loop: less than 2 ms. */
const SLICE = 256;
/** Looked at in one turn: 0.1 to 0.6 ms where none of them rests. */
const LOOKS = 2048;
/** Slices in a row of which none could be put to rest, two of which eras take; and the wait after more, at first and at most. */
const FRUITLESS_MOST = 4;
const AGAIN_MS = 10;
const AGAIN_MOST_MS = 500;

export interface InodeTableOptions {
  /** Inodes that are kept as objects; of more, those nobody uses are packed. */
  awakeMost?: number | undefined;
  /** Told of every change of an inode through this mount. */
  changes?: ChangeListener | undefined;
}

export class InodeTable {
  /** Who operates on inodes tells it. */
  readonly grace = new Grace();
  readonly #store: Store;
  readonly #changes: ChangeListener | undefined;
  readonly #awakeMost: number;
  readonly #told = new ToldInodes();
  readonly #resting: RestingInodes;
  /** Those awake. */
  readonly #byNode = new Map<NodeId, Inode>();
  /** The same in a row that is gone through over and over (CLOCK: Corbato, 1968), and where it is gone on with. */
  readonly #clock: Inode[] = [];
  #hand = 0;
  /** Of those awake, the current generation of each file. INVARIANT: none of them is superseded. */
  readonly #byFile = new Map<FileId, Inode>();
  #nextNode: NodeId = ROOT + 1;
  #resters: NodeJS.Immediate | NodeJS.Timeout | undefined;
  #fruitless = 0;
  readonly root: Inode;

  constructor(store: Store, nowMs: number, { awakeMost = AWAKE_MOST, changes }: InodeTableOptions = {}) {
    this.#store = store;
    this.#changes = changes;
    this.#awakeMost = awakeMost;
    this.#resting = new RestingInodes(store, changes);
    const { node, attributes, id } = store.root();
    this.root = new Inode(ROOT, node, attributes, store.version(attributes), nowMs, changes);
    this.root.lookups = 1; // the kernel never looks the root up, nor forgets it
    this.#byNode.set(ROOT, this.root); // and not in the row: it never rests
    this.#byFile.set(id, this.root);
  }

  get size(): number {
    return this.#byNode.size + this.#resting.size + this.#told.size;
  }

  /** At rest, and the memory that takes in bytes. */
  get resting(): { inodes: number; bytes: number } {
    return { inodes: this.#resting.size, bytes: this.#resting.bytes };
  }

  get(node: NodeId): Inode | undefined {
    return this.#used(
      this.#byNode.get(node) ?? this.#awake(this.#resting.wake(node)) ?? this.#make(this.#told.at(node)),
    );
  }

  /** One that is awake; it does not count as asked for. */
  awake(node: NodeId): Inode | undefined {
    return this.#byNode.get(node);
  }

  /** The current generation of a file, by its key, if it is awake; it does not count as asked for. */
  awakeOf(fileKey: string): Inode | undefined {
    const number = Number(fileKey);
    return this.#byFile.get(fileKey) ?? (Number.isNaN(number) ? undefined : this.#byFile.get(number));
  }

  /** The current generation of a file, where the kernel knows one. */
  current(found: Found): Inode | undefined {
    this.#make(this.#told.of(found.id));
    return this.madeOf(found);
  }

  /** As `current`, of those that were made. */
  madeOf({ id, birth }: Found): Inode | undefined {
    const inode = this.#generation(id);
    return inode !== undefined && inode.node.birth === birth ? inode : undefined;
  }

  #generation(id: FileId): Inode | undefined {
    return this.#used(this.#byFile.get(id) ?? this.#awake(this.#resting.wakeFile(id)));
  }

  #used(inode: Inode | undefined): Inode | undefined {
    if (inode !== undefined) inode.usedIn = this.grace.era;
    return inode;
  }

  // --- told ----------------------------------------------------------------------------------------------------------

  /** The nodeid for a file that is told with the names of a directory; undefined: it has an inode. Counts no lookup. */
  tell(parent: Inode, part: EncodedEntries, index: number, found: Found): ToldInode | undefined {
    if (this.#byFile.has(found.id) || this.#resting.has(found.id)) return undefined;
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

  // --- awake ---------------------------------------------------------------------------------------------------------

  /** Adds a generation for what was found at parent/name. Its lookup count starts at 0. */
  add(parent: Inode, name: string, found: Found, nowMs: number): Inode {
    return this.addNode(this.#store.node(parent.node, name, found), found, nowMs);
  }

  /** Adds a generation for a node the store made itself (a file without a name). */
  addNode(node: StoreNode, found: Found, nowMs: number): Inode {
    this.#make(this.#told.of(found.id));
    return this.#put(this.#nextNode++, node, found, nowMs);
  }

  #put(nodeId: NodeId, node: StoreNode, found: Found, nowMs: number): Inode {
    const before = this.#generation(found.id);
    if (before !== undefined) before.superseded = true; // an id reused for another file
    const version = this.#store.version(found.attributes);
    const inode = new Inode(nodeId, node, found.attributes, version, nowMs, this.#changes);
    inode.usedIn = this.grace.era;
    return this.#awake(inode)!;
  }

  #awake(inode: Inode | undefined): Inode | undefined {
    if (inode === undefined) return undefined;
    this.#byNode.set(inode.nodeId, inode);
    this.#byFile.set(inode.node.id, inode);
    inode.lookedAtIn = this.grace.era;
    inode.atClock = this.#clock.length;
    this.#clock.push(inode);
    if (this.#clock.length > this.#awakeMost) this.#resters ??= setImmediate(this.#rest);
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
    this.#takeOut(inode);
    if (this.#byFile.get(inode.node.id) === inode) this.#byFile.delete(inode.node.id);
    this.#store.release(inode.node);
  }

  /** Those awake: the others hold nothing. */
  *[Symbol.iterator](): IterableIterator<Inode> {
    yield* this.#byNode.values();
  }

  // --- at rest -------------------------------------------------------------------------------------------------------

  /** Puts some to rest. Who is in use, or may be, is passed over and comes to the end. */
  readonly #rest = (): void => {
    this.#resters = undefined;
    this.grace.advance();
    let rested = 0;
    let again = false;
    let left = Math.min(LOOKS, this.#clock.length);
    for (; left > 0 && rested < SLICE && this.#clock.length > this.#awakeMost; left--) {
      if (this.#hand >= this.#clock.length) this.#hand = 0;
      const inode = this.#clock[this.#hand]!;
      const asked = inode.usedIn > inode.lookedAtIn;
      inode.lookedAtIn = this.grace.era;
      again ||= asked;
      if (!asked && this.#putToRest(inode)) rested++;
      else this.#hand++;
    }
    if (this.#clock.length <= this.#awakeMost) return;
    // Who was asked for again can rest the next time: the hand has to come round faster than others are asked for.
    this.#fruitless = rested > 0 ? 0 : again ? FRUITLESS_MOST : this.#fruitless + 1;
    const more = this.#fruitless - FRUITLESS_MOST;
    if (more < 0) this.#resters = setImmediate(this.#rest);
    else this.#resters = setTimeout(this.#rest, Math.min(AGAIN_MS * 2 ** more, AGAIN_MOST_MS)).unref();
  };

  #putToRest(inode: Inode): boolean {
    if (!this.grace.over(inode.usedIn) || !this.#resting.take(inode)) return false;
    this.#byNode.delete(inode.nodeId);
    this.#byFile.delete(inode.node.id);
    this.#takeOut(inode);
    return true;
  }

  #takeOut({ atClock }: Inode): void {
    const last = this.#clock.pop()!;
    if (atClock === this.#clock.length) return;
    this.#clock[atClock] = last;
    last.atClock = atClock;
  }

  /** The kernel forgets lookups of an inode at rest; false: it is awake, or has to be for that. */
  forgetResting(node: NodeId, count: number): boolean {
    return this.#resting.forget(node, count);
  }

  /** Nothing is put to rest any more. */
  stop(): void {
    clearImmediate(this.#resters as NodeJS.Immediate);
    clearTimeout(this.#resters as NodeJS.Timeout);
  }

  /** Throws when an invariant of this table does not hold; for tests. */
  checkInvariants(): void {
    for (const [id, inode] of this.#byFile) {
      if (inode.superseded) throw new Error(`file ${id}: its current generation ${inode.nodeId} is superseded`);
      if (this.#byNode.get(inode.nodeId) !== inode) throw new Error(`file ${id}: nodeid ${inode.nodeId} is unknown`);
      if (this.#resting.has(id)) throw new Error(`file ${id}: its inode ${inode.nodeId} is awake, and one rests`);
    }
    for (const id of this.#told.files()) {
      if (this.#byFile.has(id)) throw new Error(`file ${id}: one inode was told, and one is awake`);
      if (this.#resting.has(id)) throw new Error(`file ${id}: one inode was told, and one rests`);
    }
    for (const inode of this.#byNode.values()) {
      if (inode.lookups <= 0 && inode.opens === 0) throw new Error(`nodeid ${inode.nodeId} is kept without a lookup`);
      if (inode.cachedOpens > 0 && inode.passthroughOpens > 0) {
        throw new Error(`nodeid ${inode.nodeId} is open in two I/O modes`);
      }
    }
  }
}
