/**
 * OPEN and RELEASE: which way serves a handle. (CREATE and TMPFILE: create.ts.)
 *
 *   validate      the lease has ended (or the store is local): does the name still lead to this content?
 *   for reading   complete in the cache: small -> the daemon once, then kept pages; large -> passthrough of the object
 *                 not complete          -> the source is opened now, so that what follows keeps its meaning
 *                 no cache              -> large: passthrough of the source; small: kept pages
 *                 now and then          -> the daemon, though the kernel could: a sample (sampling.ts)
 *   for writing   always the source: passthrough where the kernel can, else through the daemon
 *
 * INVARIANT: an inode is never open in the cached I/O mode and in passthrough at once, and has one backing file at most:
 * the kernel answers EIO otherwise. Where that cannot be had, the inode is superseded and OPEN says ESTALE.
 */
import { Group } from '../access/hidden.ts';
import type { Way } from '../access/observer.ts';
import type { CachedContent } from '../cache/cache.ts';
import type { Attributes } from '../store/attributes.ts';
import type { StoreFile } from '../store/store.ts';
import { andThen, Errno, failed, type Reply, settle } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Caller, HandleId, NodeId, Opened } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import type { Backing, Inode } from './inode.ts';
import { isLarge, passthroughGroup } from './sampling.ts';
import { clearSuidSgid } from './write.ts';

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_DIRECT = process.arch === 'arm64' ? 0o200000 : 0o40000;
const S_ISUID_ISGID = 0o6000;
/** Time enough for the kernel to come back with the open it was sent to look the name up for. */
const JUST_SAID_MS = 100;
/** Threads remembered as told to look a name up again, of one inode. */
const TOLD_MOST = 1024;

export function mayWrite(flags: number): boolean {
  return (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0;
}

export function open(core: Core, node: NodeId, flags: number, clearSuid: boolean, caller: Caller): Reply<Opened> {
  const reply = openAny(core, node, flags, clearSuid, caller.pid);
  if (reply instanceof Promise) {
    const who = { ...caller }; // the object is reused
    return reply.then((opened) => (failed(opened) ? opened : begun(core, opened as Opened, who)));
  }
  return failed(reply) ? reply : begun(core, reply as Opened, caller);
}

/** What follows every OPEN that came to a handle. */
function begun(core: Core, opened: Opened, caller: Caller): Opened {
  core.counters.opens++; // not those that were sent to look again: they come again
  const handle = core.files.get(opened.handle)!;
  core.observer?.opened(handle, caller.pid, handle.keptPages, caller.askedMs);
  core.pusher?.opened(handle, opened, caller);
  return opened;
}

function openAny(core: Core, node: NodeId, flags: number, clearSuid: boolean, thread: number): Reply<Opened> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  const writes = mayWrite(flags);
  const begunMs = core.nowMs();
  if (writes && core.readOnly) return -Errno.EROFS;
  if (core.withoutOpen) return -Errno.ENOSYS; // see standing.ts
  return andThen(validate(core, inode, writes, thread), () =>
    writes ? openForWriting(core, inode, flags, clearSuid, begunMs) : openForReading(core, inode, flags, thread),
  );
}

/** Close-to-open: 0 when the inode still stands for what its name leads to, ESTALE when the kernel must look again. */
function validate(core: Core, inode: Inode, writes: boolean, thread: number): Reply<0> {
  if (inode.unlinked) return 0; // only its descriptors lead to it, and nobody else can change it
  if (inode.superseded) return writes || looksAgain(inode, thread) ? stale(core) : sameContent(core, inode);
  const askedMs = core.nowMs();
  // A writer asks always: what it adds to a file it knows by an old size could destroy what others added.
  const leased = core.store.speed === 'pooled' && !writes && askedMs - inode.validatedAtMs < core.ttlMs;
  const believed = core.immutable || leased;
  if (believed && inode.content?.stale !== true) return 0;
  core.counters.validations++;
  return settle(core.store.revalidate(inode.node), (outcome) => {
    if (failed(outcome)) return outcome === -Errno.ENOENT ? stale(core) : outcome;
    if (inode.content?.stale === true) core.dropContent(inode);
    const seen = core.observe(inode, outcome, askedMs);
    if (seen === 'superseded') return stale(core);
    // The OPEN reply carries no attributes: without this, fstat and cached reads would go by the old size.
    if (seen === 'changed') core.kernel.invalidateAttributes(inode.nodeId);
    return 0;
  });
}

