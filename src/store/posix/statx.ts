/**
 * struct statx at fixed offsets. Decoding reads numbers from views over one buffer that lives as long as the store, so
 * that a lookup allocates what it returns and nothing else.
 */
import { joined } from '../../packed/whole.ts';
import * as sys from '../../sys/libc.ts';
import { type Attributes, FileType } from '../attributes.ts';
import type { FileId, Found } from '../store.ts';
import { STATX_BTIME } from './flags.ts';

/** Inode numbers from here on do not fit a JavaScript number exactly: high word >= 2^21. */
const HIGH_LIMIT = 2 ** 21;

// Indices of 32-bit words.
const MASK = 0;
const BLKSIZE = 1;
const NLINK = 4;
const UID = 5;
const GID = 6;
const MODE = 7; // 16 bits, the rest is padding
const INO = 8;
const SIZE = 10;
const BLOCKS = 12;
const ATIME = 16;
const BTIME = 20;
const CTIME = 24;
const MTIME = 28;
const RDEV_MAJOR = 32;
const RDEV_MINOR = 33;
const DEV_MAJOR = 34;
const DEV_MINOR = 35;

/** What tells one file from another: see StoreNode.id and .birth. */
export interface FileIdentity {
  readonly device: number;
  readonly inoLow: number;
  readonly inoHigh: number;
  readonly type: number;
  /** -1: not known. */
  readonly btimeSec: number;
  readonly btimeNsec: number;
}

export class StatxBuffer {
  readonly bytes: Buffer;
  readonly address: number;
  readonly #words: Uint32Array;
  readonly #signed: Int32Array;
  readonly #ino: BigUint64Array;

  constructor() {
    const memory = new ArrayBuffer(256);
    this.bytes = Buffer.from(memory);
    this.address = sys.addressOf(this.bytes);
    this.#words = new Uint32Array(memory);
    this.#signed = new Int32Array(memory);
    this.#ino = new BigUint64Array(memory, INO * 4, 1);
  }

  /** The device the file is on, as one number. */
  device(): number {
    return this.#words[DEV_MAJOR]! * 2 ** 20 + this.#words[DEV_MINOR]!;
  }

  type(): number {
    return this.#words[MODE]! & FileType.MASK;
  }

  size(): number {
    return joined(this.#words[SIZE + 1]!, this.#words[SIZE]!);
  }

  links(): number {
    return this.#words[NLINK]!;
  }

  id(rootDevice: number): FileId {
    const high = this.#words[INO + 1]!;
    const device = this.device();
    if (device === rootDevice && high < HIGH_LIMIT) return joined(high, this.#words[INO]!);
    return `${device}.${this.#ino[0]!}`;
  }

  birth(): string {
    const words = this.#words;
    const type = this.type() >> 12;
    if ((words[MASK]! & STATX_BTIME) === 0) return `${type}`;
    return flat(`${this.#seconds(BTIME)}.${words[BTIME + 2]!}.${type}`);
  }

  found(rootDevice: number): Found {
    return { id: this.id(rootDevice), birth: this.birth(), attributes: this.attributes() };
  }

  /** Whether this is the file that `identity` describes. A birth time that either side does not know is not compared. */
  describes(identity: FileIdentity): boolean {
    const words = this.#words;
    if (words[INO]! !== identity.inoLow || words[INO + 1]! !== identity.inoHigh) return false;
    if (this.device() !== identity.device || this.type() !== identity.type) return false;
    if (identity.btimeSec === -1 || (words[MASK]! & STATX_BTIME) === 0) return true;
    return words[BTIME + 2]! === identity.btimeNsec && this.#seconds(BTIME) === identity.btimeSec;
  }

  attributes(): Attributes {
    const words = this.#words;
    const minor = words[RDEV_MINOR]!;
    const born = (words[MASK]! & STATX_BTIME) !== 0;
    return {
      ino: this.#ino[0]!,
      mode: words[MODE]! & 0xffff,
      nlink: words[NLINK]!,
      uid: words[UID]!,
      gid: words[GID]!,
      rdev: ((minor & 0xff) | (words[RDEV_MAJOR]! << 8) | ((minor & 0xfff00) << 12)) >>> 0,
      size: this.size(),
      blocks: joined(words[BLOCKS + 1]!, words[BLOCKS]!),
      blksize: words[BLKSIZE]!,
      atimeSec: this.#seconds(ATIME),
      atimeNsec: words[ATIME + 2]!,
      mtimeSec: this.#seconds(MTIME),
      mtimeNsec: words[MTIME + 2]!,
      ctimeSec: this.#seconds(CTIME),
      ctimeNsec: words[CTIME + 2]!,
      btimeSec: born ? this.#seconds(BTIME) : -1,
      btimeNsec: born ? words[BTIME + 2]! : 0,
    };
  }

  #seconds(word: number): number {
    return joined(this.#signed[word + 1]!, this.#words[word]!);
  }
}

/** Kept, for the compiler would leave out what nobody asks for. */
let _lookedInto = 0;

/**
 * The same string in one piece. What a template puts together stays a tree of its parts until it is looked into: 370 bytes for
 * a version of 100; and there may be a million of these.
 */
export function flat(text: string): string {
  _lookedInto = Number(text);
  return text;
}

/** Buffers for calls that are under way on other threads; grows to as many as are ever in flight. */
export class StatxBuffers {
  readonly #free: StatxBuffer[] = [];

  take(): StatxBuffer {
    return this.#free.pop() ?? new StatxBuffer();
  }

  give(buffer: StatxBuffer): void {
    this.#free.push(buffer);
  }
}

/** A name as the kernel takes it, in memory that is written again for the next call. */
export class NameBuffer {
  readonly #bytes = Buffer.from(new ArrayBuffer(4096));
  readonly address: number = sys.addressOf(this.#bytes);

  /** False: the name is longer than any file system takes. */
  set(name: string): boolean {
    if (name.length > 4095) return false;
    this.#bytes[this.#bytes.write(name, 0, 'latin1')] = 0;
    return true;
  }
}

/** The empty path that AT_EMPTY_PATH wants. */
export const NO_PATH: Buffer = Buffer.from(new ArrayBuffer(8));
export const NO_PATH_ADDRESS: number = sys.addressOf(NO_PATH);
