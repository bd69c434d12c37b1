/** What changes or measures the bytes of an open file: always at the source. */
import type { StoreFile } from '../store/store.ts';
import { andThen, Errno, type Reply, settle } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Caller, HandleId } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import type { Inode } from './inode.ts';

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;
const SEEK_DATA = 3;

export function write(
  core: Core,
  id: HandleId,
  offset: number,
  data: Uint8Array,
  clearSuid: boolean,
  caller: Caller,
): Reply<number> {
  const handle = core.files.get(id);
  if (handle?.file === undefined) return -Errno.EBADF;
  const { inode, file } = handle;
  core.counters.writes++;
  core.counters.writeBytes += data.length;
  inode.touch();
  const written = clearSuid
    ? settle(clearSuidSgid(core, inode, file), () => core.store.write(file, data, offset))
    : core.store.write(file, data, offset);
  const { observer } = core;
  if (observer === undefined) return written;
  const { pid, askedMs } = caller; // the object is reused
  return settle(written, (count) => {
    observer.wrote(handle, pid, offset, count, askedMs);
    return count;
  });
}

/** The mode without the bits a write by another user takes away (set-group-id only where it is executable, as the VFS does). */
export function withoutSuidSgid(mode: number): number {
  const sgid = (mode & S_IXGRP) !== 0 ? S_ISGID : 0;
  return mode & 0o7777 & ~(S_ISUID | sgid);
}

/** The source's own file system would not do this: it sees the daemon write, not the caller. */
export function clearSuidSgid(core: Core, inode: Inode, file: StoreFile): Reply<unknown> {
  return andThen(core.store.attributes(inode.node, file), (attributes) => {
    const mode = withoutSuidSgid(attributes.mode);
    if (mode === (attributes.mode & 0o7777)) return attributes;
    inode.touch();
    return core.store.change(inode.node, { mode }, file);
  });
}

/** For changes the kernel sends no word on who may keep these bits: all but root lose them. */
function clearForCaller(core: Core, inode: Inode, file: StoreFile, caller: Caller): Reply<unknown> {
  if (caller.uid === 0 || (inode.attributes.mode & (S_ISUID | S_ISGID)) === 0) return 0;
  return clearSuidSgid(core, inode, file);
}

/** Runs an operation on the descriptor a handle has, or on one opened for it: a reader served from the cache has none. */
function withFile<T>(core: Core, handle: FileHandle, operation: (file: StoreFile) => Reply<T>): Reply<T> {
  if (handle.file !== undefined) return operation(handle.file);
  return andThen(core.sources.acquire(handle.inode), (file) =>
    settle(operation(file), (outcome) => {
      core.sources.release(handle.inode);
      return outcome;
    }),
  );
}

export function flush(core: Core, id: HandleId): Reply<0> {
  // Nothing is written, and the kernel remembers this answer: closing a file then costs no request.
  if (core.withoutOpen) return -Errno.ENOSYS;
  const file = core.files.get(id)?.file;
  return file === undefined ? 0 : core.store.flush(file);
}

export function fsync(core: Core, id: HandleId, dataOnly: boolean): Reply<0> {
  const handle = core.files.get(id);
  if (handle === undefined) return -Errno.EBADF;
  return withFile(core, handle, (file) => core.store.sync(file, dataOnly));
}

export function fallocate(
  core: Core,
  id: HandleId,
  mode: number,
  offset: number,
  length: number,
  caller: Caller,
): Reply<0> {
  const handle = core.files.get(id);
  if (handle?.file === undefined) return -Errno.EBADF;
  const { inode, file } = handle;
  inode.touch();
  return settle(clearForCaller(core, inode, file, caller), () => core.store.allocate(file, mode, offset, length));
}

export function lseek(core: Core, id: HandleId, offset: number, whence: number): Reply<number> {
  const handle = core.files.get(id);
  if (handle === undefined) return -Errno.EBADF;
  const sought = withFile(core, handle, (file) => core.store.seek(file, offset, whence));
  return settle(sought, (outcome) => {
    if (outcome !== -Errno.EOPNOTSUPP && outcome !== -Errno.EINVAL) return outcome;
    // A store that knows no holes: all is data up to the end, where the one hole begins (lseek(2)).
    const { size } = handle.inode.attributes;
    if (offset >= size) return -Errno.ENXIO;
    return whence === SEEK_DATA ? offset : size;
  });
}

export function copyFileRange(
  core: Core,
  id: HandleId,
  offset: number,
  toId: HandleId,
  toOffset: number,
  length: number,
  caller: Caller,
): Reply<number> {
  const from = core.files.get(id);
  const to = core.files.get(toId);
  if (from === undefined || to?.file === undefined) return -Errno.EBADF;
  const target = to.file;
  to.inode.touch();
  return settle(clearForCaller(core, to.inode, target, caller), () =>
    withFile(core, from, (file) => core.store.copyRange(file, offset, target, toOffset, length)),
  );
}
