/**
 * Files that are not of the source: `.mlo/` under the mount's root, with what the daemon says of itself.
 *
 * As everywhere in the overlay, a nodeid is one content generation: each look-up of a file takes its content anew and
 * hands out a nodeid of its own for it, which the kernel may use only once (an entry time-out of 0). So size, pages and
 * mappings are those of one snapshot, whatever the way they are read, and with `ro,immutable`, where the kernel sends no
 * OPEN, too.
 */
import { type Attributes, FileType } from '../store/attributes.ts';
import { Errno, type Outcome } from '../sys/errno.ts';
import type { AttributesReply, DirectorySink, Entry, HandleId, NodeId } from './filesystem.ts';

/** The directory's name in the mount's root. */
export const VIRTUAL_NAME = '.mlo';

/** One of the files: its bytes as of now. Asked once for each look-up; throws when there are none to be had. */
export type Content = () => string;

/** What is written to a file between an open and its close. */
export interface Writing {
  /** How many of the bytes were taken. */
  write(data: Uint8Array): Outcome<number>;
  end(): void;
}

/** A file that can be written to, wherever in it. */
export interface Writable {
  begin(): Writing;
  /**
   * Something whole, by ioctl(2): the way where the mount is read-only, and the kernel lets nobody open for writing. How many
   * of the bytes were taken.
   */
  message(data: Uint8Array): Outcome<number>;
}

/** The command of a message, _IOW('M', 0x10, char[N]), without its N. */
export const MESSAGE_COMMAND = 0x40004d10;
const COMMAND_SIZE = 0x3fff0000;
/** Opens for writing at once. */
const WRITINGS_MOST = 256;

/** Nodeids from here on are virtual: those of the inode table count up from 1 and never come near, and all are exact. */
export const FIRST_VIRTUAL: NodeId = 2 ** 52;
const DIRECTORY: NodeId = FIRST_VIRTUAL;

/** Neither directory nor generation ever changes. */
const UNCHANGING_MS = 3_600_000;
/** The kernel looks a name up twice when it is led to another nodeid, and stat(1) and an open often come together. */
const SAME_LOOK_MS = 20;

const DT_DIR = 4;
const DT_REG = 8;
const BLOCK = 512;
const PAGE = 4096;

interface Generation {
  readonly name: string;
  readonly bytes: Buffer;
  readonly attributes: Attributes;
  readonly madeAtMs: number;
  lookups: number;
  /** Somebody reads it: whoever looks next wants a newer one. */
  used: boolean;
}

export interface VirtualOptions {
  /** 'owner': only the user of the daemon, and root; 'all': whoever may enter the mount. */
  readableBy: 'owner' | 'all';
  owner: { uid: number; gid: number };
}

export function isVirtual(node: NodeId): boolean {
  return node >= FIRST_VIRTUAL;
}

export class VirtualFiles {
  readonly #contents = new Map<string, Content>();
  readonly #writables = new Map<string, Writable>();
  readonly #writings = new Map<HandleId, Writing>();
  readonly #generations = new Map<NodeId, Generation>();
  readonly #latest = new Map<string, NodeId>();
  readonly #directory: Attributes;
  readonly #fileMode: number;
  readonly #writeBits: number;
  /** Numbers nodes, and handles to write by. */
  #next: NodeId = FIRST_VIRTUAL + 1;

