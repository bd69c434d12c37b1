/** Operations on names: looking them up, and changing what is in a directory. */
import { isDirectory } from '../store/attributes.ts';
import type { Found } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply, settle } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Caller, Entry, NodeId } from './filesystem.ts';
import type { Inode } from './inode.ts';

const RENAME_EXCHANGE = 2;

/** Refusals: nothing was changed. */
const REFUSED: ReadonlySet<unknown> = new Set([
  -Errno.EPERM,
  -Errno.ENOENT,
  -Errno.EACCES,
  -Errno.EBUSY,
  -Errno.EEXIST,
  -Errno.EXDEV,
  -Errno.ENOTDIR,
  -Errno.EISDIR,
  -Errno.EINVAL,
  -Errno.EROFS,
  -Errno.ENAMETOOLONG,
  -Errno.ENOSYS,
  -Errno.ENOTEMPTY,
  -Errno.EOPNOTSUPP,
]);

/** Whether a change of names was made, as far as its answer tells: one that failed on its way may have been all the same. */
export function mayBeMade(outcome: Outcome<unknown>): boolean {
  return !REFUSED.has(outcome);
}

export function lookup(core: Core, parent: NodeId, name: string, thread: number): Reply<Entry> {
  const directory = core.inode(parent);
  if (directory === undefined) return -Errno.ESTALE;
  core.counters.lookups++;
  const known = core.metadata?.recall(directory, name, thread);
  if (known === undefined) return lookUp(core, directory, name);
  if (!(known instanceof Promise)) return core.lookedUp(directory, name, known.found, known.askedMs);
  return known.then((came) =>
    came === undefined ? lookUp(core, directory, name) : core.lookedUp(directory, name, came.found, came.askedMs),
  );
}

function lookUp(core: Core, directory: Inode, name: string): Reply<Entry> {
  const askedMs = core.nowMs();
  const reply = core.store.lookup(directory.node, name);
  core.metadata?.missed(directory, name, reply, askedMs);
  return settle(reply, (outcome) => {
    if (!failed(outcome)) return core.lookedUp(directory, name, outcome, askedMs);
    return outcome === -Errno.ENOENT && core.negativeTtlMs > 0 ? core.negativeEntry() : outcome;
  });
}

/** Makes a name in a directory by `make`, and tells the kernel what came of it. */
function add(core: Core, parent: NodeId, name: string, make: (directory: Inode) => Reply<Found>): Reply<Entry> {
  const directory = core.inode(parent);
  if (directory === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  const askedMs = core.nowMs();
  core.aboutToChange(directory.node.id);
  return settle(make(directory), (found) => {
    if (mayBeMade(found)) directory.touch();
    if (failed(found)) return found;
    const inode = core.intern(directory, name, found, askedMs);
    inode.lookups++;
    return core.entryOfOwn(inode, found);
  });
}

export function mknod(
  core: Core,
  parent: NodeId,
  name: string,
  mode: number,
  rdev: number,
  umask: number,
  caller: Caller,
): Reply<Entry> {
  const who = core.identity(caller, umask);
  return add(core, parent, name, (directory) => core.store.makeNode(directory.node, name, mode, rdev, who));
}

export function mkdir(
  core: Core,
  parent: NodeId,
  name: string,
  mode: number,
  umask: number,
  caller: Caller,
): Reply<Entry> {
  const who = core.identity(caller, umask);
  return add(core, parent, name, (directory) => core.store.makeDirectory(directory.node, name, mode, who));
}

export function symlink(core: Core, parent: NodeId, name: string, target: Buffer, caller: Caller): Reply<Entry> {
  const who = core.identity(caller, 0);
  return add(core, parent, name, (directory) => core.store.makeSymlink(directory.node, name, target, who));
}

export function link(core: Core, node: NodeId, newParent: NodeId, newName: string): Reply<Entry> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  core.aboutToChange(inode.node.id);
  return add(core, newParent, newName, (directory) =>
    settle(core.store.makeLink(inode.node, directory.node, newName), (found) => {
      if (mayBeMade(found)) inode.touch();
      if (!failed(found)) inode.unlinked = false; // a file made without a name has one now
      return found;
    }),
  );
}

export function unlink(core: Core, parent: NodeId, name: string): Reply<0> {
  return remove(core, parent, name, (directory, inode) => core.store.unlink(directory.node, name, inode?.node));
}

export function rmdir(core: Core, parent: NodeId, name: string): Reply<0> {
  return remove(core, parent, name, (directory, inode) =>
    core.store.removeDirectory(directory.node, name, inode?.node),
  );
}

function remove(
  core: Core,
  parent: NodeId,
  name: string,
  act: (directory: Inode, inode: Inode | undefined) => Reply<0>,
): Reply<0> {
  const directory = core.inode(parent);
  if (directory === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  return andThen(core.store.lookup(directory.node, name), (found) => {
    const inode = core.inodes.current(found);
    core.aboutToChange(directory.node.id, found.id);
    return settle(act(directory, inode), (outcome) => {
      if (!mayBeMade(outcome)) return outcome;
      directory.touch();
      if (inode === undefined)
        core.metadata?.distrust.file(found.id, core.nowMs()); // it may have other names
      else if (failed(outcome)) inode.touch();
      else nameGone(core, inode, found);
      return outcome;
    });
  });
}

/** A name of a file is gone; `found` is what the store said of it just before. */
function nameGone(core: Core, inode: Inode, found: Found): void {
  inode.touch();
  if (!isDirectory(found.attributes.mode) && found.attributes.nlink > 1) return;
  inode.unlinked = true;
  core.cache?.drop(inode.fileKey);
  // Idle descriptors would keep the space of a removed file; those in use must.
  core.sources.drop(inode);
  core.backings.drop(inode, core.kernel);
}

export function rename(
  core: Core,
  parent: NodeId,
  name: string,
  newParent: NodeId,
  newName: string,
  flags: number,
): Reply<0> {
  const from = core.inode(parent);
  const to = core.inode(newParent);
  if (from === undefined || to === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  return andThen(core.store.lookup(from.node, name), (moving) =>
    settle(core.store.lookup(to.node, newName), (target) => {
      const inode = core.inodes.current(moving);
      const replaced = failed(target) ? undefined : core.inodes.current(target);
      core.aboutToChange(from.node.id, to.node.id, moving.id);
      if (!failed(target)) core.aboutToChange(target.id);
      const renamed = core.store.rename(from.node, name, to.node, newName, flags, inode?.node, replaced?.node);
      return settle(renamed, (outcome) => {
        if (!mayBeMade(outcome)) return outcome;
        from.touch();
        to.touch();
        inode?.touch();
        for (const each of [moving, target]) if (!failed(each)) core.metadata?.distrust.file(each.id, core.nowMs());
        if (replaced !== undefined && !failed(target) && replaced !== inode) {
          if (failed(outcome) || (flags & RENAME_EXCHANGE) !== 0) replaced.touch();
          else nameGone(core, replaced, target);
        }
        return outcome;
      });
    }),
  );
}
