/**
 * The cache over one tier: which objects there are, and the index written behind them. What is let in and what goes for it
 * is eviction/'s to say.
 *
 * INVARIANT: what is in use counts until it is free. The file of an object that is dropped loses its name at once, and its
 * space when the last holder goes.
 */
import type { CachePolicyName } from '../config/cache-policies.ts';
import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';
import type { Log } from '../telemetry/log.ts';
import type { BufferPool } from './buffers.ts';
import type { Cache, CachedContent, CacheSnapshot, ContentKey, ContentReader, TierSnapshot } from './cache.ts';
import { chunkBytesOf, WHOLE_FILE_BYTES } from './chunk-size.ts';
import type { ObjectItem } from './eviction/object-item.ts';
import { Pins } from './eviction/pins.ts';
import { policies } from './eviction/policies.ts';
import { Room } from './eviction/room.ts';
import { NEVER_CACHE, Rules } from './eviction/rules.ts';
import type { IndexDatabase, IndexRow } from './index-db.ts';
import { IndexWriter } from './index-writer.ts';
import { Integrity } from './integrity.ts';
import type { Neighbours } from './neighbours.ts';
import { CacheObject } from './object.ts';
import type { ObjectHost } from './object-host.ts';
import { noIndex, type ObjectIndex } from './object-index.ts';
import { ObjectTable } from './object-table.ts';
import { OpenObjects } from './open-objects.ts';
import { TierPinning } from './pinning.ts';
import { Promised } from './promised.ts';
import { Scrubber } from './scrub.ts';
import type { Tier } from './tier.ts';
import { WaitingRoom } from './waiting.ts';

const NOTHING = { version: '', bytes: 0 };

export interface DiskCacheParts {
  tier: Tier;
  /** Undefined: nothing is written down, and everything ends with the process. */
  openIndex: ((anew?: boolean) => IndexDatabase) | undefined;
  buffers: BufferPool;
  /** Undefined: by the size of the file. */
  chunkBytes: number | undefined;
  /** `mix` unless said. */
  policy?: CachePolicyName | undefined;
  /** No globs unless said. */
  rules?: Rules | undefined;
  log: Log;
  /** 0, or not said: nothing is scrubbed. */
  scrubBytesPerSecond?: number | undefined;
  scrubQuietMs?: number | undefined;
  /** Called when every row of the index was looked at; again when it was lost and another one was begun. */
  onLookedThrough?: () => void;
  /** Called when the tier's directory had vanished and is there again, empty; before anything is put there. */
  onVanished?: () => void;
  /** Objects in memory beside those in use; for tests. */
  awakeMost?: number | undefined;
  /** Called when all is closed. */
  onShutdown: () => void;
}

export class DiskCache implements Cache, ObjectHost {
  readonly tier: Tier;
  readonly buffers: BufferPool;
  readonly integrity: Integrity;
  readonly waitingRoom: WaitingRoom = new WaitingRoom();
  readonly #scrubber: Scrubber;
  readonly #chunkBytes: number | undefined;
  readonly #log: Log;
  readonly #onShutdown: () => void;
  readonly #index: ObjectIndex;
  readonly #promised = new Promised();
  #neighbours: Neighbours | undefined;
  readonly #objects: ObjectTable;
  readonly #open = new OpenObjects();
  /**
   * Ids go up for ever, by the clock: where an index was lost and begun anew, no object gets the id, and with it the file
   * name, of one that is left over. A clock may be set back; then they go on above what is seen to be left over.
   */
  #nextId = Date.now() * 1000;
  #hits = 0;
  #hitBytes = 0;
  #misses = 0;
  #missBytes = 0;
  /** Bytes of objects that are dropped and held. */
  #heldBytes = 0;
  readonly #room: Room;
  readonly pinning: TierPinning;

