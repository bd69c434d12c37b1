/**
 * Inodes at rest: those the kernel knows and nobody uses, each as a record of some 210 bytes, where the objects took 1,300.
 * A walk over a million files leaves a million of them.
 */
import { hashOf, hashOfNumber } from '../packed/hash.ts';
import { Links, SharedLinks } from '../packed/links.ts';
import { RecordIndex } from '../packed/record-index.ts';
import { Records } from '../packed/records.ts';
import { Texts } from '../packed/texts.ts';
import { unboxed } from '../packed/whole.ts';
import type { Attributes } from '../store/attributes.ts';
import type { FileId, Store, StoreNode } from '../store/store.ts';
import type { NodeId } from './filesystem.ts';
import { type ChangeListener, Inode } from './inode.ts';
import { NodeRecords } from './node-records.ts';

// Places in a record, as 64-bit numbers ...
const NODE = 0;
const INO = 1;
const SIZE = 2;
const BLOCKS = 3;
const ATIME = 4;
const MTIME = 5;
const CTIME = 6;
const BTIME = 7;
const ATTRIBUTES_AT = 8;
const VALIDATED_AT = 9;
const TOUCHED_AT = 10;
const SAID_SIZE = 11;
/** The file's id where it is a number, else NaN: it is in the text then. */
const ID = 12;
// ... and as words of 32 bits, from there on.
const WORDS = 26;
const HASH = WORDS;
const TEXT = WORDS + 1;
const LOOKUPS = WORDS + 2;
const FLAGS = WORDS + 3;
const MODE = WORDS + 4;
const NLINK = WORDS + 5;
const UID = WORDS + 6;
const GID = WORDS + 7;
const RDEV = WORDS + 8;
const BLKSIZE = WORDS + 9;
const ATIME_NSEC = WORDS + 10;
const MTIME_NSEC = WORDS + 11;
const CTIME_NSEC = WORDS + 12;
const BTIME_NSEC = WORDS + 13;
/** Numbers of what is an object, and stays one. */
const PARENT = WORDS + 14;
const OBSERVED = WORDS + 15;
const LONGS = (WORDS + 16) / 2;

const SELF_MODIFIED = 1;
/** The kernel may hold pages: of this version, or such as must not be kept. */
const PAGES_OF_VERSION = 2;
const PAGES_NOT_KEPT = 4;

export class RestingInodes {
  readonly #store: Store;
  readonly #changes: ChangeListener | undefined;
  readonly #records = new Records(LONGS);
  readonly #texts = new Texts();
  readonly #byFile = new RecordIndex(
    (record) => this.#records.page(record).words[this.#records.at(record) * 2 + HASH]!,
  );
  readonly #byNode = new NodeRecords();
  readonly #parents = new SharedLinks<StoreNode>();
  readonly #observed = new Links<object>();
  /** What `#is` looks for. */
  #wanted: FileId = 0;

  /** `changes`: as for inodes that never rested. */
  constructor(store: Store, changes: ChangeListener | undefined) {
    this.#store = store;
    this.#changes = changes;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Memory taken by records and their texts, in bytes. */
  get bytes(): number {
    return this.#records.bytes + this.#texts.bytes;
  }

  /** Takes what an inode is; false: there is more to it than a record holds. */
  take(inode: Inode): boolean {
    if (!inode.atRest) return false;
    const { node, version, pagesVersion, attributes } = inode;
    const place = this.#store.place(node);
    if (place === undefined || this.#store.version(attributes) !== version) return false;
    if (pagesVersion !== undefined && pagesVersion !== '' && pagesVersion !== version) return false;
    const { id, birth } = node;
    const text = this.#texts.put(`${place.name}\0${birth}${typeof id === 'number' ? '' : `\0${id}`}`);
    if (text === undefined) return false;
    this.#put(inode, text, place.parent);
    return true;
  }

  #put(inode: Inode, text: number, parent: StoreNode): void {
    const { id } = inode.node;
    const hash = hashOfId(id);
    const record = this.#records.take();
    const { doubles, words, longs } = this.#records.page(record);
    const at = this.#records.at(record);
    const word = at * 2;
    const { attributes } = inode;
    doubles[at + NODE] = inode.nodeId;
    doubles[at + ATTRIBUTES_AT] = inode.attributesAtMs;
    doubles[at + VALIDATED_AT] = inode.validatedAtMs;
    doubles[at + TOUCHED_AT] = inode.touchedAtMs;
    doubles[at + SAID_SIZE] = inode.saidSize;
    doubles[at + ID] = typeof id === 'number' ? id : Number.NaN;
    words[word + HASH] = hash;
    words[word + TEXT] = text;
    words[word + LOOKUPS] = inode.lookups;
    words[word + FLAGS] = flagsOf(inode);
    longs[at + INO] = attributes.ino;
    putAttributes(doubles, words, at, attributes);
    words[word + PARENT] = this.#parents.add(parent);
    words[word + OBSERVED] = this.#observed.add(inode.observed);
    this.#byNode.set(inode.nodeId, record);
    this.#byFile.add(hash, record);
  }

  /** The inode of that nodeid, as an object again and no longer here. */
  wake(node: NodeId): Inode | undefined {
    const record = this.#byNode.get(node);
    return record < 0 ? undefined : this.#wake(record);
  }

  wakeFile(id: FileId): Inode | undefined {
    const record = this.#of(id);
    return record < 0 ? undefined : this.#wake(record);
  }

  has(id: FileId): boolean {
    return this.#of(id) >= 0;
  }

  /** -1: none. */
  #of(id: FileId): number {
    if (this.#records.size === 0) return -1;
    this.#wanted = id;
    return this.#byFile.find(hashOfId(id), this.#is);
  }

  /**
   * The kernel forgets so many lookups of an inode that is here. False: it is not, or that was the last and there is more to
   * do for it than to let it go.
   */
  forget(node: NodeId, count: number): boolean {
    const record = this.#byNode.get(node);
    if (record < 0) return false;
    const { doubles, words } = this.#records.page(record);
    const at = this.#records.at(record);
    const left = words[at * 2 + LOOKUPS]! - count;
    if (left > 0) words[at * 2 + LOOKUPS] = left;
    else if (doubles[at + TOUCHED_AT]! > Number.NEGATIVE_INFINITY) return false;
    else this.#remove(record);
    return true;
  }

  #wake(record: number): Inode {
    const { doubles, words, longs } = this.#records.page(record);
    const at = this.#records.at(record);
    const word = at * 2;
    const [name = '', birth = '', idText = ''] = this.#texts.get(words[word + TEXT]!).split('\0');
    const number = doubles[at + ID]!;
    const id = Number.isNaN(number) ? idText : number;
    const attributes = attributesIn(doubles, words, at, longs[at + INO]!);
    const node = this.#store.node(this.#parents.get(words[word + PARENT]!), name, { id, birth, attributes });
    const version = this.#store.version(attributes);
    const askedMs = doubles[at + ATTRIBUTES_AT]!;
    const inode = new Inode(doubles[at + NODE]!, node, attributes, version, askedMs, this.#changes);
    inode.validatedAtMs = doubles[at + VALIDATED_AT]!;
    inode.touchedAtMs = doubles[at + TOUCHED_AT]!;
    inode.saidSize = doubles[at + SAID_SIZE]!;
    inode.lookups = words[word + LOOKUPS]!;
    const flags = words[word + FLAGS]!;
    inode.selfModified = (flags & SELF_MODIFIED) !== 0;
    if ((flags & PAGES_OF_VERSION) !== 0) inode.pagesVersion = version;
    else if ((flags & PAGES_NOT_KEPT) !== 0) inode.pagesVersion = '';
    inode.observed = this.#observed.get(words[word + OBSERVED]!);
    this.#remove(record);
    return inode;
  }

  #remove(record: number): void {
    const { doubles, words } = this.#records.page(record);
    const at = this.#records.at(record);
    const word = at * 2;
    this.#byFile.remove(words[word + HASH]!, record);
    this.#byNode.delete(doubles[at + NODE]!);
    this.#texts.remove(words[word + TEXT]!);
    this.#parents.remove(words[word + PARENT]!);
    this.#observed.remove(words[word + OBSERVED]!);
    this.#records.give(record);
  }

  readonly #is = (record: number): boolean => {
    const { doubles, words } = this.#records.page(record);
    const at = this.#records.at(record);
    const number = doubles[at + ID]!;
    if (!Number.isNaN(number)) return number === this.#wanted;
    return this.#texts.get(words[at * 2 + TEXT]!).split('\0')[2] === this.#wanted;
  };
}

