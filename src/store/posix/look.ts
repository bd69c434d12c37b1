/** Finding and describing: lookup, attributes, revalidate, readlink, list. The first three are the hottest of a store. */
import { Errno, failed, type Outcome, type Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Attributes } from '../attributes.ts';
import type { DirectoryEntry, Found } from '../store.ts';
import { byName, gone, untilSettled } from './by-name.ts';
import { type Context, descriptorPath } from './context.ts';
import type { PosixFile } from './file.ts';
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_RDONLY, STAT_NAME } from './flags.ts';
import type { Location, PosixNode } from './node.ts';
import { NameBuffer, NO_PATH_ADDRESS, StatxBuffer } from './statx.ts';
import { longTrip, type Steps, trip } from './trips.ts';

/** One getdents64 call; the kernel fills it with some 1,500 short names. */
const LIST_BUFFER = 64 * 1024;
/** Calls an inline store makes in one turn; the rest of a larger directory is read by the pool, about 0.3 ms a call. */
const LIST_TURN = 16;
/** PATH_MAX: no file system of Linux stores a longer target. */
const TARGET_MAX = 4096;

export class Look {
  readonly #context: Context;
  readonly #stat = new StatxBuffer();
  readonly #name = new NameBuffer();
  readonly #spareLists: Buffer[] = [];

  constructor(context: Context) {
    this.#context = context;
  }

  lookup(parent: PosixNode, name: string): Reply<Found> {
    const context = this.#context;
    if (!context.runner.inline) return context.runner.run(this.#lookupSteps(parent, name));
    const result = this.#statNow(parent, name);
    return result < 0 ? result : this.#stat.found(context.root.device);
  }

  *#lookupSteps(parent: PosixNode, name: string): Steps<Found> {
    return yield* this.#context.within(parent, (dir) => this.#context.find(dir, name));
  }

