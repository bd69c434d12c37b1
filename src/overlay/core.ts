/** What every operation of the overlay works on. One thread owns all of it. */

import type { AccessObserver } from '../access/observer.ts';
import type { PassersBy } from '../access/passers-by.ts';
import type { Cache } from '../cache/cache.ts';
import type { Shelf } from '../cache/shelf.ts';
import type { PrefetchOptions } from '../prefetch/index.ts';
import { type Attributes, isDirectory, isRegular } from '../store/attributes.ts';
import type { DirectoryEntry, FileId, Found, Identity, Store, Version } from '../store/store.ts';
import { performance } from '../sys/clock.ts';
import { Errno } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import type { Log } from '../telemetry/log.ts';
import { BackingFiles } from './backing.ts';
import { OverlayCounters } from './counters.ts';
import { Demand } from './demand.ts';
import type { AttributesReply, Caller, Entry, Kernel, NodeId } from './filesystem.ts';
import { type DirectoryHandle, type FileHandle, HandleTable } from './handles.ts';
import type { Inode } from './inode.ts';
import { InodeTable } from './inode-table.ts';
import type { KernelReadahead } from './kernel-readahead.ts';
import { Metadata } from './metadata.ts';
import { PagePusher } from './push.ts';
import { Sampling } from './sampling.ts';
import { SentBack } from './sent-back.ts';
import { SourceFiles } from './source.ts';
import type { ToldInode } from './told-inodes.ts';

/** What can change while the overlay serves; what the kernel was told before holds to its end. */
export interface LiveOptions {
  attributesTtlMs: number;
  negativeTtlMs: number;
  passthroughMinBytes: number;
}

export interface OverlayOptions {
  store: Store;
  /** Undefined: nothing is cached on disk; reads go to the source. */
  cache: Cache | undefined;
  log: Log;
  /** Told of every open, read and write. */
  observer?: AccessObserver | undefined;
  /** On whose account nothing is kept. */
  passersBy?: PassersBy | undefined;
  /** How long attributes and names may be believed without asking the store (the lease), in milliseconds. */
  attributesTtlMs: number;
  /** How long the kernel may believe that a name does not exist, in milliseconds. */
  negativeTtlMs?: number;
  /** The source never changes: nothing is validated a second time. */
  immutable?: boolean;
  readOnly?: boolean;
  /** A name that listings of the root leave out: something else than the source's answers to it. */
  hiddenInRoot?: string | undefined;
  /** Nothing is opened: the kernel does it by itself. Only with `immutable` and `readOnly`; see standing.ts. */
  withoutOpen?: boolean;
  /** Files of at least this many bytes are handed to the kernel (passthrough); smaller ones keep their pages. */
  passthroughMinBytes: number;
  /** Pages are kept from one open to the next while the file is unchanged. Off: for measuring. */
  keepCache?: boolean;
  /** The bytes of small files go to the kernel with the answer to OPEN. On unless said. */
  pushPages?: boolean;
  /**
   * The coarsest step of the source's time stamps, in ms. A change this recent may be followed by another with the same
   * stamp, so what was read within it is neither kept nor cached. Linux ticks every 1-10 ms; other systems may be coarser.
   */
  timestampGranularityMs?: number;
  /** One in so many of the opens that the kernel could serve alone is served here, to see what they read; 0: none. */
  sampleOpens?: number;
  /** The kernel's writeback cache is on: it may read through handles opened for writing only. */
  writeback?: boolean;
  /** Requests to the source that warming up may have under way at most; 16 unless said. */
  warmupRequests?: number;
  /** Inodes that are kept as objects; of more, those nobody uses are packed (inode-table.ts). 16,384 unless said. */
  awakeInodes?: number | undefined;
  /** Undefined: nothing is brought before it is read. Only with a cache and a store that may be slow. */
  prefetch?: PrefetchWish | undefined;
  /** For listings and attributes of a store that may be slow, in bytes; 64 MiB unless said. 0: nothing is looked up ahead. */
  metadataBytes?: number;
  /** Where names are kept from mount to mount; only with `immutable`, a store that may be slow, and `metadataBytes`. */
  shelf?: Shelf | undefined;
}