function hashOfId(id: FileId): number {
  return typeof id === 'number' ? hashOfNumber(id) : hashOf(id);
}

function flagsOf({ selfModified, pagesVersion }: Inode): number {
  const pages = pagesVersion === undefined ? 0 : pagesVersion === '' ? PAGES_NOT_KEPT : PAGES_OF_VERSION;
  return pages | (selfModified ? SELF_MODIFIED : 0);
}

function putAttributes(doubles: Float64Array, words: Uint32Array, at: number, attributes: Attributes): void {
  const word = at * 2;
  doubles[at + SIZE] = attributes.size;
  doubles[at + BLOCKS] = attributes.blocks;
  doubles[at + ATIME] = attributes.atimeSec;
  doubles[at + MTIME] = attributes.mtimeSec;
  doubles[at + CTIME] = attributes.ctimeSec;
  doubles[at + BTIME] = attributes.btimeSec;
  words[word + MODE] = attributes.mode;
  words[word + NLINK] = attributes.nlink;
  words[word + UID] = attributes.uid;
  words[word + GID] = attributes.gid;
  words[word + RDEV] = attributes.rdev;
  words[word + BLKSIZE] = attributes.blksize;
  words[word + ATIME_NSEC] = attributes.atimeNsec;
  words[word + MTIME_NSEC] = attributes.mtimeNsec;
  words[word + CTIME_NSEC] = attributes.ctimeNsec;
  words[word + BTIME_NSEC] = attributes.btimeNsec;
}

function attributesIn(doubles: Float64Array, words: Uint32Array, at: number, ino: bigint): Attributes {
  const word = at * 2;
  return {
    ino,
    mode: words[word + MODE]!,
    nlink: words[word + NLINK]!,
    uid: words[word + UID]!,
    gid: words[word + GID]!,
    rdev: words[word + RDEV]!,
    size: unboxed(doubles[at + SIZE]!),
    blocks: unboxed(doubles[at + BLOCKS]!),
    blksize: words[word + BLKSIZE]!,
    atimeSec: unboxed(doubles[at + ATIME]!),
    atimeNsec: words[word + ATIME_NSEC]!,
    mtimeSec: unboxed(doubles[at + MTIME]!),
    mtimeNsec: words[word + MTIME_NSEC]!,
    ctimeSec: unboxed(doubles[at + CTIME]!),
    ctimeNsec: words[word + CTIME_NSEC]!,
    btimeSec: unboxed(doubles[at + BTIME]!),
    btimeNsec: words[word + BTIME_NSEC]!,
  };
}
