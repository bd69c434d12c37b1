/**
 * The objects of a tier by their files, one version of each. Those that are used, and the ones used lately, are awake: objects
 * in memory. The others are at rest: a row of the index, and a record of what the policy goes by (eviction/items-at-rest.ts); so
 * what is held in memory does not grow by a thousand bytes with every file. Who asks for one at rest has it awake at once.
 *
 * Which go to rest is found as CLOCK does (Corbato, "A paging experiment with the Multics system", 1968): a hand goes round those
 * awake, in a turn of the loop of its own, and those that were not used since it came by last may.
 *
 * INVARIANT: an object goes to rest only when the index has written all that is to be known of it, and nobody holds it.
 */
import { LARGEST_AT_REST } from './eviction/items-at-rest.ts';
import type { Room } from './eviction/room.ts';
import type { IndexRow } from './index-db.ts';
import { CacheObject } from './object.ts';
import type { ObjectHost } from './object-host.ts';
import type { ObjectIndex } from './object-index.ts';
import type { OpenObjects } from './open-objects.ts';

/** Awake, beside those that are in use: some 16 MB. */
const AWAKE_MOST = 16_384;
/** Looked at in one turn: less than a millisecond. */
const LOOKED_AT_ONCE = 128;

export interface ObjectTableParts {
  host: ObjectHost;
  room: Room;
  index: () => ObjectIndex;
  open: OpenObjects;
  /** Somebody who does not hold it has yet to come back to it. */
  awaited: (object: CacheObject) => boolean;
  /** Awake at most, but for those in use; for tests. */
  awakeMost?: number | undefined;
}

export class ObjectTable {
  readonly #parts: ObjectTableParts;
  readonly #awakeMost: number;
  readonly #awake = new Map<string, CacheObject>();
  /** Of those awake, the ones whose every byte is there. */
  #complete = 0;
  #hand: IterableIterator<CacheObject> | undefined;
  #turn: NodeJS.Immediate | undefined;
  #ended = false;

  constructor(parts: ObjectTableParts) {
    this.#parts = parts;
    this.#awakeMost = parts.awakeMost ?? AWAKE_MOST;
  }

