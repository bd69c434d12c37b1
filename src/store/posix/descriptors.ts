/**
 * The O_PATH descriptors of nodes: directories that names are resolved in, and files that have lost their name.
 *
 * Every name is resolved as one component in a directory's descriptor that was itself reached so, from the root's, and
 * whose identity was checked after opening. No path with a "/" in it ever reaches the kernel, and no symbolic link is
 * followed, so whatever is swapped while this runs, a call either happens in the directory that was meant or fails.
 *
 * Descriptors are kept in a list by last use and bounded; directories are reopened when needed. One that a call under way
 * uses is never closed. INVARIANT: a node is in the list if and only if it has a descriptor and is not pinned.
 */
import { Errno, failed } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import { byName, gone } from './by-name.ts';
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC, OPEN_DIRECTORY, OPEN_PINNED } from './flags.ts';
import type { Location, PosixNode } from './node.ts';
import { NameBuffer, NO_PATH, NO_PATH_ADDRESS, StatxBuffer, type StatxBuffers } from './statx.ts';
import { type Runner, type Steps, trip } from './trips.ts';

export interface DescriptorOptions {
  runner: Runner;
  buffers: StatxBuffers;
  /** Directories kept open at most, the root apart. */
  limit: number;
  statxMask: number;
  /** statx(DONT_SYNC) of an open descriptor never asks the source: it may be made on the calling thread. */
  localStat: boolean;
}

export class Descriptors {
  readonly #runner: Runner;
  readonly #buffers: StatxBuffers;
  readonly #limit: number;
  readonly #mask: number;
  readonly #localStat: boolean;
  readonly #stat = new StatxBuffer();
  readonly #name = new NameBuffer();
  /** Directories that are being opened, and of each the one that has to be open before. INVARIANT: no circles. */
  readonly #waitsFor = new Map<PosixNode, PosixNode>();
  #oldest: PosixNode | undefined;
  #newest: PosixNode | undefined;
  #count = 0;

  constructor(options: DescriptorOptions) {
    this.#runner = options.runner;
    this.#buffers = options.buffers;
    this.#limit = options.limit;
    this.#mask = options.statxMask;
    this.#localStat = options.localStat;
  }

  /** Descriptors in the list. */
  get open(): number {
    return this.#count;
  }