/**
 * Whether an opener of a superseded inode is to look the name up again. One that comes back to an inode left to its sample
 * has no name to look up (/proc/self/fd/N); others come with a name that the kernel has not looked up since.
 */
function looksAgain({ leftToSample: told }: Inode, thread: number): boolean {
  if (told === undefined) return true;
  if (told.delete(thread) || told.size >= TOLD_MOST) return false;
  told.add(thread);
  return true;
}

/** Whether the file still has the content that an inode was left with when its sample was in the way of passthrough. */
function sameContent(core: Core, inode: Inode): Reply<0> {
  return settle(core.store.revalidate(inode.node), (outcome) =>
    failed(outcome) || core.store.version(outcome as Attributes) !== inode.version ? stale(core) : 0,
  );
}

function stale(core: Core): number {
  core.counters.opensStale++;
  return -Errno.ESTALE;
}

export function openForReading(core: Core, inode: Inode, flags: number, thread = 0): Reply<Opened> {
  const { backing } = inode;
  let sampled = false;
  if (backing !== undefined && usableAgain(core, inode, backing)) {
    sampled = takesSample(core, inode, backing.kind);
    if (!sampled) {
      core.backings.use(inode, backing);
      return addPassthrough(core, inode, flags, backing, undefined);
    }
  }
  if (inode.passthroughOpens > 0) {
    core.supersede(inode); // its holders keep their backing file; nothing else may be opened beside it
    return stale(core);
  }
  const content = contentFor(core, inode);
  if (content?.complete === true) {
    if (sampleInTheWay(core, inode)) return leaveToSample(core, inode, thread);
    if (wantsPassthrough(core, inode)) {
      if (sampled || takesSample(core, inode, 'tier')) return addSample(core, inode, flags, 'tier');
      const opened = openTierPassthrough(core, inode, flags, content);
      if (opened !== undefined) return opened;
    }
    return addCached(core, inode, flags, 'tier', undefined, false);
  }
  return settle(core.sources.acquire(inode), (file) => {
    if (failed(file)) {
      letGoOfContent(core, inode);
      return file;
    }
    if (inode.superseded && !inode.unlinked && inode.leftToSample === undefined) {
      core.sources.release(inode); // the file went on to other content while this one waited
      letGoOfContent(core, inode);
      return stale(core);
    }
    if (inode.passthroughOpens > 0) {
      core.sources.release(inode); // another open decided while this one waited
      return openForReading(core, inode, flags, thread);
    }
    if (content !== undefined) return addCached(core, inode, flags, 'tier', undefined, true);
    if (core.cache === undefined && sampleInTheWay(core, inode)) {
      core.sources.release(inode);
      return leaveToSample(core, inode, thread);
    }
    if (mayPassSource(core, inode, file) && (sampled || takesSample(core, inode, 'source'))) {
      return addSample(core, inode, flags, 'source');
    }
    return openSourcePassthrough(core, inode, flags, file) ?? addCached(core, inode, flags, 'source', undefined, true);
  });
}

/** Whether an open that passthrough could serve is to be served here instead; see sampling.ts. */
function takesSample(core: Core, inode: Inode, kind: Backing['kind']): boolean {
  return inode.opens === 0 && core.sampling.takes(passthroughGroup(kind, inode.attributes.size), inode);
}

/** Only samples keep this inode from passthrough. */
function sampleInTheWay(core: Core, inode: Inode): boolean {
  return (
    inode.samples > 0 &&
    inode.samples === inode.cachedOpens &&
    inode.attributes.size >= core.passthroughMinBytes &&
    !inode.unlinked &&
    !inode.superseded &&
    core.backings.usable(core.kernel)
  );
}

function leaveToSample(core: Core, inode: Inode, thread: number): number {
  inode.leftToSample = new Set([thread]);
  core.sampling.spare(inode);
  core.supersede(inode);
  return stale(core);
}

