/**
 * One request frame, read where it lies. The frame comes from the kernel, but nothing in it is believed before it was
 * compared with the number of bytes that were read: an overlong name or a body cut short must end in an error reply,
 * not in a read beyond the frame.
 *
 *   in_header | fixed part of the body | names and data | extensions
 */
import type { Caller } from '../overlay/filesystem.ts';
import { Errno, type Failure } from '../sys/errno.ts';
import { addressOf } from '../sys/libc.ts';
import { EXT_GROUPS, NAME_MAX } from './abi.ts';
import { BODY, InHeader, isExact, readU64 } from './codec.ts';
import { ExtHeader, SuppGroups } from './structs.ts';

/** Memory that a request is read into. */
export class Frame {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly address: number;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size); // its own memory, so that releasing it gives it back at once
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
    this.address = addressOf(this.bytes);
  }
}

const SLASH = 0x2f;
const DOT = 0x2e;
const NO_GROUP = -1;

/** The request being served. One object is reused for all: what an answer needs later is copied from it. */
export class Request {
  frame: Frame;
  /** Index into tables by opcode: the opcode itself, or 0 when it is none we know. */
  opcode = 0;
  /** The kernel's number of this request, in two halves; all 64 bits matter. */
  uniqueLow = 0;
  uniqueHigh = 0;
  node = 0;
  /** Offset behind the body: what follows are extensions. */
  end = 0;
  /** Offset behind the last name that was taken. */
  cursor = 0;
  readonly caller: Caller = { uid: 0, gid: 0, pid: 0, supplementaryGroup: NO_GROUP, askedMs: 0 };

  constructor(frame: Frame) {
    this.frame = frame;
  }

  get view(): DataView {
    return this.frame.view;
  }

  /**
   * Takes the header of a frame of `length` bytes. 0, or why it cannot be served: -EPROTO when the header itself lies
   * (there is no request to answer), another failure when the request can be answered with it.
   */
  open(length: number): Failure | 0 {
    const view = this.frame.view;
    if (length < BODY || InHeader.get.len(view, 0) !== length) return -Errno.EPROTO;
    this.opcode = InHeader.get.opcode(view, 0);
    this.uniqueLow = view.getUint32(InHeader.at.unique, true);
    this.uniqueHigh = view.getUint32(InHeader.at.unique + 4, true);
    this.node = InHeader.get.nodeid(view, 0);
    const caller = this.caller;
    caller.uid = InHeader.get.uid(view, 0);
    caller.gid = InHeader.get.gid(view, 0);
    caller.pid = InHeader.get.pid(view, 0);
    caller.supplementaryGroup = NO_GROUP;
    this.end = length;
    this.cursor = BODY;
    if (!isExact(this.node)) return -Errno.EIO;
    const extensions = InHeader.get.total_extlen(view, 0) * 8;
    return extensions === 0 ? 0 : this.#takeExtensions(extensions);
  }

  /** A name at `at`, up to its NUL; `cursor` is then behind it. Names are byte strings (latin1). */
  name(at: number): string | Failure {
    const bytes = this.frame.bytes;
    const end = this.#terminator(at);
    if (end < 0) return -Errno.EIO;
    const length = end - at;
    if (length === 0) return -Errno.EINVAL;
    if (length > NAME_MAX) return -Errno.ENAMETOOLONG;
    if (bytes[at] === DOT && (length === 1 || (length === 2 && bytes[at + 1] === DOT))) return -Errno.EINVAL;
    for (let i = at; i < end; i++) if (bytes[i] === SLASH) return -Errno.EINVAL;
    return bytes.toString('latin1', at, end);
  }

  /** The name of an extended attribute: it may hold slashes. */
  attributeName(at: number): string | Failure {
    const end = this.#terminator(at);
    if (end < 0) return -Errno.EIO;
    if (end === at) return -Errno.EINVAL;
    if (end - at > NAME_MAX) return -Errno.ERANGE;
    return this.frame.bytes.toString('latin1', at, end);
  }

  /** A copy of the bytes up to the next NUL: the target of a symbolic link. */
  target(at: number): Buffer | Failure {
    const end = this.#terminator(at);
    if (end < 0) return -Errno.EIO;
    if (end === at) return -Errno.ENOENT; // as symlink(2) answers to an empty target
    return Buffer.from(this.frame.bytes.subarray(at, end));
  }

  /** Finds the NUL behind a string and moves the cursor beyond it; -1 when the body ends before. */
  #terminator(at: number): number {
    const bytes = this.frame.bytes;
    for (let i = at; i < this.end; i++) {
      if (bytes[i] === 0) {
        this.cursor = i + 1;
        return i;
      }
    }
    return -1;
  }

  #takeExtensions(length: number): Failure | 0 {
    const view = this.frame.view;
    let at = this.end - length;
    const end = this.end;
    if (at < BODY) return -Errno.EIO;
    this.end = at;
    while (at < end) {
      if (end - at < ExtHeader.size) return -Errno.EIO;
      const size = ExtHeader.get.size(view, at);
      if (size < ExtHeader.size || size > end - at) return -Errno.EIO;
      if (ExtHeader.get.type(view, at) === EXT_GROUPS) {
        const room = size - ExtHeader.size - SuppGroups.size;
        const groups = room < 0 ? 0 : SuppGroups.get.nr_groups(view, at + ExtHeader.size);
        if (room < 0 || groups > room / 4) return -Errno.EIO;
        // The kernel sends the one group that matters: the parent directory's, when the caller is in it.
        if (groups > 0) {
          this.caller.supplementaryGroup = view.getUint32(at + ExtHeader.size + SuppGroups.size, true);
        }
      }
      at += (size + 7) & ~7;
    }
    return 0;
  }

  /** A 64-bit number of the body as an offset or length: -1 when it is beyond 2^53. */
  offset(at: number): number {
    const value = readU64(this.frame.view, at);
    return isExact(value) ? value : -1;
  }
}
