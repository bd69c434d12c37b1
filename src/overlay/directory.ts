/**
 * Directories: OPENDIR, READDIR and READDIRPLUS over a snapshot of the names, so that offsets stay what they are while the
 * directory changes. Reading from offset 0 takes a new one, or the one that is known to hold still (metadata.ts).
 *
 * With the names of a store that answers at once go their attributes; of others those that are known already, and a reply
 * never waits for a look-up: whoever wants only names has them at once, and who wants more meets the look-ups ahead.
 *
 * Offsets count entries: 1 is after ".", 2 after "..", 2 + n after the n-th name.
 */
import type { DirectoryEntry, Found, Version } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply, settle } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { DirectorySink, HandleId, NodeId, OpenedDirectory } from './filesystem.ts';
import type { DirectoryHandle } from './handles.ts';
import type { Metadata } from './metadata.ts';

const DT_DIR = 4;

export function opendir(core: Core, node: NodeId, thread: number): Reply<OpenedDirectory> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  const askedMs = core.nowMs();
  const fresh = askedMs - inode.validatedAtMs < core.ttlMs;
  const believed = fresh && !inode.selfModified && (core.store.speed === 'pooled' || core.immutable);
  const attributes = believed ? inode.attributes : core.store.attributes(inode.node);
  return settle(attributes, (outcome) => {
    if (failed(outcome)) return outcome === -Errno.ENOENT ? -Errno.ESTALE : outcome;
    if (!believed) core.observe(inode, outcome, askedMs);
    const keepCache = core.keepCache && inode.listedVersion !== '' && inode.listedVersion === inode.version;
    // What the kernel remembers from here on was listed at this version or, when it has just changed, cannot be told.
    inode.listedVersion = core.settledVersion(inode);
    const handle: DirectoryHandle = {
      id: core.directories.nextId(),
      inode,
      entries: undefined,
      listing: undefined,
      ended: false,
    };
    core.directories.add(handle);
    core.metadata?.opened(inode, thread);
    return { handle: handle.id, cacheListing: true, keepCache };
  });
}

export function releasedir(core: Core, id: HandleId): void {
  const handle = core.directories.take(id);
  if (handle?.listing !== undefined && !handle.ended) core.metadata?.left(handle.listing);
}

export function fsyncdir(core: Core, node: NodeId): Reply<0> {
  const inode = core.inode(node);
  return inode === undefined ? -Errno.ESTALE : core.store.syncDirectory(inode.node);
}

export function readdir(
  core: Core,
  id: HandleId,
  offset: number,
  plus: boolean,
  sink: DirectorySink,
  thread: number,
): Reply<0> {
  const handle = core.directories.get(id);
  if (handle === undefined) return -Errno.EBADF;
  return andThen(snapshot(core, handle, offset === 0, thread), (entries) => {
    const { ino } = handle.inode.attributes;
    if (offset === 0 && !sink.add('.', ino, DT_DIR, 1, undefined)) return 0;
    if (offset <= 1 && !sink.add('..', ino, DT_DIR, 2, undefined)) return 0;
    for (let i = Math.max(0, offset - 2); i < entries.length; i++) {
      if (!add(core, handle, entries[i]!, i, plus, sink, thread)) return 0;
    }
    handle.ended = true;
    return 0;
  });
}

function snapshot(core: Core, handle: DirectoryHandle, anew: boolean, thread: number): Reply<DirectoryEntry[]> {
  if (handle.entries !== undefined && !anew) return handle.entries;
  const coming = core.metadata?.coming(handle.inode);
  if (coming === undefined) return listed(core, handle, thread);
  const go = (): Reply<DirectoryEntry[]> => listed(core, handle, thread);
  return coming.then(go, go);
}

/** The names from what is known, else from the store. */
function listed(core: Core, handle: DirectoryHandle, thread: number): Reply<DirectoryEntry[]> {
  const { metadata } = core;
  handle.listing = metadata?.names(handle.inode, thread);
  handle.ended = false;
  if (handle.listing !== undefined) {
    handle.entries = handle.listing.entries;
    return handle.entries;
  }
  const askedMs = core.nowMs();
  const version = core.settledVersion(handle.inode);
  const reply = andThen(core.store.list(handle.inode.node), (found): Reply<DirectoryEntry[]> => {
    const entries = core.shown(handle.inode, found);
    handle.entries = entries;
    return metadata === undefined ? entries : kept(metadata, handle, entries, askedMs, version);
  });
  if (reply instanceof Promise) metadata?.isListed(handle.inode, reply);
  return reply;
}

async function kept(
  metadata: Metadata,
  handle: DirectoryHandle,
  entries: DirectoryEntry[],
  askedMs: number,
  version: Version,
): Promise<DirectoryEntry[]> {
  handle.listing = await metadata.listed(handle.inode, entries, askedMs, version);
  return entries;
}

/** Offers one entry; false: the reply is full. */
function add(
  core: Core,
  handle: DirectoryHandle,
  entry: DirectoryEntry,
  i: number,
  plus: boolean,
  sink: DirectorySink,
  thread: number,
): boolean {
  const { name, ino, type } = entry;
  const { listing } = handle;
  const told = plus && listing !== undefined ? core.metadata?.toldOnly(listing, i, thread) : undefined;
  if (told !== undefined) {
    told.inode.lookups++;
    if (sink.add(name, ino, type, i + 3, core.entryOfTold(told.inode, told.attributes))) return true;
    core.forget(told.inode.nodeId, 1);
    return false;
  }
  const known = plus ? attributesNow(core, handle, name, i, thread) : undefined;
  if (known === undefined) return sink.add(name, ino, type, i + 3, undefined);
  const { found, askedMs } = known;
  if (failed(found)) {
    // Removed meanwhile: left out. What cannot be looked up goes without attributes.
    return found === -Errno.ENOENT || sink.add(name, ino, type, i + 3, undefined);
  }
  const inode = core.intern(handle.inode, name, found, askedMs);
  if (!sink.add(name, inode.attributes.ino, inode.attributes.mode >> 12, i + 3, core.entry(inode, askedMs))) {
    inode.saidSize = -1; // it was not, after all
    core.reap(inode); // known to the kernel otherwise, or not at all
    return false;
  }
  inode.lookups++;
  return true;
}

/** What is known of an entry without waiting. */
function attributesNow(
  core: Core,
  { inode, listing }: DirectoryHandle,
  name: string,
  i: number,
  thread: number,
): { found: Outcome<Found>; askedMs: number } | undefined {
  if (core.store.speed !== 'inline') return listing && core.metadata?.told(listing, i, thread);
  const askedMs = core.nowMs();
  const found = core.store.lookup(inode.node, name);
  return found instanceof Promise ? undefined : { found, askedMs };
}