/** What is brought before somebody reads it; see prefetch/. */
export type PrefetchWish = Pick<
  PrefetchOptions,
  'bulk' | 'limit' | 'jobWidth' | 'underWayMost' | 'plans' | 'aheadBytes'
>;

const METADATA_BYTES = 64 * 2 ** 20;

/** How long what is known of a superseded generation is believed: its holders must not have the store asked all the time. */
export const SUPERSEDED_TTL_MS = 1000;

/** How long a writer that was told to look again has for coming back, and how many such files are remembered. */
const WRITER_AWAITED_MS = 1000;
const WRITERS_AWAITED_MAX = 1024;

/** Four ticks of the slowest kernel clock. */
const TIMESTAMP_GRANULARITY_MS = 40;

/** The longest time-out the kernel is told, in ms: immutable sources (a year, well inside its arithmetic). */
const FOREVER_MS = 365 * 86_400_000;

const NOT_FOUND_ATTRIBUTES: Attributes = {
  ino: 0n,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  size: 0,
  blocks: 0,
  blksize: 0,
  atimeSec: 0,
  atimeNsec: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  ctimeSec: 0,
  ctimeNsec: 0,
  btimeSec: -1,
  btimeNsec: 0,
};

/** Stands in until the connection is there; nothing can be registered or invalidated then. */
const NO_KERNEL: Kernel = {
  passthrough: false,
  registerBacking: () => -Errno.EOPNOTSUPP,
  unregisterBacking: () => {},
  pages: new Uint8Array(0),
  pushPages: () => -Errno.EOPNOTSUPP,
  invalidateAttributes: () => {},
  invalidateData: async () => {},
  invalidateEntry: async () => {},
};

export class Core {
  readonly store: Store;
  readonly cache: Cache | undefined;
  readonly log: Log;
  readonly observer: AccessObserver | undefined;
  readonly #passersBy: PassersBy | undefined;
  ttlMs: number;
  negativeTtlMs: number;
  readonly immutable: boolean;
  readonly readOnly: boolean;
  readonly hiddenInRoot: string | undefined;
  readonly withoutOpen: boolean;
  passthroughMinBytes: number;
  readonly keepCache: boolean;
  readonly writeback: boolean;
  readonly #timestampGranularityMs: number;

  readonly inodes: InodeTable;
  readonly files = new HandleTable<FileHandle>();
  readonly directories = new HandleTable<DirectoryHandle>();
  readonly counters = new OverlayCounters();
  readonly sources: SourceFiles;
  readonly backings: BackingFiles;
  readonly sampling: Sampling;
  readonly sentBack = new SentBack();
  readonly demand = new Demand();
  kernel: Kernel = NO_KERNEL;
  /** Undefined: the kernel's read-ahead stays as it is. */
  kernelReadahead: KernelReadahead | undefined;
  readonly pusher: PagePusher | undefined;
  /** Undefined: every look-up asks the store, which answers at once. */
  readonly metadata: Metadata | undefined;
  readonly #shelf: Shelf | undefined;
  readonly #writersAwaited = new Map<FileId, number>();