  /** A directory's descriptor on an inline store, to be used before anything else is asked of this class. */
  now(node: PosixNode): number {
    if (node.fd >= 0) {
      if (node !== this.#newest && !node.pinned) this.#touch(node);
      return node.fd;
    }
    return this.#openNow(node);
  }

  /** Opens a directory through its ancestors on the calling thread: from the deepest that is open, downwards. */
  #openNow(node: PosixNode): number {
    if (!node.isDirectory) return -Errno.ENOTDIR;
    let failure: number = -Errno.ESTALE;
    for (let i = node.locations.length - 1; i >= 0; i--) {
      const { parent, name } = node.locations[i]!;
      if (!this.#waits(node, parent)) continue;
      const dir = this.now(parent);
      this.#waitsFor.delete(node);
      if (dir < 0) {
        failure = dir;
        continue;
      }
      if (!this.#name.set(name)) continue;
      const fd = this.#openVerifiedNow(dir, this.#name.address, OPEN_DIRECTORY, node);
      if (fd >= 0) {
        this.#keep(node, fd);
        return fd;
      }
      if (!gone(fd)) failure = fd;
    }
    return failure;
  }

  /**
   * Notes that a directory is opened by way of another; false: that one is being opened by way of this. Two that others
   * have moved about may each be known to be in the other.
   */
  #waits(node: PosixNode, parent: PosixNode): boolean {
    for (let at: PosixNode | undefined = parent; at !== undefined; at = this.#waitsFor.get(at)) {
      if (at === node) return false;
    }
    this.#waitsFor.set(node, parent);
    return true;
  }

  /** A verified O_PATH descriptor of a node by its newest name, on an inline store; the caller closes it. */
  openNow(node: PosixNode): number {
    const at = node.newest();
    if (at === undefined) return -Errno.ESTALE;
    const dir = this.now(at.parent);
    if (dir < 0) return dir;
    if (!this.#name.set(at.name)) return -Errno.ENAMETOOLONG;
    return this.#openVerifiedNow(dir, this.#name.address, OPEN_PINNED, node);
  }

  /** As `openVerified`, on the calling thread, by the address of a name. */
  #openVerifiedNow(dir: number, name: number, flags: number, node: PosixNode): number {
    const fd = sys.openatNow(dir, name, flags, 0);
    this.#runner.counts.walks++;
    if (fd < 0) return fd;
    const stat = sys.statxNow(fd, NO_PATH_ADDRESS, AT_EMPTY_PATH, this.#mask, this.#stat.address);
    if (stat === 0 && this.#stat.describes(node)) return fd;
    sys.closeNow(fd);
    return -Errno.ESTALE;
  }

  /** A directory's descriptor, held until `drop`. A failure holds nothing. */
  *hold(node: PosixNode): Steps<number> {
    node.uses++;
    if (node.fd < 0 && !this.#runner.inline) {
      // Others who need the same directory meanwhile wait for this one open.
      node.opening ??= this.#openShared(node);
      const outcome = yield node.opening;
      if (outcome < 0) {
        this.drop(node);
        return outcome;
      }
    }
    const fd = this.now(node);
    if (fd < 0) this.drop(node);
    return fd;
  }

  drop(node: PosixNode): void {
    node.uses--;
    if (node.uses === 0 && node.closing) this.release(node);
  }

  async #openShared(node: PosixNode): Promise<number> {
    const outcome = await this.#runner.run(this.#openLater(node));
    node.opening = undefined;
    return outcome;
  }

  *#openLater(node: PosixNode): Steps<number> {
    if (!node.isDirectory) return -Errno.ENOTDIR;
    const fd = yield* byName(node, (at) => this.#openDirectoryAt(at, node));
    if (fd < 0) return fd;
    if (node.fd >= 0) this.#runner.close(fd);
    else this.#keep(node, fd);
    return node.fd;
  }

  /** Opens dir/name and makes sure that it is `node`; ESTALE when it is another file. */
  *openVerified(dir: number, name: string, flags: number, node: PosixNode): Steps<number> {
    if (name.length > 4095) return -Errno.ENAMETOOLONG;
    const fd = yield trip(sys.openat, dir, sys.cstring(name), flags, 0);
    if (fd < 0) return fd;
    const outcome = yield* this.verify(fd, node);
    if (outcome < 0) {
      this.#runner.close(fd);
      return outcome;
    }
    return fd;
  }

  /** Whether a descriptor is of `node`: 0, or ESTALE. Costs a network store nothing: what it knows of the file is asked. */
  *verify(fd: number, node: PosixNode): Steps<0> {
    const buffer = this.#buffers.take();
    const flags = this.#runner.inline ? AT_EMPTY_PATH : AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    const result = this.#localStat
      ? sys.statxNow(fd, NO_PATH_ADDRESS, flags, this.#mask, buffer.address)
      : yield trip(sys.statx, fd, NO_PATH, flags, this.#mask, buffer.bytes);
    const same = result >= 0 && buffer.describes(node);
    if (same) node.links = buffer.links();
    this.#buffers.give(buffer);
    if (result < 0) return result;
    return same ? 0 : -Errno.ESTALE;
  }

  /**
   * An O_PATH descriptor of any node, verified, held until `dropAny` is called with it. Directories and pinned files
   * have one; other files get one for the length of the operation.
   */
  *holdAny(node: PosixNode): Steps<number> {
    if (node.isDirectory || node.fd >= 0) {
      if (!node.isDirectory) {
        node.uses++;
        return node.fd;
      }
      return yield* this.hold(node);
    }
    return yield* byName(node, (at) => this.#openAt(at, OPEN_PINNED, node));
  }

  dropAny(node: PosixNode, fd: number): void {
    if (fd === node.fd) this.drop(node);
    else this.#runner.close(fd);
  }

  *#openDirectoryAt(at: Location, node: PosixNode): Steps<number> {
    if (!this.#waits(node, at.parent)) return -Errno.ESTALE;
    const fd = yield* this.#openAt(at, OPEN_DIRECTORY, node);
    this.#waitsFor.delete(node);
    return fd;
  }

  *#openAt({ parent, name }: Location, flags: number, node: PosixNode): Steps<number> {
    const dir = yield* this.hold(parent);
    if (failed(dir)) return dir;
    const fd = yield* this.openVerified(dir, name, flags, node);
    this.drop(parent);
    return fd;
  }

  /**
   * Makes sure that a node about to lose a name can still be reached; `dir` is the descriptor of the directory its name
   * is in. Fails silently: an unpinned file answers ESTALE afterwards.
   */
  *pin(node: PosixNode, dir: number, name: string): Steps<0> {
    node.uses++; // given back meanwhile, it is closed by the drop
    try {
      if (node.fd >= 0) {
        if (!node.pinned) yield* this.verify(node.fd, node); // for its link count
      } else {
        const fd = yield* this.openVerified(dir, name, OPEN_PINNED, node);
        if (node.fd < 0) {
          if (fd < 0) return 0;
          this.adopt(node, fd);
          return 0;
        }
        if (fd >= 0) this.#runner.close(fd); // whoever uses the directory has opened it meanwhile
      }
      if (!node.pinned) this.#unlink(node);
      node.pinned = true;
      return 0;
    } finally {
      this.drop(node);
    }
  }

  /** As `pin`, of a node without a descriptor on an inline store, by the address of its name. Whether it is pinned now. */
  pinNow(node: PosixNode, dir: number, name: number): boolean {
    const fd = this.#openVerifiedNow(dir, name, OPEN_PINNED, node);
    if (fd < 0) return false;
    node.links = this.#stat.links();
    this.adopt(node, fd);
    return true;
  }

  /** Takes a pin back: the node has a name after all. Its descriptor goes when there is need for others. */
  unpin(node: PosixNode): void {
    if (!node.pinned) return;
    node.pinned = false;
    this.#append(node);
    this.#makeRoom(node);
  }

  /** Gives a node without a descriptor one that is kept until release. */
  adopt(node: PosixNode, fd: number): void {
    node.fd = fd;
    node.pinned = true;
  }

  release(node: PosixNode): void {
    if (node.uses > 0) {
      node.closing = true;
      return;
    }
    node.closing = false;
    if (node.fd < 0) return;
    if (!node.pinned) this.#unlink(node);
    node.pinned = false;
    this.#close(node);
  }

  /** Closes every directory. Only when no call is under way. */
  closeAll(): void {
    while (this.#oldest) {
      const node = this.#oldest;
      this.#unlink(node);
      this.#close(node);
    }
  }

  #close(node: PosixNode): void {
    const fd = node.fd;
    node.fd = -1;
    this.#runner.close(fd);
  }

  #keep(node: PosixNode, fd: number): void {
    node.fd = fd;
    this.#append(node);
    this.#makeRoom(node);
  }

  /** Closes what was used least, but not what is in use, nor `node`. */
  #makeRoom(node: PosixNode): void {
    let candidate = this.#oldest;
    while (this.#count > this.#limit && candidate && candidate !== node) {
      const next: PosixNode | undefined = candidate.newer;
      if (candidate.uses === 0) {
        this.#unlink(candidate);
        this.#close(candidate);
      }
      candidate = next;
    }
  }

  #touch(node: PosixNode): void {
    this.#unlink(node);
    this.#append(node);
  }

  #append(node: PosixNode): void {
    node.older = this.#newest;
    node.newer = undefined;
    if (this.#newest) this.#newest.newer = node;
    else this.#oldest = node;
    this.#newest = node;
    this.#count++;
  }

  #unlink(node: PosixNode): void {
    if (node.older) node.older.newer = node.newer;
    else this.#oldest = node.newer;
    if (node.newer) node.newer.older = node.older;
    else this.#newest = node.older;
    node.older = undefined;
    node.newer = undefined;
    this.#count--;
  }
}
