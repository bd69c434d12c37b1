/** GETATTR, SETATTR, and the extended attributes. */
import type { Attributes } from '../store/attributes.ts';
import type { StoreFile } from '../store/store.ts';
import { Errno, failed, type Reply, settle } from '../sys/errno.ts';
import { type Core, SUPERSEDED_TTL_MS } from './core.ts';
import type { AttributesReply, HandleId, NodeId, SetAttributes } from './filesystem.ts';
import type { Inode } from './inode.ts';
import { withoutSuidSgid } from './write.ts';

/** The descriptor that reaches a file even when no name does: one handle's own, else the readers'. */
function openFile(core: Core, inode: Inode, handle: HandleId | undefined): StoreFile | undefined {
  const own = (handle === undefined ? undefined : core.files.get(handle)?.file) ?? inode.writerFile;
  if (own !== undefined) return own;
  // Without an open handle the name decides, not an idle descriptor of what it once led to.
  return inode.opens > 0 ? inode.source.file : undefined;
}

export function getattr(core: Core, node: NodeId, handle: HandleId | undefined): Reply<AttributesReply> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  const askedMs = core.nowMs();
  if (believed(core, inode, askedMs)) return core.attributesReply(inode);
  return settle(core.store.attributes(inode.node, openFile(core, inode, handle)), (outcome) => {
    if (!failed(outcome)) {
      if (core.observe(inode, outcome, askedMs) === 'superseded') ofOldContent(inode, outcome, askedMs);
      return core.attributesReply(inode);
    }
    const gone = outcome === -Errno.ESTALE || outcome === -Errno.ENOENT;
    if (!gone || inode.opens === 0) return outcome;
    // Replaced or removed at the source while open here: its holders go on with what it was.
    inode.attributes.nlink = 0;
    inode.validatedAtMs = askedMs;
    if (!inode.superseded) core.supersede(inode);
    return core.attributesReply(inode);
  });
}

/** Whether what is known of an inode may be told without asking the store. */
function believed(core: Core, inode: Inode, nowMs: number): boolean {
  const agoMs = nowMs - inode.validatedAtMs;
  if (inode.superseded && inode.writers === 0) return agoMs < SUPERSEDED_TTL_MS;
  return agoMs < core.ttlMs && !inode.selfModified && (core.store.speed === 'pooled' || core.immutable);
}

/**
 * What is told of a generation whose file has gone on: names may lead to it for a lease, so owner, mode, times and links
 * are the file's; the size is that of the bytes its holders have.
 */
function ofOldContent(inode: Inode, attributes: Attributes, askedMs: number): void {
  const { size, blocks } = inode.attributes;
  inode.attributes = { ...attributes, size, blocks };
  inode.validatedAtMs = askedMs;
}

export function setattr(
  core: Core,
  node: NodeId,
  changes: SetAttributes,
  handle: HandleId | undefined,
): Reply<AttributesReply> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  const file = openFile(core, inode, handle);
  if (inode.superseded && file === undefined) return -Errno.ESTALE;
  if (changes.size !== undefined && inode.pinnedToTier) {
    core.supersedeForWriter(inode); // the object its readers hold never changes
    return -Errno.ESTALE;
  }
  const { clearSuidSgid, ...plain } = changes;
  const privileged = inode.attributes.mode & 0o6000;
  if (clearSuidSgid === true && plain.mode === undefined && privileged !== 0) {
    plain.mode = withoutSuidSgid(inode.attributes.mode);
  }
  inode.touch();
  const { touchedAtMs } = inode;
  return settle(core.store.change(inode.node, plain, file), (attributes) => {
    const alone = inode.writers === 0 && inode.touchedAtMs === touchedAtMs;
    inode.touch(); // what was asked while this was under way may say what was before
    if (failed(attributes)) return attributes;
    // Beside another change it may say what was before that one.
    core.observe(inode, attributes, alone ? inode.touchedAtMs : touchedAtMs);
    // Even when the readers' generation was ended by this change, the caller is told what became of the file.
    return { attributes, ttlMs: inode.superseded || inode.changesUnseen ? 0 : core.ttlMs };
  });
}

/** A change of an inode that is under way: noted now, and again when it is done. */
function touching<T>(inode: Inode, change: Reply<T>): Reply<T> {
  inode.touch();
  return settle(change, (outcome) => {
    inode.touch();
    return outcome;
  });
}

export function getxattr(core: Core, node: NodeId, name: string): Reply<Buffer> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  return core.store.getXattr(inode.node, name, openFile(core, inode, undefined));
}

export function setxattr(core: Core, node: NodeId, name: string, value: Buffer, flags: number): Reply<0> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  // An access ACL changes the mode as well.
  return touching(inode, core.store.setXattr(inode.node, name, value, flags, openFile(core, inode, undefined)));
}

export function listxattr(core: Core, node: NodeId): Reply<Buffer> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  return core.store.listXattr(inode.node, openFile(core, inode, undefined));
}

export function removexattr(core: Core, node: NodeId, name: string): Reply<0> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  if (core.readOnly) return -Errno.EROFS;
  return touching(inode, core.store.removeXattr(inode.node, name, openFile(core, inode, undefined)));
}
