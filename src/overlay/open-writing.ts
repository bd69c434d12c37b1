/** OPEN for writing: always at the source; in passthrough where the kernel can, else through the daemon. */
import type { StoreFile } from '../store/store.ts';
import { andThen, failed, type Reply, settle } from '../sys/errno.ts';
import { O_ACCMODE, O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } from '../sys/open-flags.ts';
import type { Core } from './core.ts';
import type { Opened } from './filesystem.ts';
import type { Inode } from './inode.ts';
import { addCached, addPassthrough, stale } from './ways.ts';
import { clearSuidSgid } from './write.ts';

const S_ISUID_ISGID = 0o6000;

export function openForWriting(
  core: Core,
  inode: Inode,
  flags: number,
  clearSuid: boolean,
  thread: number,
): Reply<Opened> {
  if (barred(inode)) {
    core.supersedeForWriter(inode);
    return stale(core);
  }
  if ((flags & O_APPEND) !== 0 && endUnknown(core, inode, thread)) return stale(core);
  inode.writersComing++;
  if ((flags & O_TRUNC) !== 0) inode.touch(); // what others see of it before this open is done is our own doing
  return settle(openWriter(core, inode, flags, clearSuid), (file) => {
    inode.writersComing--;
    if (failed(file)) return file;
    if (barred(inode) || (inode.superseded && !inode.unlinked)) {
      core.store.close(file); // while this one waited
      if (!inode.superseded) core.supersedeForWriter(inode);
      return stale(core);
    }
    return writer(core, inode, flags, file);
  });
}

function openWriter(core: Core, inode: Inode, flags: number, clearSuid: boolean): Reply<StoreFile> {
  const opened = core.store.open(inode.node, writerFlags(core, flags));
  if (!clearSuid) return opened;
  return andThen(opened, (file) => settle(clearSuidSgid(core, inode, file), () => file));
}

/** Readers have the file in a way that no writer can be let in beside. */
export function barred(inode: Inode): boolean {
  return inode.pinnedToTier || (inode.passthroughOpens > 0 && privileged(inode));
}

/** Writes that pass the daemon by would leave set-user-id and set-group-id bits on. */
function privileged(inode: Inode): boolean {
  return (inode.attributes.mode & S_ISUID_ISGID) !== 0;
}

/**
 * An append through the daemon goes to where the kernel believes the end is, and it does not ask: when the file has
 * another size than the kernel was told, it must look the name up once more. Where that was just done, a new size is a
 * race with others.
 */
function endUnknown(core: Core, inode: Inode, thread: number): boolean {
  if (inode.unlinked || inode.saidSize === inode.attributes.size || mayPassBy(core, inode)) return false;
  return core.sentBack.sentAtMs(thread, core.nowMs()) === undefined;
}

/** Whether one more writer can have the source as its backing file. */
function mayPassBy(core: Core, inode: Inode): boolean {
  if (inode.backing?.kind === 'source' && inode.cachedOpens === 0) return true;
  return inode.opens === 0 && !privileged(inode) && core.backings.usable(core.kernel);
}

function writer(core: Core, inode: Inode, flags: number, file: StoreFile): Opened {
  const opened = addWriter(core, inode, flags, file);
  if (inode.changesUnseen) core.kernel.invalidateAttributes(inode.nodeId); // from now on it asks every time
  return opened;
}

/**
 * What the source is opened with. O_DIRECT is between the caller and the kernel: a passthrough handle has it on its own
 * open of the backing file, and the daemon's buffers are not aligned for it. The kernel's writeback cache reads around
 * what it writes and places appends itself.
 */
export function writerFlags(core: Core, flags: number): number {
  const plain = flags & ~(O_CREAT | O_EXCL | O_DIRECT);
  if (!core.writeback) return plain;
  return ((plain & O_ACCMODE) === O_WRONLY ? (plain & ~O_ACCMODE) | O_RDWR : plain) & ~O_APPEND;
}

export function addWriter(core: Core, inode: Inode, flags: number, file: StoreFile): Opened {
  core.counters.opensForWriting++;
  core.writerCame(inode);
  core.dropContent(inode);
  inode.touch();
  const { backing } = inode;
  if (backing?.kind === 'source' && inode.cachedOpens === 0) {
    core.backings.use(inode, backing);
    return addPassthrough(core, inode, flags, backing, file);
  }
  if (file.fd !== undefined && mayPassBy(core, inode)) {
    core.backings.drop(inode, core.kernel);
    const registered = core.backings.register(inode, 'source', file.fd, core.kernel);
    if (registered !== undefined) return addPassthrough(core, inode, flags, registered, file);
  }
  return addCached(core, inode, flags, 'source', file, false);
}
