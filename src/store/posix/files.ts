/**
 * Open files and their bytes.
 *
 * Which flags of open(2) reach the source: the access mode, O_DIRECT, O_SYNC, O_DSYNC and O_NOATIME. Not the others:
 *  - O_TRUNC: the file is emptied after it was made sure that it is the right one.
 *  - O_APPEND: a FUSE kernel decides where an appending write goes and sends the offset. With O_APPEND on the source's
 *    descriptor, pwrite would ignore it, and pages of a shared mapping, which the kernel may write back through any
 *    writable handle of the inode, would be appended to the file. Appends through one mount are serialised by the
 *    kernel; one that races with a writer outside the mount may overwrite its bytes, as on NFS.
 *  - O_CREAT, O_EXCL, O_NOCTTY: meaningless here. O_NOFOLLOW and O_NONBLOCK (a FIFO put in a file's place must not
 *    hold up anyone) are always set.
 */

import type { Carrier } from '../../sys/carrier.ts';
import { Errno, failed, type Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import { Residency } from '../../sys/residency.ts';
import { FileType } from '../attributes.ts';
import { byName, gone } from './by-name.ts';
import type { Context } from './context.ts';
import { descriptorPath } from './context.ts';
import type { Counts } from './counts.ts';
import { PosixFile } from './file.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_ACCMODE,
  O_CLOEXEC,
  O_DIRECT,
  O_DSYNC,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_SYNC,
  O_TRUNC,
  OPEN_KEPT,
} from './flags.ts';
import type { PosixNode } from './node.ts';
import { NameBuffer, NO_PATH_ADDRESS, StatxBuffer } from './statx.ts';
import { longTrip, type Steps, type Trip, trip } from './trips.ts';

/** Buffered reads stop at a page's end or at the file's end, so a short count elsewhere is the end of the file. */
const PAGE = 4096;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;

export function waits(flags: number): boolean {
  return (flags & (O_DIRECT | O_SYNC | O_DSYNC)) !== 0;
}

export class Files {
  readonly #context: Context;
  readonly #stat = new StatxBuffer();
  readonly #name = new NameBuffer();
  /** The source answers RWF_NOWAIT; memory file systems need not, and never wait. */
  #nowait = true;
  readonly #memory: boolean;
  readonly #residency = new Residency();
  /**
   * What is read goes to the source as it was asked for: nothing is read ahead, no request is cut to the kernel's idea of
   * a size, and no page is kept twice. By fcntl and not by open(2), whose flags a FUSE server is told and may act on.
   */
  readonly #direct: boolean;

  readonly #counts: Counts;

  constructor(context: Context, { memory, direct }: { memory: boolean; direct: boolean }) {
    this.#context = context;
    this.#counts = context.runner.counts;
    this.#memory = memory;
    this.#direct = direct;
  }

