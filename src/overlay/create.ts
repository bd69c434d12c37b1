/** CREATE and TMPFILE: files that are made, or found, and opened at once. */
import { isRegular } from '../store/attributes.ts';
import type { Found, StoreFile } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply, settle } from '../sys/errno.ts';
import { O_EXCL } from '../sys/open-flags.ts';
import type { Core } from './core.ts';
import type { Caller, Created, NodeId } from './filesystem.ts';
import type { Inode } from './inode.ts';
import { mayBeMade } from './names.ts';
import { addWriter, barred, writerFlags } from './open-writing.ts';

/** How long what is told of a file at its creation is believed, though it may be written past the daemon from then on. */
const JUST_MADE_MS = 20;

export function create(
  core: Core,
  parent: NodeId,
  name: string,
  mode: number,
  umask: number,
  flags: number,
  caller: Caller,
): Reply<Created> {
  const directory = core.inode(parent);
  if (directory === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  const excl = flags & O_EXCL;
  const { pid, askedMs } = caller;
  const identity = core.identity(caller, umask);
  const begunMs = core.nowMs();
  core.aboutToChange(directory.node.id);
  const made = core.store.create(directory.node, name, mode, writerFlags(core, flags) | excl, identity);
  return settle(made, (outcome) => {
    if (mayBeMade(outcome)) directory.touch();
    if (failed(outcome)) return outcome;
    const { found, file } = outcome;
    const inode = core.intern(directory, name, found, begunMs);
    if (!isRegular(found.attributes.mode)) {
      core.store.close(file);
      core.reap(inode);
      return -Errno.EEXIST;
    }
    return created(core, inode, found, flags, file, pid, askedMs);
  });
}

export function tmpfile(
  core: Core,
  parent: NodeId,
  mode: number,
  umask: number,
  flags: number,
  caller: Caller,
): Reply<Created> {
  const directory = core.inode(parent);
  if (directory === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  const { pid, askedMs } = caller;
  const identity = core.identity(caller, umask);
  const begunMs = core.nowMs();
  const made = core.store.createUnnamed(directory.node, mode, writerFlags(core, flags), identity);
  return andThen(made, ({ found, file, node }) => {
    const inode = core.inodes.addNode(node, found, begunMs);
    inode.unlinked = true;
    return created(core, inode, found, flags, file, pid, askedMs);
  });
}

/** A file just made or found by CREATE, with the descriptor that came with it, which a reader may hold too. */
function created(
  core: Core,
  inode: Inode,
  found: Found,
  flags: number,
  file: StoreFile,
  thread: number,
  askedMs: number,
): Outcome<Created> {
  if (barred(inode)) {
    core.store.close(file); // it existed, and readers hold the cached object: the kernel looks again and opens it
    core.supersedeForWriter(inode);
    core.reap(inode);
    return -Errno.ESTALE;
  }
  inode.lookups++;
  core.counters.opens++;
  const entry = core.entryOfOwn(inode, found); // as it was found just now: what follows is the kernel's own doing
  const opened = addWriter(core, inode, flags, file);
  // Nobody has written yet; without this the kernel asks for the attributes once more before open(2) returns.
  if (inode.changesUnseen)
    entry.attributesTtlMs = inode.writers > 1 ? 0 : Math.min(entry.attributesTtlMs, JUST_MADE_MS);
  core.observer?.opened(core.files.get(opened.handle)!, thread, false, askedMs);
  return { entry, opened };
}
