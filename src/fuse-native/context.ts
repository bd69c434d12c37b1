/** What every operation of this transport works on, and the walk from a path to what the file system knows. */
import type { AttributesReply, Caller, FileSystem, Kernel, NodeId } from '../overlay/filesystem.ts';
import { ROOT } from '../overlay/filesystem.ts';
import { type Attributes, isSymlink } from '../store/attributes.ts';
import { Errno, failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import { Dentries, type Located } from './dentries.ts';
import { OpenFiles } from './open-files.ts';
import { EILSEQ, namesOf, placeOf } from './paths.ts';
import { References } from './references.ts';

/** In the addon's and the source's form: a header of 4 bytes and 8 an entry. Three entries say no more than the mode. */
const ACCESS_LIST = 'system.posix_acl_access';
const PLAIN_LIST_BYTES = 4 + 3 * 8;
const OTHERS_THAN_THE_OWNER = 0o077;

export class Context {
  readonly fileSystem: FileSystem;
  readonly log: Log;
  readonly references: References;
  readonly dentries: Dentries;
  readonly files = new OpenFiles();
  /** libfuse knows who asks, the addon does not tell: everything is asked as the user who mounted. */
  readonly caller: Caller = {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    pid: 0,
    supplementaryGroup: -1,
    get askedMs() {
      return performance.now();
    },
  };
  /** Handles whose file was replaced while they were open. */
  staleHandles = 0;
  /** Others than the user who mounted may come in. */
  readonly shared: boolean;
  /** Files without a name that libfuse believes at a place: they were removed while open. Each holds its node. */
  readonly #nameless = new Map<string, NodeId>();

  constructor(fileSystem: FileSystem, log: Log, shared: boolean) {
    this.fileSystem = fileSystem;
    this.log = log;
    this.shared = shared;
    this.references = new References(fileSystem);
    this.dentries = new Dentries(fileSystem, this.references, this.caller);
  }

  /** Nothing can be registered with the kernel, nor can it be told anything: it drops the pages of a file at each open. */
  kernel(): Kernel {
    return {
      passthrough: false,
      registerBacking: () => -Errno.EOPNOTSUPP,
      unregisterBacking: () => {},
      pages: new Uint8Array(0),
      pushPages: () => -Errno.EOPNOTSUPP,
      invalidateAttributes: () => {},
      invalidateData: async () => {},
      invalidateEntry: async (parent, name) => this.dentries.forgetName(parent, name),
    };
  }

  /** Works on what a path leads to. Where a node turns out to be gone, the path is walked anew, once. */
  at<T>(path: string, use: (located: Located, place: string) => Reply<T>): Promise<Outcome<T>> {
    const names = namesOf(path);
    if (names === undefined) return Promise.resolve(-EILSEQ);
    const place = placeOf(names);
    const nameless = this.#nameless.get(place);
    if (nameless === undefined) return this.#walked(names, (located) => use(located, place));
    const handle = this.files.at(place, nameless)?.handle;
    return Promise.resolve(use({ node: nameless, attributes: undefined, handle }, place));
  }

  /** Works on a name in the directory that a path leads to. */
  in<T>(path: string, use: (parent: NodeId, name: string, place: string) => Reply<T>): Promise<Outcome<T>> {
    const names = namesOf(path);
    if (names === undefined) return Promise.resolve(-EILSEQ);
    const name = names.at(-1);
    if (name === undefined) return Promise.resolve(-Errno.EBUSY);
    return this.#walked(names.slice(0, -1), ({ node }) => use(node, name, placeOf(names)));
  }

  /** Attributes of what a path leads to, for the kernel: from here on it may know them, and no older ones may follow. */
  async attributes({ node, attributes, handle }: Located, place: string): Promise<Outcome<Attributes>> {
    this.found(place, node);
    if (attributes === undefined) {
      const reply: Outcome<AttributesReply> = await this.fileSystem.getattr(node, handle, this.caller);
      if (failed(reply)) return reply;
      attributes = reply.attributes;
    }
    return this.told(node, attributes, place);
  }

  /**
   * What libfuse is told. The kernel checks permissions by the mode alone, as libfuse 2 knows no access control lists. Whom
   * a list shuts out the mode may let in; so on a shared mount what has a list is its owner's only.
   */
  async told(node: NodeId, attributes: Attributes, place: string): Promise<Attributes> {
    // libfuse believes that one of the names is its own hidden one, and takes it off again
    if (this.#nameless.has(place)) return { ...attributes, nlink: attributes.nlink + 1 };
    if (!this.shared || isSymlink(attributes.mode)) return attributes;
    const list = await this.fileSystem.getxattr(node, ACCESS_LIST, this.caller);
    const none = failed(list) ? list === -Errno.ENODATA || list === -Errno.EOPNOTSUPP : list.length <= PLAIN_LIST_BYTES;
    return none ? attributes : { ...attributes, mode: attributes.mode & ~OTHERS_THAN_THE_OWNER };
  }

  /** The last name of an open file was removed, and libfuse believes it at `place`. */
  addNameless(place: string, node: NodeId): void {
    this.dropNameless(place);
    this.references.hold(node);
    this.#nameless.set(place, node);
  }

  dropNameless(place: string): boolean {
    const node = this.#nameless.get(place);
    if (node === undefined) return false;
    this.#nameless.delete(place);
    this.references.release(node);
    return true;
  }

  close(): void {
    for (const place of [...this.#nameless.keys()]) this.dropNameless(place);
    this.dentries.clear();
  }

  found(place: string, node: NodeId): void {
    const stale = this.files.found(place, node);
    if (stale === 0) return;
    this.staleHandles += stale;
    this.log.info({ path: place, handles: stale }, 'a file was replaced while open: its old handles answer ESTALE');
  }

  async #walked<T>(names: readonly string[], use: (located: Located) => Reply<T>): Promise<Outcome<T>> {
    for (let anew = false; ; anew = true) {
      const outcome = await this.#once(names, use);
      if (outcome !== -Errno.ESTALE || anew || names.length === 0) return outcome;
      this.dentries.forgetAlong(names);
    }
  }

  async #once<T>(names: readonly string[], use: (located: Located) => Reply<T>): Promise<Outcome<T>> {
    const located = await this.dentries.walk(names);
    if (failed(located)) return located;
    try {
      return await use(located);
    } finally {
      if (located.node !== ROOT) this.references.release(located.node);
    }
  }
}