  #statNow(parent: PosixNode, name: string): number {
    const dir = this.#context.descriptors.now(parent);
    if (dir < 0) return dir;
    if (!this.#name.set(name)) return -Errno.ENAMETOOLONG;
    const { counts } = this.#context.runner;
    counts.lookup++;
    const result = sys.statxNow(dir, this.#name.address, STAT_NAME, this.#context.statxMask, this.#stat.address);
    if (result < 0) counts.failed(result);
    return result;
  }

  #statOpenNow(fd: number): Reply<Attributes> {
    const result = sys.statxNow(fd, NO_PATH_ADDRESS, AT_EMPTY_PATH, this.#context.statxMask, this.#stat.address);
    const { counts } = this.#context.runner;
    counts.attributes++;
    if (result < 0) counts.failed(result);
    return result < 0 ? result : this.#stat.attributes();
  }

  attributes(node: PosixNode, file: PosixFile | undefined): Reply<Attributes> {
    const context = this.#context;
    if (!context.runner.inline) return context.runner.run(this.#attributesSteps(node, file));
    if (file) return this.#statOpenNow(file.fd);
    for (let i = node.locations.length - 1; i >= 0; i--) {
      const { parent, name } = node.locations[i]!;
      if (this.#statNow(parent, name) === 0 && this.#stat.describes(node)) return this.#stat.attributes();
    }
    return node.held ? this.#statOpenNow(node.fd) : -Errno.ESTALE;
  }

  *#attributesSteps(node: PosixNode, file: PosixFile | undefined): Steps<Attributes> {
    const context = this.#context;
    if (file) return yield* context.withFile(file, (fd) => context.attributesOf(fd));
    const outcome = yield* byName(node, (at) => this.#attributesAt(node, at));
    if (!failed(outcome) || !node.held) return outcome;
    node.uses++;
    try {
      return yield* context.attributesOf(node.fd);
    } finally {
      context.descriptors.drop(node);
    }
  }

  *#attributesAt(node: PosixNode, at: { parent: PosixNode; name: string }): Steps<Attributes> {
    const context = this.#context;
    const dir = yield* context.descriptors.hold(at.parent);
    if (failed(dir)) return dir;
    const buffer = context.buffers.take();
    const result = yield trip(sys.statx, dir, sys.cstring(at.name), STAT_NAME, context.statxMask, buffer.bytes);
    context.descriptors.drop(at.parent);
    const same = result >= 0 && buffer.describes(node);
    const outcome = result < 0 ? result : same ? buffer.attributes() : -Errno.ESTALE;
    context.buffers.give(buffer);
    return outcome;
  }

  /**
   * Of a file with several names nobody says which one it is opened by. So every name must still lead to it; those that do
   * not are dropped, all at once: whoever asked looks its own name up again, and asks no third time.
   */
  revalidate(node: PosixNode): Reply<Attributes> {
    const at = node.newest();
    if (at === undefined) return node === this.#context.root ? this.attributes(node, undefined) : -Errno.ENOENT;
    if (!this.#context.runner.inline) {
      return this.#context.runner.run(untilSettled(node, () => this.#revalidateSteps(node)));
    }
    let failure = 0;
    for (let i = node.locations.length - 1; i >= 0; i--) {
      const { parent, name } = node.locations[i]!;
      const result = this.#statNow(parent, name);
      if (result === 0 && this.#stat.describes(node)) continue;
      failure = result < 0 ? result : -Errno.ESTALE;
      if (!gone(failure)) return failure;
      node.dropLocation(parent, name);
    }
    return failure < 0 ? failure : this.#stat.attributes();
  }

  *#revalidateSteps(node: PosixNode): Steps<Attributes> {
    const { moves } = node;
    const dead: Location[] = [];
    let outcome: Outcome<Attributes> = -Errno.ESTALE;
    for (const at of [...node.locations]) {
      const found = yield* this.#attributesAt(node, at);
      if (failed(found) && !gone(found)) return found;
      if (failed(found)) dead.push(at);
      if (failed(found) || dead.length === 0) outcome = found;
    }
    // What a move of ours may have brought about meanwhile says nothing of the names as they are known now.
    if (node.moves === moves && node.moving === undefined) {
      for (const at of dead) node.dropLocation(at.parent, at.name);
    }
    return outcome;
  }

  readlink(node: PosixNode): Reply<Buffer> {
    return this.#context.runner.run(this.#context.withNode(node, readTarget));
  }

  list(node: PosixNode): Reply<DirectoryEntry[]> {
    return this.#context.runner.run(this.#context.within(node, (dir) => this.#listSteps(dir)));
  }

  *#listSteps(dir: number): Steps<DirectoryEntry[]> {
    // Not by ".": that asks for the right to enter the directory, and listing it needs only the right to read.
    const fd = yield trip(sys.openat, AT_FDCWD, descriptorPath(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) return fd;
    const buffer = this.#spareLists.pop() ?? Buffer.from(new ArrayBuffer(LIST_BUFFER));
    const entries: DirectoryEntry[] = [];
    try {
      for (let calls = 0; ; calls++) {
        const make = calls < LIST_TURN ? trip : longTrip;
        const count = yield make(sys.getdents64, fd, buffer, LIST_BUFFER);
        if (count < 0) return count;
        if (count === 0) return entries;
        parseEntries(buffer, count, entries);
      }
    } finally {
      this.#spareLists.push(buffer);
      this.#context.runner.close(fd);
    }
  }
}

const EMPTY = sys.cstring('');

function* readTarget(fd: number): Steps<Buffer> {
  const target = Buffer.allocUnsafe(TARGET_MAX);
  const length = yield trip(sys.readlinkat, fd, EMPTY, target, TARGET_MAX);
  if (length === -Errno.ENOENT) return -Errno.EINVAL; // what the kernel calls "not a symbolic link" without a path
  return length < 0 ? length : Buffer.from(target.subarray(0, length));
}

/** struct linux_dirent64: u64 ino, i64 offset, u16 length of the record, u8 type, NUL-terminated name, padding to 8. */
export function parseEntries(buffer: Buffer, count: number, into: DirectoryEntry[]): void {
  const inodes = new BigUint64Array(buffer.buffer, buffer.byteOffset, buffer.byteLength >> 3);
  for (let at = 0; at < count; ) {
    const length = buffer[at + 16]! | (buffer[at + 17]! << 8);
    // The name ends within the record's last eight bytes.
    let end = Math.max(at + 19, at + length - 8);
    while (buffer[end] !== 0) end++;
    const name = buffer.toString('latin1', at + 19, end);
    if (name !== '.' && name !== '..') into.push({ name, type: buffer[at + 18]!, ino: inodes[at >> 3]! });
    at += length;
  }
}
