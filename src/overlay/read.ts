/**
 * READ, where the daemon serves it. What is in memory is answered in the same turn of the session's loop, straight into
 * the reply; everything else comes later, in a buffer of its own.
 */
import { Group } from '../access/hidden.ts';
import { From } from '../access/observer.ts';
import type { StoreFile } from '../store/store.ts';
import { CARRIED_LEAST_BYTES, type Carrier } from '../sys/carrier.ts';
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { Core } from './core.ts';
import type { Caller, HandleId, LateBytes } from './filesystem.ts';
import type { FileHandle } from './handles.ts';
import type { Inode } from './inode.ts';
import { ReadBuffers } from './read-buffers.ts';

const buffers = new ReadBuffers();

export function read(
  core: Core,
  id: HandleId,
  offset: number,
  size: number,
  into: Uint8Array,
  caller: Caller,
  carrier?: Carrier,
): number | Promise<number | LateBytes> {
  const handle = core.files.get(id);
  if (handle === undefined) return -Errno.EBADF;
  core.counters.reads++;
  const { observer } = core;
  observer?.reading(handle, caller.pid, offset, size, caller.askedMs);
  const count = readInMemory(core, handle, into, size, offset, carrier);
  if (count !== -Errno.EAGAIN) {
    if (count >= 0) {
      if (offset + count > handle.readTo) handle.readTo = offset + count;
      core.counters.readsInline++;
      core.counters.readBytes += count;
    } else core.counters.readErrors++;
    if (handle.hiddenBy !== Group.NONE) core.sampling.served(handle, count, caller.askedMs);
    observer?.read(handle, caller.pid, offset, count, servedFrom(handle), caller.askedMs);
    return count;
  }
  return readLater(core, handle, offset, size, caller);
}

/**
 * What is in memory, at once: carried past this process where that can be, else copied to `into`. The count, or -EAGAIN;
 * `into` may then be scribbled on.
 */
export function readInMemory(
  core: Core,
  handle: FileHandle,
  into: Uint8Array,
  size: number,
  offset: number,
  carrier: Carrier | undefined,
): number {
  const { store, counters } = core;
  const { content, source, attributes } = handle.inode;
  const cached = handle.file === undefined ? content : undefined;
  const file = handle.file ?? source.file;
  if (carrier !== undefined && size >= CARRIED_LEAST_BYTES && size <= carrier.mostBytes) {
    let carried = -Errno.EAGAIN;
    if (cached !== undefined) carried = cached.carryNow(carrier, size, offset);
    else if (file !== undefined) carried = store.carryNow(file, carrier, size, offset, attributes.size);
    if (carried >= 0) {
      counters.readsCarried++;
      return carried;
    }
  }
  if (cached !== undefined) return cached.readNow(into, size, offset);
  return file === undefined ? -Errno.EAGAIN : store.readNow(file, into, size, offset);
}

/** Where the bytes of an answer at once were. */
export function servedFrom({ file, inode }: FileHandle): From {
  return file === undefined && inode.content !== undefined ? From.TIER : From.STORE;
}

export async function readLater(
  core: Core,
  handle: FileHandle,
  offset: number,
  size: number,
  caller: Caller,
): Promise<number | LateBytes> {
  const { pid, askedMs } = caller; // the object is reused
  const { inode } = handle;
  core.counters.readsLate++;
  const content = handle.file === undefined ? inode.content : undefined;
  core.demand.began();
  const outcome: Outcome<LateBytes> = await (content !== undefined
    ? content.read(size, offset, inode.contentSource(core.store, core.sources))
    : readSource(core, handle, offset, size)
  ).finally(() => core.demand.ended());
  const count = failed(outcome) ? outcome : (outcome as LateBytes).bytes.length;
  if (count < 0) core.counters.readErrors++;
  else {
    core.counters.readBytes += count;
    if (offset + count > handle.readTo) handle.readTo = offset + count;
  }
  if (handle.hiddenBy !== Group.NONE) core.sampling.served(handle, count, askedMs);
  const from = content !== undefined && (outcome as LateBytes).fetched !== true ? From.TIER : From.STORE;
  core.observer?.read(handle, pid, offset, count, from, askedMs);
  return outcome;
}

async function readSource(core: Core, handle: FileHandle, offset: number, size: number): Promise<Outcome<LateBytes>> {
  const { inode } = handle;
  if (handle.file !== undefined) return readFile(core, handle, handle.file, offset, size);
  const file = await core.sources.acquire(inode); // held until the bytes are there: the handle may end meanwhile
  if (failed(file)) return file;
  const outcome = await readFile(core, handle, file, offset, size);
  // The object this handle was to be served from is gone (a writer came): from here on it reads the source.
  if (!handle.usesSource && core.files.get(handle.id) === handle) handle.usesSource = true;
  else core.sources.release(inode);
  return outcome;
}

async function readFile(
  core: Core,
  handle: FileHandle,
  file: StoreFile,
  offset: number,
  size: number,
): Promise<Outcome<LateBytes>> {
  const buffer = buffers.take(size);
  const { inode } = handle;
  let count = await core.store.read(file, buffer, size, offset, inode.attributes.size);
  if (count >= 0 && count < size && core.store.speed === 'pooled' && offset + count < inode.attributes.size) {
    count = await readOn(core, inode, file, buffer, size, offset, count);
  }
  if (failed(count)) {
    buffers.give(buffer);
    return count;
  }
  return { bytes: buffer.subarray(0, count), release: () => buffers.give(buffer) };
}

/**
 * A slow store ended a read where its file should go on. When the file has grown meanwhile, or shrunk, another read tells;
 * when it is longer before and after a read that ends there, the store lies, and a file cut short is no answer.
 */
async function readOn(
  core: Core,
  inode: Inode,
  file: StoreFile,
  buffer: Uint8Array,
  size: number,
  offset: number,
  first: number,
): Promise<number> {
  let count = first;
  for (;;) {
    const before = await core.store.attributes(inode.node, file);
    if (failed(before) || before.size <= offset + count) return count;
    const again = await core.store.read(file, buffer, size, offset, before.size);
    if (again < 0 || again === size) return again;
    if (again <= count) {
      const after = await core.store.attributes(inode.node, file);
      return !failed(after) && after.size > offset + again ? -Errno.EIO : again;
    }
    count = again;
  }
}
