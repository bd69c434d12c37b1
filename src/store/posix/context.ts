/** What the operations of a posix store share. */
import { Errno, failed } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Attributes } from '../attributes.ts';
import type { Found } from '../store.ts';
import type { Descriptors } from './descriptors.ts';
import type { PosixFile } from './file.ts';
import { AT_EMPTY_PATH, STAT_NAME } from './flags.ts';
import type { PosixNode } from './node.ts';
import { NO_PATH, type StatxBuffers } from './statx.ts';
import { type Runner, type Steps, trip } from './trips.ts';

export class Context {
  readonly root: PosixNode;
  readonly runner: Runner;
  readonly descriptors: Descriptors;
  readonly buffers: StatxBuffers;
  readonly statxMask: number;
  readonly readOnly: boolean;
  /** Capabilities that a call has shown to be missing. */
  readonly missing: Set<string> = new Set();
  /** Whether a file about to lose its last name is kept reachable; see names.ts. */
  readonly pins: boolean;

  constructor(parts: {
    root: PosixNode;
    runner: Runner;
    descriptors: Descriptors;
    buffers: StatxBuffers;
    statxMask: number;
    readOnly: boolean;
    pins: boolean;
  }) {
    this.root = parts.root;
    this.runner = parts.runner;
    this.descriptors = parts.descriptors;
    this.buffers = parts.buffers;
    this.statxMask = parts.statxMask;
    this.readOnly = parts.readOnly;
    this.pins = parts.pins;
  }

  /** What is at dir/name. */
  *find(dir: number, name: string): Steps<Found> {
    if (name.length > 4095) return -Errno.ENAMETOOLONG;
    const buffer = this.buffers.take();
    const result = yield trip(sys.statx, dir, sys.cstring(name), STAT_NAME, this.statxMask, buffer.bytes);
    const outcome = result < 0 ? result : buffer.found(this.root.device);
    this.buffers.give(buffer);
    return outcome;
  }

  /** What an open descriptor is of. */
  *findOpen(fd: number): Steps<Found> {
    const buffer = this.buffers.take();
    const result = yield trip(sys.statx, fd, NO_PATH, AT_EMPTY_PATH, this.statxMask, buffer.bytes);
    const outcome = result < 0 ? result : buffer.found(this.root.device);
    this.buffers.give(buffer);
    return outcome;
  }

  *attributesOf(fd: number): Steps<Attributes> {
    const found = yield* this.findOpen(fd);
    return failed(found) ? found : found.attributes;
  }

  /** Runs steps with a directory's descriptor held. */
  *within<T>(directory: PosixNode, steps: (dir: number) => Steps<T>): Steps<T> {
    const dir = yield* this.descriptors.hold(directory);
    if (failed(dir)) return dir;
    try {
      return yield* steps(dir);
    } finally {
      this.descriptors.drop(directory);
    }
  }

  /** Runs steps with an open file's descriptor, which stays open until they end even when the file is closed meanwhile. */
  *withFile<T>(file: PosixFile, steps: (fd: number) => Steps<T>): Steps<T> {
    if (file.fd < 0) return -Errno.EBADF;
    file.uses++;
    try {
      return yield* steps(file.fd);
    } finally {
      this.used(file);
    }
  }

  /** Ends one use of a file; the last use of one that was closed meanwhile closes its descriptor. */
  used(file: PosixFile): void {
    file.uses--;
    if (file.uses === 0 && file.closing) this.close(file);
  }

  /** Closes a file, now or after its last use. */
  close(file: PosixFile): void {
    if (file.uses > 0) {
      file.closing = true;
      return;
    }
    const { fd } = file;
    if (fd < 0) return;
    file.fd = -1;
    this.runner.counts.closes++;
    this.runner.close(fd);
  }

  /** Runs steps with a verified O_PATH descriptor of a node of any type held. */
  *withNode<T>(node: PosixNode, steps: (fd: number) => Steps<T>): Steps<T> {
    const fd = yield* this.descriptors.holdAny(node);
    if (failed(fd)) return fd;
    try {
      return yield* steps(fd);
    } finally {
      this.descriptors.dropAny(node, fd);
    }
  }
}

/** The path of an open descriptor's file, whatever has become of its name: a link the kernel follows to the inode itself. */
export function descriptorPath(fd: number): Buffer {
  return sys.cstring(`/proc/self/fd/${fd}`);
}