/** Whether one more reader may go through the backing file an inode has, in use or idle. */
function usableAgain(core: Core, inode: Inode, backing: Backing): boolean {
  if (inode.cachedOpens > 0) return false;
  if (backing.kind === 'tier') {
    return backing.version === inode.version && !inode.selfModified && !core.writerAwaited(inode);
  }
  return backing.users > 0 || (core.cache === undefined && wantsPassthrough(core, inode));
}

/** The cached object of an inode's content, where it may be served from one. */
function contentFor(core: Core, inode: Inode): CachedContent | undefined {
  if (core.cache === undefined || inode.writers > 0 || inode.selfModified || inode.unlinked) return undefined;
  if (core.writerAwaited(inode)) return undefined;
  if (inode.content !== undefined && !inode.content.stale) return inode.content;
  core.dropContent(inode);
  if (core.unsettled(inode.attributes)) return undefined; // its version would not tell the next change
  inode.content = core.cache.acquire({
    file: inode.fileKey,
    version: inode.version,
    size: inode.attributes.size,
  });
  return inode.content;
}

function wantsPassthrough(core: Core, inode: Inode): boolean {
  return (
    !core.withoutOpen &&
    inode.attributes.size >= core.passthroughMinBytes &&
    inode.cachedOpens === 0 &&
    core.backings.usable(core.kernel)
  );
}

function openTierPassthrough(core: Core, inode: Inode, flags: number, content: CachedContent): Opened | undefined {
  core.backings.drop(inode, core.kernel); // an idle one of older content
  const fd = content.expose();
  if (fd < 0) return undefined;
  const backing = core.backings.register(inode, 'tier', fd, core.kernel);
  core.closeDescriptor(fd); // the registration holds the file
  return backing && addPassthrough(core, inode, flags, backing, undefined);
}

function mayPassSource(core: Core, inode: Inode, file: StoreFile): boolean {
  return core.cache === undefined && file.fd !== undefined && wantsPassthrough(core, inode);
}

/** The source itself as backing file: where nothing is cached, the kernel needs no daemon between. */
function openSourcePassthrough(core: Core, inode: Inode, flags: number, file: StoreFile): Opened | undefined {
  if (file.fd === undefined || !mayPassSource(core, inode, file)) return undefined;
  core.backings.drop(inode, core.kernel);
  const backing = core.backings.register(inode, 'source', file.fd, core.kernel);
  if (backing === undefined) return undefined;
  core.sources.release(inode); // the registration holds the file
  return addPassthrough(core, inode, flags, backing, undefined);
}

