/**
 * Making, linking, moving and removing names.
 *
 * A file that loses its last name while somebody still refers to it must go on answering (fstat after unlink, linking
 * an unnamed file). So it is pinned with an O_PATH descriptor first. Not over NFS: there a descriptor turns the removal
 * into a rename to .nfsXXXX, and the directory could not be removed until the pin is gone.
 */
import { Errno, failed, type Reply } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import { FileType } from '../attributes.ts';
import type { Found, Identity } from '../store.ts';
import { byName, gone, whileMoving } from './by-name.ts';
import { type Context, descriptorPath } from './context.ts';
import { createsAs } from './credentials.ts';
import { PosixFile } from './file.ts';
import { waits } from './files.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  OPEN_KEPT,
  RENAME_EXCHANGE,
} from './flags.ts';
import { PosixNode } from './node.ts';
import { NameBuffer, NO_PATH_ADDRESS, StatxBuffer } from './statx.ts';
import { type Steps, type Trip, trip, tripAs } from './trips.ts';

const DOT = sys.cstring('.');

interface Made {
  found: Found;
  file: PosixFile;
}

export class Names {
  readonly #context: Context;
  readonly #stat = new StatxBuffer();
  readonly #name = new NameBuffer();

  constructor(context: Context) {
    this.#context = context;
  }

  makeNode(parent: PosixNode, name: string, mode: number, rdev: number, who: Identity): Reply<Found> {
    return this.#make(parent, name, (dir) => tripAs(who, sys.mknodat, dir, sys.cstring(name), mode, rdev));
  }

  makeDirectory(parent: PosixNode, name: string, mode: number, who: Identity): Reply<Found> {
    return this.#make(parent, name, (dir) => tripAs(who, sys.mkdirat, dir, sys.cstring(name), mode));
  }

  makeSymlink(parent: PosixNode, name: string, target: Buffer, who: Identity): Reply<Found> {
    const terminated = Buffer.concat([target, Buffer.alloc(1)]);
    return this.#make(parent, name, (dir) => tripAs(who, sys.symlinkat, terminated, dir, sys.cstring(name)));
  }

