/** What an object needs of the cache it lives in. */
import type { BufferPool } from './buffers.ts';
import type { Integrity } from './integrity.ts';
import type { CacheObject } from './object.ts';
import type { Tier } from './tier.ts';
import type { WaitingRoom } from './waiting.ts';

export interface ObjectHost {
  readonly tier: Tier;
  readonly buffers: BufferPool;
  readonly integrity: Integrity;
  readonly waitingRoom: WaitingRoom;
  /** Reads without waiting; a count, or a negated errno. */
  readNow(fd: number, into: Uint8Array, length: number, offset: number): number;
  hit(bytes: number): void;
  miss(bytes: number): void;
  /** The object's descriptor was used just now. */
  touch(object: CacheObject): void;
  /** Of so many chunks more, how many would be kept, the first of them first. */
  takes(object: CacheObject, firstChunk: number, count: number): number;
  /** Reserves bytes of the tier for it, by removing others where need be; false: it is not to be kept. */
  makeRoom(object: CacheObject, bytes: number): Promise<boolean>;
  /** Bytes of it are kept. */
  kept(object: CacheObject, bytes: number): void;
  /** Bytes of it are not what they were, and do not count any more. */
  lost(object: CacheObject, bytes: number): void;
  /** It was parked, and is in use again. */
  reused(object: CacheObject): void;
  /** The object's row in the index has to be written. */
  written(object: CacheObject): void;
  /** The same, of nothing but when it was used. */
  touched(object: CacheObject): void;
  /** A reference was given back, or a fetch has ended. */
  released(object: CacheObject): void;
  /** Takes the object out of the cache; its holders keep it. */
  remove(object: CacheObject): void;
  /** A write of so many bytes ended after the object was taken out: what it left is cleared when its holders go. */
  abandoned(object: CacheObject, bytes: number): void;
  /** Its file is damaged or gone: drops it and says so. */
  broken(object: CacheObject): void;
  defect(error: unknown): void;
}
