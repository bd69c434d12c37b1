/**
 * Directories: OPENDIR, READDIR and READDIRPLUS over a snapshot of the names, so that offsets stay what they are while the
 * directory changes. Reading from offset 0 takes a new one.
 *
 * Offsets count entries: 1 is after ".", 2 after "..", 2 + n after the n-th name.
 */
import type { DirectoryEntry, Found } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply, settle } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { DirectorySink, HandleId, NodeId, OpenedDirectory } from './filesystem.ts';
import type { DirectoryHandle, LookupAhead } from './handles.ts';

const DT_DIR = 4;
/** Lookups kept in flight ahead of readdirplus on a store where each may take milliseconds. */
const LOOKUPS_AHEAD = 64;
/** What was looked up ahead for an earlier request is used within the lease, or within this where that is shorter. */
const AHEAD_MS = 1000;

export function opendir(core: Core, node: NodeId): Reply<OpenedDirectory> {
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
    inode.listedVersion = core.unsettled(inode.attributes) ? '' : inode.version;
    const handle: DirectoryHandle = {
      id: core.directories.nextId(),
      inode,
      entries: undefined,
      lookups: new Map(),
    };
    core.directories.add(handle);
    return { handle: handle.id, cacheListing: true, keepCache };
  });
}

export function releasedir(core: Core, id: HandleId): void {
  core.directories.take(id);
}

export function fsyncdir(core: Core, node: NodeId): Reply<0> {
  const inode = core.inode(node);
  return inode === undefined ? -Errno.ESTALE : core.store.syncDirectory(inode.node);
}

export function readdir(core: Core, id: HandleId, offset: number, plus: boolean, sink: DirectorySink): Reply<0> {
  const handle = core.directories.get(id);
  if (handle === undefined) return -Errno.EBADF;
  return andThen(snapshot(core, handle, offset === 0), (entries) => {
    const { ino } = handle.inode.attributes;
    if (offset === 0 && !sink.add('.', ino, DT_DIR, 1, undefined)) return 0;
    if (offset <= 1 && !sink.add('..', ino, DT_DIR, 2, undefined)) return 0;
    const first = Math.max(0, offset - 2);
    return plus ? fillPlus(core, handle, entries, first, sink) : fill(entries, first, sink);
  });
}

function snapshot(core: Core, handle: DirectoryHandle, anew: boolean): Reply<DirectoryEntry[]> {
  if (handle.entries !== undefined && !anew) return handle.entries;
  return andThen(core.store.list(handle.inode.node), (listed) => {
    const { hiddenInRoot } = core;
    const hides = hiddenInRoot !== undefined && handle.inode === core.inodes.root;
    const entries = hides ? listed.filter(({ name }) => name !== hiddenInRoot) : listed;
    handle.entries = entries;
    handle.lookups.clear();
    return entries;
  });
}

function fill(entries: DirectoryEntry[], first: number, sink: DirectorySink): 0 {
  for (let i = first; i < entries.length; i++) {
    const { name, ino, type } = entries[i]!;
    if (!sink.add(name, ino, type, i + 3, undefined)) break;
  }
  return 0;
}

function fillPlus(
  core: Core,
  handle: DirectoryHandle,
  entries: DirectoryEntry[],
  first: number,
  sink: DirectorySink,
): Reply<0> {
  for (let i = first; i < entries.length; i++) {
    const found = lookUpNow(core, handle, entries[i]!.name);
    if (found === undefined) return fillLater(core, handle, entries, i, sink);
    if (!addPlus(core, handle, entries[i]!, i, found, core.nowMs(), sink)) return 0;
  }
  return 0;
}

async function fillLater(
  core: Core,
  handle: DirectoryHandle,
  entries: DirectoryEntry[],
  first: number,
  sink: DirectorySink,
): Promise<Outcome<0>> {
  const begunMs = core.nowMs();
  for (let i = first; i < entries.length; i++) {
    let ahead = lookUpAhead(core, handle, entries, i);
    let found = await ahead.found;
    if (overtaken(core, handle, ahead.askedMs, begunMs, found)) {
      handle.lookups.clear(); // those after it are as old
      ahead = lookUpAhead(core, handle, entries, i);
      found = await ahead.found;
    }
    if (!addPlus(core, handle, entries[i]!, i, found, ahead.askedMs, sink)) break;
  }
  return 0;
}

/** What a name of an inline store leads to; undefined where that takes time. */
function lookUpNow(core: Core, handle: DirectoryHandle, name: string): Outcome<Found> | undefined {
  if (core.store.speed !== 'inline') return undefined;
  const found = core.store.lookup(handle.inode.node, name);
  return found instanceof Promise ? undefined : found;
}

/** What entry `i` is, with the lookups of those after it set off. */
function lookUpAhead(core: Core, handle: DirectoryHandle, entries: DirectoryEntry[], i: number): LookupAhead {
  const { lookups, inode } = handle;
  const end = Math.min(entries.length, i + LOOKUPS_AHEAD);
  for (let ahead = i; ahead < end; ahead++) {
    if (lookups.has(ahead)) continue;
    lookups.set(ahead, { askedMs: core.nowMs(), found: core.store.lookup(inode.node, entries[ahead]!.name) });
  }
  return lookups.get(i)!;
}

/**
 * Whether what was looked up may be no longer so: the directory or the file was changed through this mount since, or it
 * was asked for an earlier request, and the reader took its time. The kernel would believe it for a whole lease.
 */
function overtaken(
  core: Core,
  { inode: directory }: DirectoryHandle,
  askedMs: number,
  begunMs: number,
  found: Outcome<Found>,
): boolean {
  if (askedMs < directory.touchedAtMs) return true;
  const inode = failed(found) ? undefined : core.inodes.current(found);
  if (inode !== undefined && askedMs < inode.touchedAtMs) return true;
  if (askedMs >= begunMs) return false;
  return (inode?.writers ?? 0) > 0 || core.nowMs() - askedMs > Math.max(core.ttlMs, AHEAD_MS);
}

/** Offers one entry with its attributes; false: the reply is full. An entry that cannot be looked up goes without. */
function addPlus(
  core: Core,
  handle: DirectoryHandle,
  { name, ino, type }: DirectoryEntry,
  i: number,
  found: Outcome<Found>,
  askedMs: number,
  sink: DirectorySink,
): boolean {
  if (failed(found)) {
    if (found !== -Errno.ENOENT && !sink.add(name, ino, type, i + 3, undefined)) return false;
    handle.lookups.delete(i); // removed meanwhile: left out
    return true;
  }
  const inode = core.intern(handle.inode, name, found, askedMs);
  if (!sink.add(name, inode.attributes.ino, inode.attributes.mode >> 12, i + 3, core.entry(inode))) {
    inode.saidSize = -1; // it was not, after all
    core.reap(inode); // known to the kernel otherwise, or not at all
    return false;
  }
  inode.lookups++;
  handle.lookups.delete(i);
  return true;
}