function openForWriting(core: Core, inode: Inode, flags: number, clearSuid: boolean, begunMs: number): Reply<Opened> {
  if (barred(inode)) {
    core.supersedeForWriter(inode);
    return stale(core);
  }
  if ((flags & O_APPEND) !== 0 && endUnknown(core, inode, begunMs)) return stale(core);
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
 * another size than the kernel was told, it must look the name up once more. Just told, a new size is a race with others.
 */
function endUnknown(core: Core, inode: Inode, begunMs: number): boolean {
  if (inode.unlinked || inode.saidSize === inode.attributes.size || mayPassBy(core, inode)) return false;
  return begunMs - inode.saidAtMs > JUST_SAID_MS;
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

function addPassthrough(
  core: Core,
  inode: Inode,
  flags: number,
  backing: Backing,
  file: StoreFile | undefined,
): Opened {
  const way: Way = backing.kind === 'tier' ? 'tier-passthrough' : 'source-passthrough';
  if (backing.kind === 'tier') core.counters.opensTierPassthrough++;
  else core.counters.opensSourcePassthrough++;
  inode.passthroughOpens++;
  inode.pagesVersion = ''; // pages of an earlier cached open do not see what is written past them
  // A writer's reads are hidden too, and not estimated: nothing that writes is sampled.
  if (file === undefined) core.sampling.hides(passthroughGroup(backing.kind, inode.attributes.size), inode);
  return addHandle(core, inode, flags, way, file, false, backing.id, false);
}

function addCached(
  core: Core,
  inode: Inode,
  flags: number,
  way: Way,
  file: StoreFile | undefined,
  usesSource: boolean,
): Opened {
  if (way === 'tier') core.counters.opensTier++;
  else core.counters.opensSource++;
  inode.cachedOpens++;
  const fresh = core.keepCache && inode.pagesVersion === undefined;
  const keep = core.keepCache && inode.pagesVersion !== '' && inode.pagesVersion === inode.version;
  const hides = keep && file === undefined;
  const sampled = hides && core.sampling.takes(Group.KEPT_PAGES, inode);
  if (keep && !sampled) core.counters.opensKeptPages++;
  if (!(sampled && directly(core))) inode.pagesVersion = core.unsettled(inode.attributes) ? '' : inode.version;
  const opened = addHandle(core, inode, flags, way, file, usesSource, 0, keep);
  if (sampled) return asSample(core, opened, Group.KEPT_PAGES);
  // There are none to drop yet. The kernel would wait, and not to be killed, for those that another opener, who was
  // quicker, has a READ under way for.
  if (fresh) opened.keepCache = true;
  const handle = core.files.get(opened.handle)!;
  handle.keptPages = keep;
  if (hides) {
    handle.hiddenBy = Group.KEPT_PAGES;
    core.sampling.hides(Group.KEPT_PAGES, inode);
  }
  return opened;
}

/** A sample of what would be in passthrough. From the source: it takes over the use that its open has acquired. */
function addSample(core: Core, inode: Inode, flags: number, way: 'tier' | 'source'): Opened {
  if (way === 'tier') core.counters.opensTier++;
  else core.counters.opensSource++;
  inode.cachedOpens++;
  inode.pagesVersion = '';
  const opened = addHandle(core, inode, flags, way, undefined, way === 'source', 0, false);
  return asSample(core, opened, passthroughGroup(way, inode.attributes.size));
}

function asSample(core: Core, opened: Opened, group: Group): Opened {
  const handle = core.files.get(opened.handle)!;
  handle.sample = core.sampling.begin(group, handle.inode);
  handle.hiddenBy = group;
  handle.inode.samples++;
  opened.directIo = directly(core) && !isLarge(group);
  if (!opened.directIo) opened.keepCache = false; // what it reads is then to be seen by the pages it brings in
  return opened;
}

/** A mapping of a file opened with DIRECT_IO must work; and such reads do not see what is not yet written back. */
function directly(core: Core): boolean {
  return core.kernel.directIoMappable === true && !core.writeback;
}

function addHandle(
  core: Core,
  inode: Inode,
  flags: number,
  way: Way,
  file: StoreFile | undefined,
  usesSource: boolean,
  backingId: number,
  keepCache: boolean,
): Opened {
  const handle: FileHandle = core.files.add({
    id: core.files.nextId(),
    inode,
    flags,
    file,
    usesSource,
    way,
    hiddenBy: Group.NONE,
    sample: undefined,
    observed: undefined,
    keptPages: false,
    readTo: 0,
    learnFrom: false,
  });
  if (file !== undefined) inode.addWriter(file);
  return {
    handle: handle.id,
    keepCache,
    backingId,
    directIo: false,
    noFlush: file === undefined,
    nonSeekable: false,
  };
}

export function release(core: Core, id: HandleId): void {
  const handle = core.files.take(id);
  if (handle === undefined) return;
  core.observer?.released(handle);
  if (handle.learnFrom) core.pusher?.learn(handle.inode.attributes.size, handle.readTo);
  const { inode } = handle;
  if (handle.way === 'tier-passthrough' || handle.way === 'source-passthrough') {
    inode.passthroughOpens--;
    core.backings.release(inode, core.kernel);
  } else {
    inode.cachedOpens--;
  }
  if (handle.sample !== undefined) {
    inode.samples--;
    core.sampling.end(handle.sample);
  }
  if (handle.file !== undefined) {
    inode.removeWriter(handle.file);
    inode.touch(); // what was asked before its last write proves nothing now
    core.store.close(handle.file);
    core.backings.drop(inode, core.kernel); // when idle: one registered for writing would keep the source busy (ETXTBSY)
  }
  if (handle.usesSource) core.sources.release(inode);
  letGoOfContent(core, inode);
  core.reap(inode);
}

/** An object without readers must not be held back from eviction, unless the kernel still has it registered. */
function letGoOfContent(core: Core, inode: Inode): void {
  if (inode.opens === 0 && inode.backing?.kind !== 'tier') core.dropContent(inode);
}