  constructor(parts: DiskCacheParts) {
    const { tier, openIndex, buffers, chunkBytes, policy, log, onShutdown, awakeMost } = parts;
    const { rules = new Rules(new Pins([]), []) } = parts;
    this.#onShutdown = onShutdown;
    this.tier = tier;
    this.buffers = buffers;
    this.#chunkBytes = chunkBytes;
    this.#log = log;
    this.integrity = new Integrity(log);
    this.#room = new Room({
      tier,
      policy: policies[policy ?? 'mix'],
      rules,
      keepsPinned: (object) => this.#neighbours?.keptBelow(object) !== true,
      wholeBytes: WHOLE_FILE_BYTES,
      chunkBytes,
      rowsLeft: () => this.pinning.unpinnedRows,
      bring: (most) => this.#index.bring(most),
      wake: (objectId) => this.#objects.wake(objectId),
      evict: (object) => this.#evict(object),
      spare: () => this.#neighbours?.spare(),
    });
    const room = this.#room;
    const open = this.#open;
    const awaited = (object: CacheObject): boolean => this.#neighbours?.queued(object) === true;
    this.#objects = new ObjectTable({ host: this, room, open, awaited, awakeMost, index: () => this.#index });
    const objects = this.#objects;
    const writer = {
      tier,
      log,
      resume: (row: IndexRow) => objects.resume(row),
      pinned: (pin: number) => rules.pins.has(pin),
      rests: (id: number) => room.atRest.of(id) >= 0,
      written: () => objects.restMore(),
      lookedThrough: () => parts.onLookedThrough?.(),
      rowsLost: () => objects.forgetResting(),
    };
    this.#index = openIndex ? new IndexWriter({ openIndex, ...writer }) : noIndex;
    this.#nextId = Math.max(this.#nextId, this.#index.firstFreeId);
    this.pinning = new TierPinning({ rules, room, objects, index: () => this.#index });
    void this.loaded.then(() => {
      this.#room.bring();
      if (tier.usedBytes > tier.sizeBytes) return this.#room.shrink(); // it had more room before
    });
    tier.onReset = () => {
      parts.onVanished?.();
      this.#reset();
    };
    const { scrubBytesPerSecond = 0, scrubQuietMs: quietMs } = parts;
    const scrub = {
      host: this,
      index: this.#index,
      objects: () => objects.size,
      reads: () => this.#hits + this.#misses,
    };
    this.#scrubber = new Scrubber({ ...scrub, bytesPerSecond: scrubBytesPerSecond, quietMs });
  }

  /** Tells from now on of each id up to the highest that a file has whether it is nobody's. No object is given one of them any more. */
  leftOvers(highest: number): (id: number) => boolean {
    this.#nextId = Math.max(this.#nextId, highest + 1);
    const awake = new Set(this.#objects.awakeObjects().map((object) => object.id)); // not all have a row
    return (id) => !awake.has(id) && !this.#index.knows(id);
  }

  /** Every row of earlier runs was looked at. They become objects by need. */
  get loaded(): Promise<void> {
    return this.#index.loaded;
  }

  bring(row: IndexRow): CacheObject | undefined {
    return this.#objects.bring(row);
  }

  putBack(object: CacheObject): void {
    this.#objects.putBack(object);
  }

  // --- Cache -----------------------------------------------------------------------------------------------------------

  acquire(key: ContentKey, reader?: ContentReader): CachedContent | undefined {
    if (reader?.passing) return this.#acquirePassing(key);
    let object = this.lookup(key);
    if (object === undefined) {
      const item = this.#room.admit(key, reader);
      if (item === undefined) return undefined;
      object = this.begin(key, item, chunkBytesOf(key.size, this.#chunkBytes));
    } else if (this.#room.accessed(object, reader)) this.#index.touch(object);
    object.usedLately = true;
    object.references++;
    object.used();
    return object;
  }

  #acquirePassing(key: ContentKey): CachedContent | undefined {
    const object = this.lookup(key);
    if (object?.complete) object.references++;
    else this.#room.refused.neverCache++;
    return object?.complete ? object : undefined;
  }

  refuses(file: string, reader: ContentReader): boolean {
    return this.#room.ruleOf(file, reader) === NEVER_CACHE;
  }

  has(key: ContentKey): boolean {
    const object = this.#objects.awakeOf(key.file);
    if (object !== undefined) return object.key.version === key.version && object.complete;
    const row = this.#objects.rowOf(key.file);
    return row !== undefined && row.version === key.version && row.chunks === null;
  }

  presentBytes(key: ContentKey): number {
    const object = this.#objects.awakeOf(key.file);
    const { version, bytes } =
      object === undefined
        ? (this.#objects.rowOf(key.file) ?? NOTHING)
        : { version: object.key.version, bytes: object.bytes };
    return version === key.version ? bytes : 0;
  }

  keeps(file: string): boolean {
    return this.#objects.awakeOf(file) !== undefined || this.#objects.rowOf(file) !== undefined;
  }

  freeBytes(): number {
    return this.tier.freeBytes;
  }

  sizeBytes(): number {
    return this.tier.sizeBytes;
  }

  drop(file: string): void {
    const object = this.#objects.find(file);
    if (object !== undefined) this.remove(object);
  }

  claim(bytes: number): void {
    this.#room.claimedBytes = bytes;
  }

  async give(file: string): Promise<number> {
    const object = this.#objects.find(file);
    if (object === undefined || object.held || object.references > 0 || object.item.pinned) return 0;
    const { bytes } = object;
    this.remove(object);
    await object.unlinked;
    return bytes;
  }

  async resize(_tier: string, sizeBytes: number): Promise<void> {
    this.tier.setSize(sizeBytes);
    await this.#room.shrink();
  }

  setScrubRate(bytesPerSecond: number): void {
    this.#scrubber.bytesPerSecond = bytesPerSecond;
  }

  snapshot(): CacheSnapshot {
    return {
      tiers: [this.tierSnapshot()],
      sizeBytes: this.tier.sizeBytes,
      usedBytes: this.tier.usedBytes,
      objects: this.#objects.size,
      completeObjects: this.#objects.complete,
      objectsInMemory: this.#objects.awake,
      waitingBytes: this.waitingRoom.bytes,
      hits: this.#hits,
      hitBytes: this.#hitBytes,
      misses: this.#misses,
      missBytes: this.#missBytes,
      refused: { ...this.#room.refused },
      policy: this.#room.policyName,
      evictions: this.#room.evictions,
      evictedBytes: this.#room.evictedBytes,
      ...this.pinning.snapshot(),
      heldBytes: this.#heldBytes,
      checkedChunks: this.integrity.checkedChunks,
      damagedChunks: this.integrity.damagedChunks,
      scrub: this.#scrubber.snapshot(),
      health: this.tier.health,
    };
  }

  tierSnapshot(): TierSnapshot {
    const { name: path, usedBytes, sizeBytes, health } = this.tier;
    const { size: objects } = this.#objects;
    const hits = { hits: this.#hits, hitBytes: this.#hitBytes };
    return { path, bytes: usedBytes, sizeBytes, objects, ...hits, ...this.moved, health };
  }

  async shutdown(): Promise<void> {
    this.tier.close();
    this.#scrubber.stop();
    this.waitingRoom.clear();
    this.#objects.shutdown();
    this.pinning.stop();
    await this.#index.shutdown();
    this.#open.closeAll();
    this.#onShutdown();
  }

  // --- beside other tiers ------------------------------------------------------------------------------------------------

  /** What came to this tier from others. */
  readonly moved = { promotions: 0, promotedBytes: 0, demotions: 0, demotedBytes: 0 };

  set neighbours(neighbours: Neighbours) {
    this.#neighbours = neighbours;
  }

  /** The object of this content, not acquired; one of another version is dropped. */
  lookup(key: ContentKey): CacheObject | undefined {
    const object = this.#objects.find(key.file);
    if (object === undefined || (object.key.version === key.version && object.key.size === key.size)) return object;
    this.remove(object);
    return undefined;
  }

  /** The object of a file, whatever its version; not acquired. */
  objectOf(file: string): CacheObject | undefined {
    return this.#objects.find(file);
  }

  /** As `Index.after`: keys, and what is complete, of objects and rows. */
  contentsAfter(id: number, most: number): { contents: ContentKey[]; last: number | undefined } {
    const { found, last } = this.#index.after(id, most);
    const whole = found.filter((one) => one.chunks === null || (one instanceof CacheObject && one.complete));
    return { contents: whole.map((one) => (one instanceof CacheObject ? one.key : one)), last };
  }

  /** A new object, of which nothing is there yet. */
  begin(key: ContentKey, item: ObjectItem, chunkBytes: number): CacheObject {
    const object = new CacheObject(this, this.#nextId++, key, chunkBytes);
    object.item = item;
    this.#objects.add(object); // an empty file is complete
    return object;
  }

  /** So much more can be kept without anything going for it, beside what is being filled. */
  fits(bytes: number): boolean {
    return this.tier.room(this.#promised.bytes + bytes);
  }

  /** Sees to it that an object can be brought to its end; false: there is not the room. */
  promise(object: CacheObject): boolean {
    if (object.complete || this.#promised.has(object)) return true;
    const missing = this.tier.blocks(object.key.size - object.bytes);
    if (!this.fits(missing)) return false;
    this.#promised.promise(object, missing);
    return true;
  }

  /** What an object of another tier would be kept as here; see room.ts. */
  candidate(object: CacheObject, opened: boolean): ObjectItem | undefined {
    return this.#room.candidate(object.item, opened);
  }

  // --- ObjectHost ------------------------------------------------------------------------------------------------------

  readNow(fd: number, into: Uint8Array, length: number, offset: number): number {
    if (!this.tier.nowait) return sys.preadNow(fd, into, length, offset);
    const count = sys.preadFlags(fd, into, length, offset, sys.RWF_NOWAIT);
    if (count !== -Errno.EOPNOTSUPP) return count;
    this.tier.nowait = false;
    return sys.preadNow(fd, into, length, offset);
  }

  hit(bytes: number): void {
    this.#hits++;
    this.#hitBytes += bytes;
  }

  miss(bytes: number): void {
    this.#misses++;
    this.#missBytes += bytes;
  }

  touch(object: CacheObject): void {
    if (!object.dropped) this.#open.touch(object);
  }

  takes(object: CacheObject, firstChunk: number, count: number): number {
    return this.buffers.exhausted ? 0 : this.#room.takes(object, firstChunk, count);
  }

  makeRoom(object: CacheObject, bytes: number): Promise<boolean> {
    return this.#room.make(object, bytes);
  }

  kept(object: CacheObject, bytes: number): void {
    this.#promised.kept(object, this.tier.blocks(bytes));
    this.#room.kept(object, bytes);
    this.#objects.count(object);
    if (object.complete) this.#neighbours?.completed(object);
  }

  lost(object: CacheObject, bytes: number): void {
    this.tier.free(bytes);
    this.#room.shrunk(object, bytes);
    this.#objects.count(object);
  }

  reused(object: CacheObject): void {
    if (object.dropped) return;
    this.#room.accessed(object, undefined); // pins nothing: by what name is not known
    this.#neighbours?.reused(object);
  }

  written(object: CacheObject): void {
    if (object.bytes === 0) this.#index.delete(object);
    else if (!object.dropped) this.#index.put(object);
  }

  touched(object: CacheObject): void {
    if (!object.dropped) this.#index.touch(object);
  }

  released(object: CacheObject): void {
    if (object.references > 0 || object.busy) return;
    if (object.uses === 0) this.#promised.end(object);
    if (object.dropped) {
      this.#free(object);
    } else if (object.bytes === 0 && this.#objects.delete(object)) {
      // Opened, never read; nothing could be kept of it; all of it was damaged; or the file is empty
      this.#objects.count(object, false);
      this.#room.removed(object);
      this.#open.close(object);
      if (object.hasFile) void this.tier.remove(object.id);
    }
  }

  async #evict(object: CacheObject): Promise<boolean> {
    const elsewhere = (await this.#neighbours?.leaving(object)) ?? false;
    if (object.dropped || object.held || object.item.pinned) return false; // it may be by now
    object.letGo?.();
    this.remove(object);
    await object.unlinked;
    return !elsewhere;
  }

  remove(object: CacheObject): void {
    if (object.dropped) return;
    // Those who read it go on with its file, which must be open before it has no name.
    if (object.references > 0 && object.fd < 0 && object.bytes > 0) {
      object.fd = this.tier.open(object.id, object.key.size);
    }
    this.#open.leave(object); // and is the only way to it from then on: not closed to make room for others
    object.drop();
    this.#objects.count(object);
    this.#objects.delete(object);
    this.#room.removed(object);
    this.#promised.end(object);
    this.#neighbours?.removed(object);
    this.#index.delete(object);
    this.#heldBytes += object.bytes;
    object.unlinked = object.hasFile ? this.tier.remove(object.id) : Promise.resolve();
    this.#free(object);
  }

  /** The space of a dropped object, once nobody holds it. */
  #free(object: CacheObject): void {
    if (object.references > 0 || object.uses > 0 || object.busy) return;
    this.#open.close(object);
    const { bytes } = object;
    if (bytes === 0) return;
    object.bytes = 0;
    object.unlinked = object.unlinked?.then(() => {
      this.tier.free(bytes);
      this.#heldBytes -= bytes;
    });
  }

  broken(object: CacheObject): void {
    if (object.dropped) return;
    this.integrity.broken({ object: this.tier.path(object.id), file: object.key.file });
    this.remove(object);
  }

  abandoned(object: CacheObject, bytes: number): void {
    object.unlinked = this.tier.remove(object.id); // it may have been made after it was dropped
    this.#heldBytes += bytes;
  }

  defect(error: unknown): void {
    this.#log.error({ error: String(error) }, 'the cache failed to keep what was read');
  }

  /** The tier's directory had vanished and is there again, empty. */
  #reset(): void {
    for (const object of this.#objects.awakeObjects()) this.remove(object);
    this.#objects.forgetResting();
    this.#index.reopen();
  }
}
