/**
 * A complete object is copied from one tier to another: filled as from a source, which here is the other tier's file. Every
 * chunk is held against its checksum on the way, so that damage does not travel.
 *
 * The copy is a new file. Whoever holds the old object, or was given it by the kernel, goes on with that one.
 */
import { Errno, failed, type Outcome } from '../sys/errno.ts';
import type { ContentSource } from './cache.ts';
import type { DiskCache } from './disk-cache.ts';
import type { ObjectItem } from './eviction/object-item.ts';
import type { Pace } from './mover.ts';
import type { CacheObject } from './object.ts';

/** Copied between two looks at whether readers wait. */
const PIECE_BYTES = 1024 * 1024;

export interface Copying {
  object: CacheObject;
  from: DiskCache;
  to: DiskCache;
  /** What it is kept as there. */
  item: ObjectItem;
  /** Undefined: somebody waits for it. */
  pace: Pace | undefined;
}

/** Resolves to whether the other tier has all of it now. What came of a copy that did not come to its end goes again. */
export async function copyObject({ object, from, to, item, pace }: Copying): Promise<boolean> {
  const copy = copyIn(to, object, item);
  object.uses++; // neither is to go, nor lose its descriptor, meanwhile
  copy.uses++;
  try {
    const source = new ObjectSource(object, from);
    const piece = Math.max(PIECE_BYTES, object.chunkBytes);
    for (let offset = 0; offset < object.key.size; offset += piece) {
      if (pace !== undefined && !(await pace(Math.min(piece, object.key.size - offset)))) break;
      if (failed(await copy.fill(piece, offset, source))) break;
    }
  } finally {
    object.uses--;
    from.released(object);
    copy.uses--;
    if (!copy.complete && !copy.dropped && !copy.held) to.remove(copy);
    else to.released(copy);
  }
  return copy.complete && !copy.dropped;
}

/** The object to be filled: what an earlier copy left, when it has the same chunks. */
function copyIn(to: DiskCache, { key, chunkBytes }: CacheObject, item: ObjectItem): CacheObject {
  const begun = to.lookup(key);
  if (begun !== undefined && begun.chunkBytes === chunkBytes) return begun;
  if (begun !== undefined) to.remove(begun);
  const copy = to.begin(key, item, chunkBytes);
  to.promise(copy);
  return copy;
}

class ObjectSource implements ContentSource {
  readonly #object: CacheObject;
  readonly #tier: DiskCache;

  constructor(object: CacheObject, tier: DiskCache) {
    this.#object = object;
    this.#tier = tier;
  }

  /** Whole chunks, as every fetch asks for. */
  async read(into: Uint8Array, length: number, offset: number): Promise<Outcome<number>> {
    const object = this.#object;
    const end = Math.min(offset + length, object.key.size);
    const fd = object.open();
    if (fd < 0) {
      object.broken();
      return -Errno.EIO;
    }
    const count = await this.#tier.tier.read(fd, into, end - offset, offset);
    if (count !== end - offset) {
      object.broken();
      return -Errno.EIO;
    }
    const first = Math.floor(offset / object.chunkBytes);
    const last = Math.ceil(end / object.chunkBytes) - 1;
    return object.checks.here(into, first, last) ? count : -Errno.EIO;
  }

  async unchanged(): Promise<boolean> {
    return !this.#object.dropped && !this.#object.stale;
  }
}