  get #index(): ObjectIndex {
    return this.#parts.index();
  }

  /** Objects, and rows that may be such. */
  get size(): number {
    return this.#awake.size + this.#parts.room.atRest.size + this.#index.unloaded.rows;
  }

  get complete(): number {
    return this.#complete + this.#parts.room.atRest.size + this.#index.unloaded.complete;
  }

  get awake(): number {
    return this.#awake.size;
  }

  /** The object of a file when it is awake. */
  awakeOf(file: string): CacheObject | undefined {
    return this.#awake.get(file);
  }

  /** The object of a file. */
  find(file: string): CacheObject | undefined {
    const awake = this.#awake.get(file);
    if (awake !== undefined) return awake;
    const row = this.#rowAtRest(file);
    if (row !== undefined) return this.#wake(row);
    if (this.#index.unloaded.rows > 0) this.#index.find(file);
    return this.#awake.get(file);
  }

  /** The row of a file whose object is not awake. */
  rowOf(file: string): IndexRow | undefined {
    return this.#rowAtRest(file) ?? this.#index.rowOf(file);
  }

  add(object: CacheObject): void {
    object.usedLately = true;
    this.#awake.set(object.key.file, object);
    this.count(object);
    this.restMore();
  }

  /** It is no object of its file any more. False: it was not. */
  delete(object: CacheObject): boolean {
    const { file } = object.key;
    return this.#awake.get(file) === object && this.#awake.delete(file);
  }

  /** Keeps count of those that are complete; to be told of whatever may change that. */
  count(object: CacheObject, kept = !object.dropped): void {
    const complete = kept && object.complete;
    if (complete === object.countedComplete) return;
    object.countedComplete = complete;
    this.#complete += complete ? 1 : -1;
  }

  /** A row of an earlier run, whose bytes are counted already. */
  resume(row: IndexRow): void {
    const { host, room } = this.#parts;
    const atRest = this.#rowAtRest(row.file);
    const before = atRest === undefined ? this.#awake.get(row.file) : this.#wake(atRest);
    const object = before !== undefined && before.id > row.id ? undefined : CacheObject.resume(host, row);
    if (object === undefined) {
      this.#index.discard(row);
      void host.tier.remove(row.id);
      return;
    }
    if (before !== undefined) host.remove(before);
    object.item = room.resumed(object, row.pin);
    this.#index.resumed(object);
    this.add(object);
  }

  /** The object of a row; undefined: it is none any more. */
  bring(row: IndexRow): CacheObject | undefined {
    const object = this.find(row.file);
    return object?.id === row.id ? object : undefined;
  }

  /** It need not be awake. False: it has to be, or what it tells would be lost. */
  putBack(object: CacheObject): boolean {
    const { references, uses, busy, dropped, complete, key, chunks, item } = object;
    if (references + uses > 0 || busy || dropped || this.#parts.awaited(object) || this.#index.writes(object))
      return false;
    if (item.unclaimed) {
      if (chunks.count > 1) return false; // what was found of them is worth its memory: to find it again takes longer
      this.#index.returned(object);
      this.#parts.room.putBack(object);
    } else {
      const whole = complete && key.size > 0 && key.size < LARGEST_AT_REST && (chunks.trustsAll || chunks.trustsNone);
      if (!whole || !this.#parts.room.rest(object)) return false;
      this.#index.rested(object);
    }
    this.#parts.open.close(object);
    this.delete(object);
    this.count(object, false);
    object.bytes = 0; // they count with the row
    object.dropped = true; // for who has met it in between and holds nothing of it
    return true;
  }

  /** The index is lost, and with it what rests: so many. */
  forgetResting(): number {
    const records = this.#parts.room.atRest.records();
    for (const record of records) this.#lost(record);
    return records.length;
  }

  /** After something was added, or written. */
  restMore(): void {
    if (this.#awake.size <= this.#awakeMost || this.#ended) return;
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#restSome();
    });
  }

  awakeObjects(): CacheObject[] {
    return [...this.#awake.values()];
  }

  shutdown(): void {
    this.#ended = true;
    clearImmediate(this.#turn);
  }

  // --- at rest ---------------------------------------------------------------------------------------------------------

  #rowAtRest(file: string): IndexRow | undefined {
    const { atRest } = this.#parts.room;
    let found: IndexRow | undefined;
    const lost: number[] = [];
    atRest.find(file, (objectId) => {
      const row = this.#index.rowAtRest(objectId);
      if (row === undefined) lost.push(objectId);
      else if (row.file === file) found = row;
      return found !== undefined;
    });
    for (const objectId of lost) this.#lostRow(objectId);
    return found;
  }

  /** One at rest, by its id; undefined: there is nothing left of it. */
  wake(objectId: number): CacheObject | undefined {
    const row = this.#index.rowAtRest(objectId);
    if (row !== undefined) return this.#wake(row);
    this.#lostRow(objectId);
    return undefined;
  }

  #wake(row: IndexRow): CacheObject | undefined {
    const { host, room } = this.#parts;
    const object = CacheObject.resume(host, row);
    if (object === undefined || !object.complete) {
      this.#lostRow(row.id);
      return undefined;
    }
    object.item = room.woken(object);
    this.#index.woken(object);
    this.add(object);
    return object;
  }

  /** The row of one at rest is gone, or damaged. */
  #lostRow(objectId: number): void {
    const record = this.#parts.room.atRest.of(objectId);
    if (record >= 0) this.#lost(record);
  }

  #lost(record: number): void {
    const { host, room } = this.#parts;
    const objectId = room.atRest.objectId(record);
    const bytes = room.lost(record);
    this.#index.lost(objectId);
    void host.tier.remove(objectId).then(() => host.tier.free(bytes));
  }

  #restSome(): void {
    let fruitless = true;
    for (let looked = 0; looked < LOOKED_AT_ONCE && this.#awake.size > this.#awakeMost; looked++) {
      const object = this.#underHand();
      if (object === undefined) break;
      if (object.usedLately || this.putBack(object)) fruitless = false;
      object.usedLately = false;
    }
    if (!fruitless) this.restMore();
  }

  #underHand(): CacheObject | undefined {
    this.#hand ??= this.#awake.values();
    const { value, done } = this.#hand.next();
    if (!done) return value;
    this.#hand = undefined;
    return undefined;
  }
}
