/**
 * OPEN: which way serves a handle. (Writers: open-writing.ts. CREATE and TMPFILE: create.ts.)
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
import type { CachedContent } from '../cache/cache.ts';
import type { Attributes } from '../store/attributes.ts';
import type { StoreFile } from '../store/store.ts';
import { andThen, Errno, failed, type Outcome, type Reply, settle } from '../sys/errno.ts';
import { mayWrite } from '../sys/open-flags.ts';
import type { Core } from './core.ts';
import type { Caller, NodeId, Opened } from './filesystem.ts';
import type { Backing, Inode } from './inode.ts';
import { openForWriting } from './open-writing.ts';
import { passthroughGroup } from './sampling.ts';
import { addCached, addPassthrough, addSample, letGoOfContent, stale } from './ways.ts';

export function open(core: Core, node: NodeId, flags: number, clearSuid: boolean, caller: Caller): Reply<Opened> {
  const reply = openAny(core, node, flags, clearSuid, caller.pid);
  if (reply instanceof Promise) {
    const who = { ...caller }; // the object is reused
    return reply.then((opened) => ended(core, opened as Outcome<Opened>, who));
  }
  return ended(core, reply, caller);
}

function ended(core: Core, outcome: Outcome<Opened>, caller: Caller): Outcome<Opened> {
  return failed(outcome) ? outcome : begun(core, outcome as Opened, caller);
}

/** What follows every OPEN that came to a handle. */
function begun(core: Core, opened: Opened, caller: Caller): Opened {
  core.counters.opens++; // not those that were sent to look again: they come again
  core.sentBack.served(caller.pid);
  const handle = core.files.get(opened.handle)!;
  core.observer?.opened(handle, caller.pid, handle.keptPages, caller.askedMs);
  core.pusher?.opened(handle, opened, caller);
  return opened;
}

function openAny(core: Core, node: NodeId, flags: number, clearSuid: boolean, thread: number): Reply<Opened> {
  const inode = core.inode(node);
  if (inode === undefined) return -Errno.ESTALE;
  const writes = mayWrite(flags);
  if (writes && core.readOnly) return -Errno.EROFS;
  if (core.withoutOpen) return -Errno.ENOSYS; // see standing.ts
  return andThen(validate(core, inode, writes, thread), () =>
    writes ? openForWriting(core, inode, flags, clearSuid, thread) : openForReading(core, inode, flags, thread),
  );
}

/** Close-to-open: 0 when the inode still stands for what its name leads to, ESTALE when the kernel must look again. */
function validate(core: Core, inode: Inode, writes: boolean, thread: number): Reply<0> {
  if (inode.unlinked) return 0; // only its descriptors lead to it, and nobody else can change it
  const askedMs = core.nowMs();
  const sentAtMs = core.sentBack.sentAtMs(thread, askedMs);
  if (inode.superseded) {
    return writes || sentAtMs === undefined ? stale(core) : sameContent(core, inode);
  }
  // A writer asks always: what it adds to a file it knows by an old size could destroy what others added.
  const leased = core.store.speed === 'pooled' && !writes && askedMs - inode.validatedAtMs < core.ttlMs;
  const believed = core.immutable || leased;
  if (believed && inode.content?.stale !== true) return 0;
  core.counters.validations++;
  return settle(core.store.revalidate(inode.node), (outcome) => {
    if (failed(outcome)) return outcome === -Errno.ENOENT ? stale(core) : outcome;
    const lookedUpSince = sentAtMs !== undefined && inode.validatedAtMs >= sentAtMs;
    const seen = core.observe(inode, outcome, askedMs);
    // A file that changes all the time: its content of the look-up that this open was sent to make is new enough.
    if (seen === 'superseded') return lookedUpSince && !writes ? 0 : stale(core);
    // The OPEN reply carries no attributes: without this, fstat and cached reads would go by the old size.
    if (seen === 'changed') core.kernel.invalidateAttributes(inode.nodeId);
    return 0;
  });
}

/**
 * Whether the file still has the content of a superseded inode. Who comes back to one has no name to look up
 * (/proc/self/fd/N), or it was superseded since.
 */
function sameContent(core: Core, inode: Inode): Reply<0> {
  return settle(core.store.revalidate(inode.node), (outcome) =>
    failed(outcome) || core.store.version(outcome as Attributes) !== inode.version ? stale(core) : 0,
  );
}

export function openForReading(core: Core, inode: Inode, flags: number, thread = 0): Reply<Opened> {
  const { backing } = inode;
  let sampled = false;
  if (backing !== undefined && usableAgain(core, inode, backing)) {
    sampled = takesSample(core, inode, backing.kind);
    if (!sampled) {
      inode.content?.park(undefined);
      core.backings.use(inode, backing);
      return addPassthrough(core, inode, flags, backing, undefined);
    }
  }
  if (inode.passthroughOpens > 0) {
    core.supersede(inode); // its holders keep their backing file; nothing else may be opened beside it
    return stale(core);
  }
  const content = contentFor(core, inode, thread);
  if (content?.complete === true) {
    if (sampleInTheWay(core, inode, thread)) return leaveToSample(core, inode);
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
    if (inode.superseded && !inode.unlinked && !inode.leftToSample) {
      core.sources.release(inode); // the file went on to other content while this one waited
      letGoOfContent(core, inode);
      return stale(core);
    }
    if (inode.passthroughOpens > 0) {
      core.sources.release(inode); // another open decided while this one waited
      return openForReading(core, inode, flags, thread);
    }
    if (content !== undefined) return addCached(core, inode, flags, 'tier', undefined, true);
    if (core.cache === undefined && sampleInTheWay(core, inode, thread)) {
      core.sources.release(inode);
      return leaveToSample(core, inode);
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

/** Only samples keep this inode from passthrough. Who was sent to look again already goes beside them. */
function sampleInTheWay(core: Core, inode: Inode, thread: number): boolean {
  return (
    inode.samples > 0 &&
    inode.samples === inode.cachedOpens &&
    inode.attributes.size >= core.passthroughMinBytes &&
    !inode.unlinked &&
    !inode.superseded &&
    core.backings.usable(core.kernel) &&
    core.sentBack.sentAtMs(thread, core.nowMs()) === undefined
  );
}

function leaveToSample(core: Core, inode: Inode): number {
  inode.leftToSample = true;
  core.sampling.spare(inode);
  core.supersede(inode);
  return stale(core);
}

/** Whether one more reader may go through the backing file an inode has, in use or idle. */
function usableAgain(core: Core, inode: Inode, backing: Backing): boolean {
  if (inode.cachedOpens > 0) return false;
  if (backing.kind === 'tier') {
    if (inode.content?.stale === true) return false; // found damaged: only who has it keeps it
    return backing.version === inode.version && !inode.selfModified && !core.writerAwaited(inode);
  }
  return backing.users > 0 || (core.cache === undefined && wantsPassthrough(core, inode));
}

/** The cached object of an inode's content, where it may be served from one. */
function contentFor(core: Core, inode: Inode, thread: number): CachedContent | undefined {
  if (core.cache === undefined || inode.writers > 0 || inode.selfModified || inode.unlinked) return undefined;
  if (core.writerAwaited(inode)) return undefined;
  if (inode.content !== undefined && !inode.content.stale) {
    inode.content.park(undefined);
    return inode.content;
  }
  core.dropContent(inode);
  if (core.unsettled(inode.attributes)) return undefined; // its version would not tell the next change
  const reader = core.passesBy(thread) ? { path: () => inode.path(), passing: true } : inode;
  inode.content = core.cache.acquire(inode.contentKey(), reader);
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