  constructor({ readableBy, owner }: VirtualOptions) {
    this.#fileMode = FileType.REGULAR | (readableBy === 'all' ? 0o444 : 0o400);
    this.#writeBits = readableBy === 'all' ? 0o222 : 0o200;
    const mode = FileType.DIRECTORY | (readableBy === 'all' ? 0o555 : 0o500);
    const [sec, nsec] = wallClock();
    this.#directory = {
      ino: BigInt(DIRECTORY),
      mode,
      nlink: 2,
      ...owner,
      rdev: 0,
      size: 0,
      blocks: 0,
      blksize: PAGE,
      atimeSec: sec,
      atimeNsec: nsec,
      mtimeSec: sec,
      mtimeNsec: nsec,
      ctimeSec: sec,
      ctimeNsec: nsec,
      btimeSec: sec,
      btimeNsec: nsec,
    };
  }

  /** Files come before the mount answers, or soon after; none ever goes. `writable`: by whoever may read it. */
  add(name: string, content: Content, writable?: Writable): void {
    this.#contents.set(name, content);
    if (writable !== undefined) this.#writables.set(name, writable);
  }

  isWritable(node: NodeId): boolean {
    return this.#writables.has(this.#generations.get(node)?.name ?? '');
  }

  /** For whoever changes what the next look will find. */
  #writableOf(node: NodeId): Writable | undefined {
    const generation = this.#generations.get(node);
    if (generation === undefined) return undefined;
    generation.used = true;
    return this.#writables.get(generation.name);
  }

  /** A handle to write by. */
  openForWriting(node: NodeId): Outcome<HandleId> {
    const writable = this.#writableOf(node);
    if (writable === undefined) return -Errno.EROFS;
    if (this.#writings.size >= WRITINGS_MOST) return -Errno.ENFILE;
    const handle = this.#next++;
    this.#writings.set(handle, writable.begin());
    return handle;
  }

  write(handle: HandleId, data: Uint8Array): Outcome<number> {
    return this.#writings.get(handle)?.write(data) ?? -Errno.EBADF;
  }

  release(handle: HandleId): void {
    this.#writings.get(handle)?.end();
    this.#writings.delete(handle);
  }

  ioctl(node: NodeId, command: number, data: Uint8Array): Outcome<number> {
    if ((command & ~COMMAND_SIZE) !== MESSAGE_COMMAND) return -Errno.ENOTTY; // Python asks every file whether it is a terminal
    return this.#writableOf(node)?.message(data) ?? -Errno.ENOTTY;
  }

  /** Generations that the kernel knows. */
  get size(): number {
    return this.#generations.size;
  }

  /** The directory itself, as the root's entry. */
  entry(): Entry {
    const attributes = this.#directory;
    return { node: DIRECTORY, attributes, entryTtlMs: UNCHANGING_MS, attributesTtlMs: UNCHANGING_MS };
  }

  lookup(parent: NodeId, name: string): Outcome<Entry> {
    if (parent !== DIRECTORY) return this.#generations.has(parent) ? -Errno.ENOTDIR : -Errno.ESTALE;
    const content = this.#contents.get(name);
    if (content === undefined) return -Errno.ENOENT;
    const [node, generation] = this.#justMade(name) ?? this.#make(name, content());
    generation.lookups++;
    return { node, attributes: generation.attributes, entryTtlMs: 0, attributesTtlMs: UNCHANGING_MS };
  }

  #justMade(name: string): [NodeId, Generation] | undefined {
    const node = this.#latest.get(name);
    const generation = node === undefined ? undefined : this.#generations.get(node);
    if (generation === undefined || generation.used) return undefined;
    return performance.now() - generation.madeAtMs < SAME_LOOK_MS ? [node!, generation] : undefined;
  }

  #make(name: string, text: string): [NodeId, Generation] {
    const bytes = Buffer.from(text);
    const [sec, nsec] = wallClock();
    const times = { atimeSec: sec, atimeNsec: nsec, mtimeSec: sec, mtimeNsec: nsec, ctimeSec: sec, ctimeNsec: nsec };
    const attributes: Attributes = {
      ...this.#directory,
      ...times,
      ino: BigInt(DIRECTORY + 1 + [...this.#contents.keys()].indexOf(name)),
      mode: this.#fileMode | (this.#writables.has(name) ? this.#writeBits : 0),
      nlink: 1,
      size: bytes.length,
      blocks: Math.ceil(bytes.length / BLOCK),
    };
    const generation = { name, bytes, attributes, madeAtMs: performance.now(), lookups: 0, used: false };
    const node = this.#next++;
    this.#generations.set(node, generation);
    this.#latest.set(name, node);
    return [node, generation];
  }

  forget(node: NodeId, count: number): void {
    const generation = this.#generations.get(node);
    if (generation === undefined) return;
    generation.lookups -= count;
    if (generation.lookups > 0) return;
    this.#generations.delete(node);
    if (this.#latest.get(generation.name) === node) this.#latest.delete(generation.name);
  }

  isDirectory(node: NodeId): boolean {
    return node === DIRECTORY;
  }

  attributes(node: NodeId): Outcome<AttributesReply> {
    const attributes = node === DIRECTORY ? this.#directory : this.#generations.get(node)?.attributes;
    return attributes === undefined ? -Errno.ESTALE : { attributes, ttlMs: UNCHANGING_MS };
  }

  /** The bytes of a file, from now on those of whoever opened or reads it. */
  bytes(node: NodeId): Outcome<Buffer> {
    const generation = this.#generations.get(node);
    if (generation === undefined) return node === DIRECTORY ? -Errno.EISDIR : -Errno.ESTALE;
    generation.used = true;
    return generation.bytes;
  }

  /** Offsets as in directory.ts. Entries go without attributes, so that a listing takes no snapshots. */
  list(offset: number, sink: DirectorySink): 0 {
    const ino = BigInt(DIRECTORY);
    const names = [...this.#contents.keys()];
    for (let at = offset; at < names.length + 2; at++) {
      const name = at === 0 ? '.' : at === 1 ? '..' : names[at - 2]!;
      const directory = at < 2;
      const number = directory ? ino : ino + BigInt(at - 1);
      if (!sink.add(name, number, directory ? DT_DIR : DT_REG, at + 1, undefined)) break;
    }
    return 0;
  }
}

function wallClock(): [seconds: number, nanoseconds: number] {
  const ms = Date.now();
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}
