/**
 * An inode as the kernel knows it: one *content generation* of one file.
 *
 * The kernel keeps pages and I/O modes per nodeid, and refuses to mix modes or backing files on one. So a nodeid is never
 * moved on to other content while somebody holds the old: the inode is *superseded*, and whoever looks the name up next
 * gets a new nodeid with the same st_ino. Holders of the old one keep its bytes.
 */
import type { AccessedFile } from '../access/observer.ts';
import type { CachedContent, ContentKey } from '../cache/cache.ts';
import { type Attributes, isDirectory } from '../store/attributes.ts';
import type { Store, StoreFile, StoreNode, Version } from '../store/store.ts';
import type { Outcome } from '../sys/errno.ts';
import { InodeContentSource } from './content-source.ts';
import type { NodeId } from './filesystem.ts';
import type { SourceFiles } from './source.ts';

/** A registered backing file: what the kernel serves a passthrough handle from. */
export interface Backing {
  readonly id: number;
  /** 'source': the file itself. 'tier': an object of the cache, which never changes. */
  readonly kind: 'source' | 'tier';
  /** The version of the content it was registered for. */
  readonly version: Version;
  /** Open handles that use it. 0: idle, kept for the next open. */
  users: number;
}

/** The source file opened for reading, shared by every reader of an inode. */
export interface SharedSource {
  file: StoreFile | undefined;
  opening: Promise<Outcome<StoreFile>> | undefined;
  users: number;
}

/** Told of every file or directory, by its key, that is changed through this mount. */
export interface ChangeListener {
  changed(fileKey: string): void;
}

export class Inode implements AccessedFile {
  readonly nodeId: NodeId;
  readonly node: StoreNode;
  /** How often the kernel was told of this nodeid and has not forgotten it. */
  lookups = 0;

  attributes: Attributes;
  /** When the store was asked for them (monotonic ms). */
  attributesAtMs: number;
  /** When the store last confirmed the attributes (monotonic ms); -Infinity: ask before the next use. */
  validatedAtMs: number;
  /** The content this generation stands for. */
  version: Version;
  /**
   * Version of the pages the kernel may hold; '' when they must not be kept by the next open; undefined while nobody has
   * opened this nodeid, so that it has none.
   */
  pagesVersion: Version | undefined;
  /** For directories: version at the time of the listing the kernel may remember. */
  listedVersion: Version = '';
  /** Another nodeid stands for the file now; attributes are frozen. */
  superseded = false;
  /** Changed through this mount since `version` was taken: a new version is our own doing. */
  selfModified = false;
  /** The last name was removed through this mount: it lives on by its open handles. */
  unlinked = false;

  /** The kernel has forgotten it, and it is out of the table: what still comes back for it is closed, not kept. */
  removed = false;
  /** When it was last changed through this mount (monotonic ms): what the store was asked before proves nothing after. */
  touchedAtMs = Number.NEGATIVE_INFINITY;
  /** The size the kernel was last told. */
  saidSize = -1;

  /** Open handles in the kernel's cached I/O mode, and in passthrough. */
  cachedOpens = 0;
  passthroughOpens = 0;
  /** Of the cached opens, those that are samples; see sampling.ts. */
  samples = 0;
  /** Superseded with its content unchanged, so that a sample need not hold up others: it may still be opened. */
  leftToSample = false;
  /** Opens for writing that wait for the store: no reader may be bound to a cached object meanwhile. */
  writersComing = 0;
  /** Descriptors of the handles that may write, in either mode; most files never have one. */
  #writerFiles: StoreFile[] | undefined;

  /** The handle that serves READs of a mount without OPEN; 0 for none. */
  standing = 0;

  backing: Backing | undefined;
  content: CachedContent | undefined;
  readonly source: SharedSource = { file: undefined, opening: undefined, users: 0 };

  observed: object | undefined;

  /** Works that hold it without a handle. */
  holders = 0;
  /** When it was asked for last, and when it was looked at whether it may rest, as eras of `Grace`. */
  usedIn = 0;
  lookedAtIn = 0;
  /** Its place in the row of those awake. */
  atClock = -1;

  #contentSource: InodeContentSource | undefined;
  #fileKey: string | undefined;
  readonly #changes: ChangeListener | undefined;

  constructor(
    nodeId: NodeId,
    node: StoreNode,
    attributes: Attributes,
    version: Version,
    nowMs: number,
    changes: ChangeListener | undefined,
  ) {
    this.#changes = changes;
    this.nodeId = nodeId;
    this.node = node;
    this.attributes = attributes;
    this.version = version;
    this.attributesAtMs = nowMs;
    this.validatedAtMs = nowMs;
  }

  /** The file's identity as the cache's index names it. */
  get fileKey(): string {
    this.#fileKey ??= String(this.node.id);
    return this.#fileKey;
  }

  path(): string {
    return this.node.path();
  }

  contentKey(): ContentKey {
    return { file: this.fileKey, version: this.version, size: this.attributes.size };
  }

  /** All of it can be had without the store, or nothing of it is kept: there is nothing to bring. */
  get whole(): boolean {
    return this.content === undefined || this.content.complete;
  }

  /** Where the cache reads what it lacks of this content. */
  contentSource(store: Store, sources: SourceFiles): InodeContentSource {
    if (this.#contentSource?.version !== this.version) {
      this.#contentSource = new InodeContentSource(this, store, sources);
    }
    return this.#contentSource as InodeContentSource;
  }

  /** Handles that may write. */
  get writers(): number {
    return this.#writerFiles?.length ?? 0;
  }

  /** A descriptor that leads to the file as long as somebody writes to it, whatever has become of its name. */
  get writerFile(): StoreFile | undefined {
    return this.#writerFiles?.[0];
  }

  addWriter(file: StoreFile): void {
    if (this.#writerFiles === undefined) this.#writerFiles = [file];
    else this.#writerFiles.push(file);
  }

  removeWriter(file: StoreFile): void {
    const left = this.#writerFiles?.filter((one) => one !== file);
    this.#writerFiles = left?.length === 0 ? undefined : left;
  }

  get opens(): number {
    return this.cachedOpens + this.passthroughOpens;
  }

  /** Nobody has it open, works on it or holds anything by it. Directories never are: what is in them goes by them. */
  get atRest(): boolean {
    const { file, opening, users } = this.source;
    return (
      this.opens + this.holders + users + this.writers + this.writersComing + this.standing === 0 &&
      file === undefined &&
      opening === undefined &&
      this.backing === undefined &&
      this.content === undefined &&
      !(this.superseded || this.unlinked || this.removed) &&
      !isDirectory(this.attributes.mode)
    );
  }

  /** Handles that are served from an immutable object and so cannot follow a change of the file. */
  get pinnedToTier(): boolean {
    return this.passthroughOpens > 0 && this.backing?.kind === 'tier';
  }

  /** The kernel writes to the backing file, perhaps by a mapping: neither it nor we learn of new times by that. */
  get changesUnseen(): boolean {
    return this.writers > 0 && this.passthroughOpens > 0;
  }

  /** Notes a change made through this mount: the next use asks the store, and takes its answer for our own doing. */
  touch(): void {
    this.#changes?.changed(this.fileKey);
    this.selfModified = true;
    this.validatedAtMs = Number.NEGATIVE_INFINITY;
    this.touchedAtMs = performance.now();
  }
}