  #make(parent: PosixNode, name: string, call: (dir: number) => Trip): Reply<Found> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    return context.runner.run(
      context.within(parent, function* (dir): Steps<Found> {
        const result = yield call(dir);
        return result < 0 ? result : yield* context.find(dir, name);
      }),
    );
  }

  makeLink(node: PosixNode, parent: PosixNode, name: string): Reply<Found> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    return context.runner.run(context.within(parent, (dir) => this.#linkSteps(node, parent, name, dir)));
  }

  *#linkSteps(node: PosixNode, parent: PosixNode, name: string, dir: number): Steps<Found> {
    const { moves } = node;
    const found = yield* this.#linkAny(node, dir, name);
    if (failed(found)) {
      if (found === -Errno.EOPNOTSUPP) this.#context.missing.add('hardlink');
      return found;
    }
    node.addLocation(parent, name);
    // One that was made without a name has one now. Not while that may be going again: then the pin is for good.
    if (node.moves === moves && node.moving === undefined) this.#context.descriptors.unpin(node);
    return found;
  }

  *#linkAny(node: PosixNode, dir: number, name: string): Steps<Found> {
    const { descriptors } = this.#context;
    const newName = sys.cstring(name);
    const linked = this.#linked.bind(this, node, dir, name);
    let missing = false; // the file, or the directory that the new name shall be in
    const outcome = yield* byName(node, function* (at): Steps<Found> {
      const from = yield* descriptors.hold(at.parent);
      if (failed(from)) return from;
      const result = yield trip(sys.linkat, from, sys.cstring(at.name), dir, newName, 0);
      descriptors.drop(at.parent);
      missing = result === -Errno.ENOENT;
      return result < 0 ? result : yield* linked();
    });
    if (!failed(outcome) || !gone(outcome)) return outcome;
    if (!node.held) return missing ? -Errno.ENOENT : outcome;
    node.uses++;
    try {
      const path = descriptorPath(node.fd);
      const result = yield trip(sys.linkat, AT_FDCWD, path, dir, newName, AT_SYMLINK_FOLLOW);
      return result < 0 ? result : yield* linked();
    } finally {
      descriptors.drop(node);
    }
  }

  /** What a new name leads to. Of another file, which had been put in the place of the one meant, it is taken back. */
  *#linked(node: PosixNode, dir: number, name: string): Steps<Found> {
    const found = yield* this.#context.find(dir, name);
    if (failed(found) || (found.id === node.id && found.birth === node.birth)) return found;
    yield trip(sys.unlinkat, dir, sys.cstring(name), 0);
    return -Errno.ESTALE;
  }

  unlink(parent: PosixNode, name: string, node: PosixNode | undefined): Reply<0> {
    return this.#remove(parent, name, 0, node);
  }

  removeDirectory(parent: PosixNode, name: string, node: PosixNode | undefined): Reply<0> {
    return this.#remove(parent, name, AT_REMOVEDIR, node);
  }

  #remove(parent: PosixNode, name: string, flags: number, node: PosixNode | undefined): Reply<0> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    // What has a descriptor already is a directory, or is pinned: there the pin has more to it.
    if (context.runner.inline && (node === undefined || node.fd < 0)) return this.#removeNow(parent, name, flags, node);
    const remove = (dir: number): Steps<0> => this.#removeSteps(parent, name, flags, node, dir);
    return context.runner.run(context.within(parent, (dir) => whileMoving([node], remove(dir))));
  }

  #removeNow(parent: PosixNode, name: string, flags: number, node: PosixNode | undefined): number {
    const { descriptors, runner, pins } = this.#context;
    const dir = descriptors.now(parent);
    if (dir < 0) return dir;
    if (!this.#name.set(name)) return -Errno.ENAMETOOLONG;
    const { address } = this.#name;
    const pinned = node !== undefined && pins && descriptors.pinNow(node, dir, address);
    node?.moveBegins();
    const result = sys.unlinkatNow(dir, address, flags);
    runner.counts.name++;
    if (result < 0) runner.counts.failed(result);
    else node?.removeLocation(parent, name);
    if (pinned) this.#pinNoLongerThanNeeded(node!, result);
    node?.moveEnds();
    return result;
  }

  *#removeSteps(parent: PosixNode, name: string, flags: number, node: PosixNode | undefined, dir: number): Steps<0> {
    const pinned = yield* this.#pin(node, dir, name);
    const result = yield trip(sys.unlinkat, dir, sys.cstring(name), flags);
    if (result === 0) node?.removeLocation(parent, name);
    if (pinned === 1) this.#pinNoLongerThanNeeded(node!, result);
    return result as 0;
  }

  /** Pins what is about to lose a name, which may be its last: the other names known may be out of date. 1: by this. */
  *#pin(node: PosixNode | undefined, dir: number, name: string): Steps<number> {
    const { pins, descriptors } = this.#context;
    if (!node || node.pinned || !pins) return 0;
    yield* descriptors.pin(node, dir, name);
    return node.pinned ? 1 : 0;
  }

  /** A file that has other names goes on by them; a descriptor for each would have no bound. */
  #pinNoLongerThanNeeded(node: PosixNode, removed: number): void {
    if (removed < 0 || (node.links > 1 && !node.isDirectory)) this.#context.descriptors.unpin(node);
  }

  rename(
    parent: PosixNode,
    name: string,
    newParent: PosixNode,
    newName: string,
    flags: number,
    node: PosixNode | undefined,
    target: PosixNode | undefined,
  ): Reply<0> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    const rename = this.#renameSteps.bind(this, parent, name, newParent, newName, flags, node, target);
    return context.runner.run(
      context.within(parent, (dir) =>
        context.within(newParent, (newDir) => whileMoving([node, target], rename(dir, newDir))),
      ),
    );
  }

  *#renameSteps(
    parent: PosixNode,
    name: string,
    newParent: PosixNode,
    newName: string,
    flags: number,
    node: PosixNode | undefined,
    target: PosixNode | undefined,
    dir: number,
    newDir: number,
  ): Steps<0> {
    const replaced = flags === 0 && target !== node ? target : undefined;
    const pinned = yield* this.#pin(replaced, newDir, newName);
    const result = yield trip(sys.renameat2, dir, sys.cstring(name), newDir, sys.cstring(newName), flags);
    if (pinned === 1) this.#pinNoLongerThanNeeded(replaced!, result);
    if (result < 0) {
      if (result === -Errno.EINVAL && flags === RENAME_EXCHANGE) this.#context.missing.add('exchange');
      return result;
    }
    // Two names of one file: rename does nothing, both stay. A directory has one: what was believed of it was old.
    if (node !== undefined && node === target && !node.isDirectory) return 0;
    node?.removeLocation(parent, name);
    target?.removeLocation(newParent, newName);
    node?.addLocation(newParent, newName);
    if (flags === RENAME_EXCHANGE) target?.addLocation(parent, name);
    return 0;
  }

  create(parent: PosixNode, name: string, mode: number, flags: number, who: Identity): Reply<Made> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    const kept = (flags & (OPEN_KEPT | O_EXCL)) | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    if (context.runner.inline && createsAs(who)) return this.#createNow(parent, name, mode, flags, kept);
    return context.runner.run(
      context.within(parent, function* (dir): Steps<Made> {
        const fd = yield tripAs(who, sys.openat, dir, sys.cstring(name), kept, mode & 0o7777);
        return fd < 0 ? notMade(fd) : yield* made(context, fd, flags);
      }),
    );
  }

  #createNow(parent: PosixNode, name: string, mode: number, flags: number, kept: number): Reply<Made> {
    const context = this.#context;
    const { counts } = context.runner;
    const dir = context.descriptors.now(parent);
    if (dir < 0) return dir;
    if (!this.#name.set(name)) return -Errno.ENAMETOOLONG;
    const fd = sys.openatNow(dir, this.#name.address, kept, mode & 0o7777);
    counts.create++;
    if (fd < 0) {
      counts.failed(fd);
      return notMade(fd);
    }
    // New, in all likelihood. What more there is to do with one that was there already is done by the steps.
    const stat = this.#stat;
    const result = sys.statxNow(fd, NO_PATH_ADDRESS, AT_EMPTY_PATH, context.statxMask, stat.address);
    counts.attributes++;
    if (result === 0 && stat.type() === FileType.REGULAR && ((flags & O_TRUNC) === 0 || stat.size() === 0)) {
      return { found: stat.found(context.root.device), file: new PosixFile(fd, flags & O_ACCMODE, waits(flags)) };
    }
    return context.runner.run(made(context, fd, flags));
  }

  createUnnamed(
    parent: PosixNode,
    mode: number,
    flags: number,
    who: Identity,
  ): Reply<{ found: Found; file: PosixFile; node: PosixNode }> {
    const context = this.#context;
    if (context.readOnly) return -Errno.EROFS;
    const kept = (flags & (OPEN_KEPT | O_EXCL)) | O_TMPFILE | O_CLOEXEC;
    return context.runner.run(
      context.within(parent, function* (dir): Steps<{ found: Found; file: PosixFile; node: PosixNode }> {
        const fd = yield tripAs(who, sys.openat, dir, DOT, kept, mode & 0o7777);
        if (fd === -Errno.EOPNOTSUPP || fd === -Errno.EISDIR) {
          context.missing.add('tmpfile');
          return -Errno.EOPNOTSUPP;
        }
        if (fd < 0) return fd;
        const found = yield* context.findOpen(fd);
        // The node outlives this handle, so it gets a descriptor of its own.
        const pin = failed(found) ? found : yield trip(sys.openat, AT_FDCWD, descriptorPath(fd), O_PATH | O_CLOEXEC, 0);
        if (failed(found) || pin < 0) {
          context.runner.close(fd);
          return failed(found) ? found : pin;
        }
        const node = new PosixNode(found, context.root.device);
        context.descriptors.adopt(node, pin);
        return { found, file: new PosixFile(fd, flags & O_ACCMODE, waits(flags)), node };
      }),
    );
  }
}