  open(node: PosixNode, flags: number): Reply<PosixFile> {
    const access = flags & O_ACCMODE;
    if (node.type === FileType.DIRECTORY) return -Errno.EISDIR;
    if (node.type === FileType.SYMLINK) return -Errno.ELOOP;
    if (node.type !== FileType.REGULAR) return -Errno.ENXIO;
    if (this.#context.readOnly && (access !== O_RDONLY || (flags & O_TRUNC) !== 0)) return -Errno.EROFS;
    const at = node.newest();
    if (!this.#context.runner.inline || at === undefined || (flags & O_TRUNC) !== 0) {
      return this.#context.runner.run(this.#openSteps(node, flags));
    }
    const dir = this.#context.descriptors.now(at.parent);
    if (dir >= 0 && this.#name.set(at.name)) {
      const kept = (flags & OPEN_KEPT) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
      const fd = sys.openatNow(dir, this.#name.address, kept, 0);
      this.#counts.open++;
      if (fd >= 0) {
        const mask = this.#context.statxMask;
        const result = sys.statxNow(fd, NO_PATH_ADDRESS, AT_EMPTY_PATH, mask, this.#stat.address);
        if (result === 0 && this.#stat.describes(node)) return new PosixFile(fd, access, waits(flags));
        sys.closeNow(fd);
      } else if (!gone(fd)) {
        this.#counts.failed(fd);
        this.#noteFlags(fd, flags);
        return fd;
      }
    }
    return this.#context.runner.run(this.#openSteps(node, flags));
  }

  *#openSteps(node: PosixNode, flags: number): Steps<PosixFile> {
    const kept = (flags & OPEN_KEPT) | O_NONBLOCK | O_CLOEXEC;
    const fd = yield* this.#openAny(node, kept);
    if (failed(fd)) {
      this.#noteFlags(fd, flags);
      return fd;
    }
    if ((flags & O_TRUNC) !== 0) {
      // A descriptor for reading cannot be truncated, but O_RDONLY | O_TRUNC is allowed to.
      const result =
        (flags & O_ACCMODE) === O_RDONLY
          ? yield trip(sys.truncate, descriptorPath(fd), 0)
          : yield trip(sys.ftruncate, fd, 0);
      if (result < 0) {
        this.#context.runner.close(fd);
        return result;
      }
    }
    if (this.#direct && (flags & O_ACCMODE) === O_RDONLY) {
      sys.fcntl.now(fd, F_SETFL, (kept & (O_NONBLOCK | O_NOATIME)) | O_DIRECT); // where it cannot, it reads as before
    }
    return new PosixFile(fd, flags & O_ACCMODE, waits(flags));
  }

  *#openAny(node: PosixNode, flags: number): Steps<number> {
    const { descriptors } = this.#context;
    const fd = yield* byName(node, function* ({ parent, name }): Steps<number> {
      const dir = yield* descriptors.hold(parent);
      if (failed(dir)) return dir;
      const opened = yield* descriptors.openVerified(dir, name, flags | O_NOFOLLOW, node);
      descriptors.drop(parent);
      return opened;
    });
    if (fd >= 0 || !gone(fd)) return fd;
    if (!node.held) return fd;
    node.uses++;
    try {
      return yield trip(sys.openat, AT_FDCWD, descriptorPath(node.fd), flags, 0);
    } finally {
      descriptors.drop(node);
    }
  }

  #noteFlags(outcome: number, flags: number): void {
    if (outcome === -Errno.EINVAL && (flags & O_DIRECT) !== 0) this.#context.missing.add('direct');
  }

  close(file: PosixFile): void {
    this.#context.close(file);
  }

  /**
   * What is in memory, without waiting: up to the end of the file, else EAGAIN. RWF_NOWAIT stops short where a page is
   * missing, which is not the end; so a count that stops at a page's end is asked once more.
   */
  readNow(file: PosixFile, into: Uint8Array, length: number, offset: number): number {
    if (!this.#context.runner.inline || file.waits) return -Errno.EAGAIN;
    if (this.#memory) return this.#readInline(sys.preadNow(file.fd, into, length, offset));
    if (!this.#nowait) return -Errno.EAGAIN;
    let done = sys.preadFlags(file.fd, into, length, offset, sys.RWF_NOWAIT);
    if (done === -Errno.EOPNOTSUPP) {
      this.#nowait = false;
      return -Errno.EAGAIN;
    }
    const wanted = Math.min(length, into.byteLength);
    while (done > 0 && done < wanted && (offset + done) % PAGE === 0) {
      const rest = into.subarray(done, wanted);
      const more = sys.preadFlags(file.fd, rest, rest.length, offset + done, sys.RWF_NOWAIT);
      if (more < 0) return more;
      if (more === 0) break;
      done += more;
    }
    return this.#readInline(done);
  }

  /** As `readNow`, past this process. */
  carryNow(file: PosixFile, carrier: Carrier, length: number, offset: number, end: number): number {
    if (!this.#context.runner.inline || file.waits) return -Errno.EAGAIN;
    const expected = Math.min(length, end - offset);
    if (expected <= 0 || !this.#residency.covers(file.fd, offset, expected)) return -Errno.EAGAIN;
    return carrier.take(file.fd, offset, expected, length) ? this.#readInline(expected) : -Errno.EAGAIN;
  }

  /** Counts a read on the calling thread; one that found nothing in memory is counted when it is made again. */
  #readInline(done: number): number {
    if (done === -Errno.EAGAIN) return done;
    this.#counts.read++;
    if (done < 0) this.#counts.failed(done);
    else this.#counts.bytesRead += done;
    return done;
  }

  /** On the pool. An error after some bytes is an error: a short count would mean the file's end. */
  async read(
    file: PosixFile,
    into: Uint8Array,
    length: number,
    offset: number,
    end = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    const wanted = Math.min(length, into.byteLength);
    let done = 0;
    file.uses++;
    while (done < wanted) {
      const rest = done === 0 && wanted === into.byteLength ? into : into.subarray(done, wanted);
      const count = await this.#onPool(file, longTrip(sys.pread, file.fd, rest, wanted - done, offset + done));
      if (count < 0) done = count;
      if (count <= 0) break;
      done += count;
      if (offset + done >= end) break; // else it costs one more trip to be told that this was the end
    }
    this.#context.used(file);
    return done;
  }

  write(file: PosixFile, data: Uint8Array, offset: number): Reply<number> {
    if (this.#context.runner.inline && !file.waits) {
      const count = sys.pwriteNow(file.fd, data, offset);
      this.#counts.write++;
      if (count < 0) this.#counts.failed(count);
      else this.#counts.bytesWritten += count;
      return count;
    }
    return this.#onPool(file, longTrip(sys.pwrite, file.fd, data, data.byteLength, offset));
  }

  /** A second descriptor is closed: that is what makes a network store report what it could not write. */
  async #flushLater(file: PosixFile): Promise<number> {
    const copy = sys.fcntl.now(file.fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? copy : this.#onPool(file, longTrip(sys.close, copy));
  }

  flush(file: PosixFile): Reply<number> {
    if (this.#context.runner.inline || file.accessMode === O_RDONLY) return 0;
    return this.#flushLater(file);
  }

  async sync(file: PosixFile, dataOnly: boolean): Promise<number> {
    return this.#onPool(file, longTrip(dataOnly ? sys.fdatasync : sys.fsync, file.fd));
  }

  async allocate(file: PosixFile, mode: number, offset: number, length: number): Promise<number> {
    const result = await this.#onPool(file, longTrip(sys.fallocate, file.fd, mode, offset, length));
    if (result === -Errno.EOPNOTSUPP && mode === 0) this.#context.missing.add('fallocate');
    return result;
  }

  seek(file: PosixFile, offset: number, whence: number): Reply<number> {
    if (this.#context.runner.inline) {
      this.#counts.seek++;
      return sys.lseek.now(file.fd, offset, whence);
    }
    return this.#onPool(file, longTrip(sys.lseek, file.fd, offset, whence));
  }

  async copyRange(
    from: PosixFile,
    fromOffset: number,
    to: PosixFile,
    toOffset: number,
    length: number,
  ): Promise<number> {
    const offsets = [Buffer.alloc(8), Buffer.alloc(8)] as const;
    offsets[0].writeBigInt64LE(BigInt(fromOffset));
    offsets[1].writeBigInt64LE(BigInt(toOffset));
    to.uses++;
    try {
      const call = longTrip(sys.copyFileRange, from.fd, offsets[0], to.fd, offsets[1], length, 0);
      return await this.#onPool(from, call);
    } finally {
      this.#context.used(to);
    }
  }

  /** A call on the pool during which the file's descriptor stays open. */
  async #onPool(file: PosixFile, call: Trip): Promise<number> {
    if (file.fd < 0) return -Errno.EBADF;
    file.uses++;
    const result = await this.#context.runner.alone(call);
    this.#context.used(file);
    return result;
  }
}