  constructor(options: OverlayOptions) {
    this.store = options.store;
    this.cache = options.cache;
    this.log = options.log;
    this.observer = options.observer;
    this.#passersBy = options.passersBy;
    this.immutable = options.immutable ?? false;
    this.ttlMs = this.immutable ? FOREVER_MS : options.attributesTtlMs;
    this.negativeTtlMs = this.immutable ? FOREVER_MS : (options.negativeTtlMs ?? 0);
    this.readOnly = options.readOnly ?? false;
    this.hiddenInRoot = options.hiddenInRoot;
    this.withoutOpen = this.immutable && this.readOnly && (options.withoutOpen ?? false);
    this.passthroughMinBytes = options.passthroughMinBytes;
    this.keepCache = options.keepCache ?? true;
    this.writeback = options.writeback ?? false;
    this.#timestampGranularityMs = options.timestampGranularityMs ?? TIMESTAMP_GRANULARITY_MS;
    this.#shelf = options.shelf;
    this.inodes = new InodeTable(this.store, this.nowMs(), { awakeMost: options.awakeInodes, changes: this.#shelf });
    this.sources = new SourceFiles(this.store);
    this.backings = new BackingFiles(this.counters);
    this.sampling = new Sampling(options.sampleOpens ?? 0);
    const metadataBytes = options.metadataBytes ?? METADATA_BYTES;
    const slow = this.store.speed === 'pooled';
    this.metadata = slow && metadataBytes > 0 ? new Metadata(this, metadataBytes, this.#shelf) : undefined;
    this.pusher = (options.pushPages ?? true) ? new PagePusher(this) : undefined;
  }

  change({ attributesTtlMs, negativeTtlMs, passthroughMinBytes }: Partial<LiveOptions>): void {
    this.ttlMs = this.immutable ? FOREVER_MS : (attributesTtlMs ?? this.ttlMs);
    this.negativeTtlMs = this.immutable ? FOREVER_MS : (negativeTtlMs ?? this.negativeTtlMs);
    this.passthroughMinBytes = passthroughMinBytes ?? this.passthroughMinBytes;
  }

  /** Monotonic milliseconds. */
  nowMs(): number {
    return performance.now();
  }

  /** Attributes so fresh that a later change could carry the same time stamps prove nothing later. */
  unsettled(attributes: Attributes): boolean {
    return Date.now() - (attributes.ctimeSec * 1000 + attributes.ctimeNsec / 1e6) < this.#timestampGranularityMs;
  }

  /** The version that what is asked from now on is of, or a later one; '' where a later change could carry the same. */
  settledVersion({ attributes, version }: Inode): Version {
    return this.unsettled(attributes) ? '' : version;
  }

  /** What the store listed of a directory, without what the mount does not show of it. */
  shown(directory: Inode, entries: DirectoryEntry[]): DirectoryEntry[] {
    const { hiddenInRoot } = this;
    if (hiddenInRoot === undefined || directory !== this.inodes.root) return entries;
    return entries.filter(({ name }) => name !== hiddenInRoot);
  }

  /** Nothing is to be kept on account of this thread. */
  passesBy(thread: number): boolean {
    return this.#passersBy?.has(thread, this.nowMs()) === true;
  }

  inode(node: NodeId): Inode | undefined {
    return this.inodes.get(node);
  }

  /** What the kernel is told of a name that led to an inode when the store was asked at `askedMs`. */
  entry(inode: Inode, askedMs: number): Entry {
    const attributesTtlMs = this.#attributesLeft(inode);
    const entryTtlMs = Math.max(0, this.ttlMs - (this.nowMs() - askedMs));
    return { node: inode.nodeId, attributes: inode.attributes, entryTtlMs, attributesTtlMs };
  }

  /** As `entry`, of an inode that is told and not made. */
  entryOfTold({ nodeId }: ToldInode, attributes: Attributes): Entry {
    const ttlMs = Math.max(0, this.ttlMs - this.nowMs());
    return { node: nodeId, attributes, entryTtlMs: ttlMs, attributesTtlMs: ttlMs };
  }

  /** How long the kernel may believe the attributes it is told now: the lease runs from when the store was asked. */
  #attributesLeft(inode: Inode): number {
    inode.saidSize = inode.attributes.size;
    return inode.changesUnseen ? 0 : Math.max(0, this.ttlMs - (this.nowMs() - inode.validatedAtMs));
  }

  negativeEntry(): Entry {
    return { node: 0, attributes: NOT_FOUND_ATTRIBUTES, entryTtlMs: this.negativeTtlMs, attributesTtlMs: 0 };
  }

  attributesReply(inode: Inode): AttributesReply {
    const left = this.#attributesLeft(inode);
    const superseded = inode.superseded && inode.writers === 0;
    return { attributes: inode.attributes, ttlMs: superseded ? Math.min(this.ttlMs, SUPERSEDED_TTL_MS) : left };
  }

  identity(caller: Caller, umask: number): Identity {
    const { uid, gid, supplementaryGroup } = caller;
    return supplementaryGroup < 0 ? { uid, gid, umask } : { uid, gid, umask, supplementaryGroup };
  }

  /**
   * Takes in what the store said of a file when it was asked at `askedMs`: before the call, since an answer is no newer
   * than its question, however late it comes. Returns what that means for the inode:
   * 'same' content, 'changed' content that this nodeid may go on with, or 'superseded': the holders keep the old
   * content and this nodeid with it; the file needs a new one.
   */
  observe(inode: Inode, attributes: Attributes, askedMs: number): 'same' | 'changed' | 'superseded' {
    if (inode.superseded && inode.writers === 0) return 'superseded';
    if (askedMs < inode.attributesAtMs) return 'same'; // a newer answer was quicker
    if (askedMs < inode.touchedAtMs) {
      // A change of ours was quicker: this may be what was before it. The best there is to tell, and not to be believed.
      inode.attributes = attributes;
      inode.attributesAtMs = askedMs;
      return 'same';
    }
    const version = this.store.version(attributes);
    const settled = inode.writers === 0 && inode.writersComing === 0;
    if (version === inode.version) {
      inode.attributes = attributes;
      inode.attributesAtMs = askedMs;
      inode.validatedAtMs = askedMs;
      if (settled) inode.selfModified = false;
      return 'same';
    }
    if (this.#staysBehind(inode, attributes)) {
      this.supersede(inode);
      return 'superseded';
    }
    inode.attributes = attributes;
    inode.attributesAtMs = askedMs;
    inode.validatedAtMs = askedMs;
    inode.version = version;
    if (inode.pagesVersion !== undefined) inode.pagesVersion = '';
    if (settled) inode.selfModified = false;
    this.dropContent(inode);
    return 'changed';
  }

  /** Whether this nodeid cannot go on with the new content of its file. */
  #staysBehind(inode: Inode, { size, mtimeSec, mtimeNsec, mode }: Attributes): boolean {
    if (inode.pinnedToTier) return true;
    if (inode.selfModified) return false;
    if (inode.content !== undefined && inode.opens > 0) return true;
    // With its writeback cache on the kernel takes nobody's word for the size and mtime of a file it knows.
    const before = inode.attributes;
    return (
      this.writeback &&
      isRegular(mode) &&
      (size !== before.size || mtimeSec !== before.mtimeSec || mtimeNsec !== before.mtimeNsec)
    );
  }

  supersede(inode: Inode): void {
    this.counters.superseded++;
    this.inodes.supersede(inode);
    // Who writes to it goes on unseen by the next generation.
    const sinceMs = inode.writers > 0 ? Number.POSITIVE_INFINITY : this.nowMs();
    this.metadata?.distrust.file(inode.node.id, sinceMs);
  }

  /**
   * Ends a generation that a writer cannot be let in to. It will look the name up and come again, and must not find
   * that a reader, who looked again as well, was quicker: the kernel tries no third time.
   */
  supersedeForWriter(inode: Inode): void {
    this.supersede(inode);
    if (this.#writersAwaited.size >= WRITERS_AWAITED_MAX) this.#writersAwaited.clear();
    this.#writersAwaited.set(inode.node.id, this.nowMs() + WRITER_AWAITED_MS);
  }

  writerCame(inode: Inode): void {
    this.#writersAwaited.delete(inode.node.id);
  }

  /** A writer is on its way: readers are served in a way it can join. */
  writerAwaited(inode: Inode): boolean {
    if (inode.writersComing > 0) return true;
    if (this.#writersAwaited.size === 0) return false;
    return this.nowMs() < (this.#writersAwaited.get(inode.node.id) ?? 0);
  }

  /** Closes a descriptor of a local file that was needed for a moment. */
  closeDescriptor(fd: number): void {
    close.now(fd);
  }

  /** ESTALE is answered to a thread that came by `node`. */
  sendBack(node: NodeId, thread: number): void {
    this.sentBack.sent(thread, this.nowMs());
    const inode = this.inode(node);
    if (inode !== undefined) this.metadata?.ledAstray(inode);
  }

  /**
   * Something is about to be made of a name of these: should the daemon end in the middle, the next does not believe what
   * was known of them. (What an inode is changed by without a name, `touch` notes.)
   */
  aboutToChange(...ids: FileId[]): void {
    for (const id of ids) this.#shelf?.changed(String(id));
  }

  /** Lets go of the cached object; readers that need more bytes turn to the source. */
  dropContent(inode: Inode): void {
    if (inode.backing?.kind === 'tier') this.backings.drop(inode, this.kernel); // when idle
    inode.content?.release();
    inode.content = undefined;
  }

  /** The inode for what was found at parent/name: the current generation, or a new one. Counts no lookup. */
  intern(parent: Inode, name: string, found: Found, askedMs: number): Inode {
    const inode = this.#interned(parent, name, found, askedMs);
    if (isDirectory(found.attributes.mode)) this.metadata?.found(inode, parent, name);
    return inode;
  }

  /**
   * As `intern`, of what was looked up for nobody. The kernel is not answered, so it must not go on by the size it was told
   * when a later open finds the content new.
   */
  internAhead(parent: Inode, name: string, found: Found, askedMs: number): Inode {
    const before = this.inodes.current(found);
    const version = before?.version;
    const inode = this.intern(parent, name, found, askedMs);
    if (inode === before && inode.version !== version && inode.lookups > 0) {
      this.kernel.invalidateAttributes(inode.nodeId);
    }
    return inode;
  }

  #interned(parent: Inode, name: string, found: Found, askedMs: number): Inode {
    const inode = this.inodes.current(found);
    if (inode !== undefined) {
      this.store.alias(inode.node, parent.node, name, askedMs);
      if (askedMs >= inode.touchedAtMs) inode.unlinked = false; // it has a name after all, of someone else's making
      if (this.observe(inode, found.attributes, askedMs) !== 'superseded') return inode;
    }
    return this.inodes.add(parent, name, found, askedMs);
  }

  /** Interns, counts one lookup and says what the kernel is told. */
  lookedUp(parent: Inode, name: string, found: Found, askedMs: number): Entry {
    const inode = this.intern(parent, name, found, askedMs);
    inode.lookups++;
    return this.entry(inode, askedMs);
  }

  /**
   * What is told of a file that a change of ours has just made or named: what that brought, also where somebody asked
   * later, was answered from before the change, and so was taken in instead.
   */
  entryOfOwn(inode: Inode, { attributes }: Found): Entry {
    const entry = this.entry(inode, this.nowMs());
    if (entry.attributes === attributes) return entry;
    inode.saidSize = attributes.size;
    return { ...entry, attributes, attributesTtlMs: 0 };
  }

  forget(node: NodeId, count: number): void {
    if (this.inodes.forgetTold(node, count) || this.inodes.forgetResting(node, count)) return;
    const inode = this.inodes.get(node);
    if (inode === undefined) return;
    inode.lookups -= count;
    this.reap(inode);
  }

  /** Removes an inode that neither the kernel nor a handle refers to. */
  reap(inode: Inode): void {
    if (inode.lookups > 0 || inode.opens > 0) return;
    this.backings.drop(inode, this.kernel);
    this.sources.drop(inode);
    this.dropContent(inode);
    this.inodes.remove(inode);
    if (inode.superseded || inode.touchedAtMs > Number.NEGATIVE_INFINITY) {
      this.metadata?.distrust.file(inode.node.id, this.nowMs());
    }
  }
}
