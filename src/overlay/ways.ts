/** Open files by the way that serves them: each is begun here, and RELEASE ends it. */
import { Group } from '../access/hidden.ts';
import type { Way } from '../access/observer.ts';
import type { StoreFile } from '../store/store.ts';
import { Errno } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { HandleId, Opened } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import type { Backing, Inode } from './inode.ts';
import { isLarge, passthroughGroup } from './sampling.ts';

/** What an OPEN says for the kernel to look the name up again. */
export function stale(core: Core): number {
  core.counters.opensStale++;
  return -Errno.ESTALE;
}

export function addPassthrough(
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

export function addCached(
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
export function addSample(core: Core, inode: Inode, flags: number, way: 'tier' | 'source'): Opened {
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
  if (backingId === 0) core.kernelReadahead?.opening(inode);
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
    noFlush: file === undefined || toldAtWrite(core, backingId),
    nonSeekable: false,
  };
}

/** Whether a writer has nothing left to be told at close: what it wrote went by passthrough to a source that told at once. */
function toldAtWrite(core: Core, backingId: number): boolean {
  return backingId > 0 && !core.store.delaysErrors();
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

/** An object without readers is not held back from eviction: where the kernel still has it registered, until it is wanted. */
export function letGoOfContent(core: Core, inode: Inode): void {
  if (inode.opens > 0) return;
  if (inode.backing?.kind !== 'tier') core.dropContent(inode);
  else inode.content?.park(() => core.backings.drop(inode, core.kernel));
}