/** Why a file was not made. Where a symbolic link or a FIFO appeared since the kernel looked, it has to look again. */
function notMade(failure: number): number {
  return failure === -Errno.ELOOP || failure === -Errno.ENXIO ? -Errno.ESTALE : failure;
}

/** What `create` opened, or a failure, with which it is closed. */
function* made(context: Context, fd: number, flags: number): Steps<Made> {
  const found = yield* openedRegular(context, fd, flags);
  if (!failed(found)) return { found, file: new PosixFile(fd, flags & O_ACCMODE, waits(flags)) };
  context.runner.close(fd);
  return found;
}

/** What `create` opened, emptied when O_TRUNC says so and it was there already. ESTALE: it is no regular file. */
function* openedRegular(context: Context, fd: number, flags: number): Steps<Found> {
  const found = yield* context.findOpen(fd);
  if (failed(found)) return found;
  if ((found.attributes.mode & FileType.MASK) !== FileType.REGULAR) return -Errno.ESTALE;
  if ((flags & O_TRUNC) === 0 || found.attributes.size === 0) return found;
  const result =
    (flags & O_ACCMODE) === O_RDONLY
      ? yield trip(sys.truncate, descriptorPath(fd), 0)
      : yield trip(sys.ftruncate, fd, 0);
  return result < 0 ? result : yield* context.findOpen(fd);
}
