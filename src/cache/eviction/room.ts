/**
 * Room in the tier: who is let in, who goes for it, and what was refused. The policy decides; here is what it cannot know:
 * pins and rules, objects in use, and that the space of a removed object is free only when its file is gone.
 */

import { hashOf } from '../../packed/hash.ts';
import type { ContentKey, ContentReader } from '../cache.ts';
import { chunkBytesOf } from '../chunk-size.ts';
import type { CacheObject } from '../object.ts';
import type { Tier } from '../tier.ts';
import { ItemsAtRest } from './items-at-rest.ts';
import { ObjectItem } from './object-item.ts';
import { PinTally } from './pins.ts';
import type { EvictionPolicy, Item, PolicyParts } from './policy.ts';
import { isPin, NEVER_CACHE, NO_RULE, type Rule, type Rules } from './rules.ts';
import { extensionOf } from './workload.ts';

/** Why content was not kept: all that is kept is worth more; the disk has no room or fails; a rule says so. */
export interface Refusals {
  noRoom: number;
  disk: number;
  neverCache: number;
}

export interface RoomParts {
  tier: Tier;
  policy: (parts: PolicyParts) => EvictionPolicy;
  rules: Rules;
  /** Whether this tier is the one that keeps an object that is pinned. */
  keepsPinned: (object: CacheObject) => boolean;
  /** Files up to this size are kept only as a whole; of larger ones this much is of use. In bytes. */
  wholeBytes: number;
  chunkBytes: number | undefined;
  /** Objects of earlier runs that are only rows and not pinned, and how some of them become candidates. */
  rowsLeft: () => number;
  bring: (most: number) => void;
  /** The object of one at rest; undefined: there is nothing left of it, and its room is free. */
  wake: (objectId: number) => CacheObject | undefined;
  /** Takes an object out of the tier; resolves when its space is free. False: the cache still has it, or it is in use again. */
  evict: (object: CacheObject) => Promise<boolean>;
  /** An object that a faster tier has as well, if there is one: it goes before anything else does. */
  spare?: (() => CacheObject | undefined) | undefined;
}

/** Of what earlier daemons kept and nobody has asked for so many at least are known to the policy: it chooses among samples. */
const UNCLAIMED_LEAST = 64;

export class Room {
  readonly #parts: RoomParts;
  readonly #policy: EvictionPolicy;
  /** Of objects that are but rows, and that somebody has asked for since the start. */
  readonly atRest = new ItemsAtRest();
  readonly refused: Refusals = { noRoom: 0, disk: 0, neverCache: 0 };
  evictions = 0;
  evictedBytes = 0;
  /** Of what is resident. */
  readonly pinned = new PinTally();
  /** Of what is free, what is for items that are brought ahead of their readers. */
  claimedBytes = 0;
  /** Known to the policy, and nobody has asked for them. */
  #unclaimed = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: RoomParts) {
    this.#parts = parts;
    const { atRest } = this;
    this.#policy = parts.policy({ capacityBytes: () => parts.tier.sizeBytes, atRest });
  }

  get policyName(): string {
    return this.#policy.name;
  }

  ruleOf(file: string, reader: ContentReader): Rule {
    return this.#parts.rules.of(file, () => reader.path());
  }

  /** For content that the cache has nothing of: what to keep it as; undefined: it is not taken. */
  admit(key: ContentKey, reader: ContentReader | undefined): ObjectItem | undefined {
    const { wholeBytes, chunkBytes } = this.#parts;
    const rule = reader === undefined ? NO_RULE : this.ruleOf(key.file, reader);
    if (rule === NEVER_CACHE) {
      this.refused.neverCache++;
      return undefined;
    }
    const item = new ObjectItem(hashOf(`${key.file}\0${key.version}`), key.size, undefined);
    if (reader !== undefined) place(item, reader.path());
    item.pin = rule;
    item.ahead = reader?.ahead === true;
    const nowMs = performance.now();
    if (!item.pinned && !item.ahead) this.#policy.accessed(item, nowMs);
    const wanted = key.size <= wholeBytes ? key.size : chunkBytesOf(key.size, chunkBytes);
    if (wanted === 0 || this.#roomFor(wanted, item)) return item;
    if (!this.#fits(wanted)) this.refused.disk++;
    else if (item.pinned ? this.#victim(undefined) !== undefined : this.#admits(item, nowMs)) return item;
    else this.refused.noRoom++;
    return undefined;
  }

  /** So much is free, or something is there that a faster tier has as well. */
  #roomFor(bytes: number, item: ObjectItem): boolean {
    const { tier, spare } = this.#parts;
    return tier.room(item.ahead ? bytes : bytes + this.claimedBytes) || (this.#fits(bytes) && spare?.() !== undefined);
  }

  /**
   * For an object that another tier has: what to keep it as here; undefined: it is not worth what would go for it. `opened`:
   * somebody opened it just now. Else it has to leave the other tier; where it takes another's place it counts as read, as
   * in DEMOTE (Wong and Wilkes, "My cache or yours?", USENIX ATC 2002).
   */
  candidate({ id, size, directory, extension }: ObjectItem, opened: boolean): ObjectItem | undefined {
    const item = new ObjectItem(id, size, directory);
    item.extension = extension;
    const nowMs = performance.now();
    if (opened) this.#policy.accessed(item, nowMs);
    if (this.#roomFor(size, item)) return item;
    if (!this.#fits(size)) return undefined;
    if (!opened) this.#policy.accessed(item, nowMs);
    return this.#admits(item, nowMs) ? item : undefined;
  }

  /** What a pinned object of another tier is kept as here, whatever goes for it; undefined: it cannot be. */
  pinnedCandidate({ id, size, directory, extension }: ObjectItem, pin: number): ObjectItem | undefined {
    if (!this.#fits(size)) return undefined;
    const item = new ObjectItem(id, size, directory);
    item.extension = extension;
    item.pin = pin;
    return item;
  }

  /** An object that an earlier daemon kept; `pin`: as its row has it. */
  resumed(object: CacheObject, pin: number): ObjectItem {
    const { file, version, size } = object.key;
    const item = new ObjectItem(hashOf(`${file}\0${version}`), size, undefined);
    item.bytes = object.bytes;
    item.unclaimed = true;
    if (this.#parts.rules.pins.has(pin)) item.pin = pin;
    else this.#unclaimed++;
    this.#enter(item, object);
    return item;
  }

  /** The object is but a row again; false: somebody has asked for it, and what that told would be lost. */
  putBack({ item }: CacheObject): boolean {
    if (!item.unclaimed) return false;
    this.#claim(item);
    item.resident = false;
    this.#leave(item);
    return true;
  }

  /** The object is but a row until it is asked for; false: what is known of it is more than a record holds. */
  rest({ id, key, item, chunks }: CacheObject): boolean {
    if (this.#policy.rests === undefined || !item.resident || item.unclaimed) return false;
    const record = this.atRest.take(item, id, key.file, chunks.trustsAll, item.pin);
    if (!item.pinned) this.#policy.rests(item, record);
    return true;
  }

  /** The object is one again. */
  woken(object: CacheObject): ObjectItem {
    const record = this.atRest.of(object.id);
    const item = this.atRest.item(record);
    item.record = -1;
    item.object = object;
    item.owner = object;
    if (!item.pinned) this.#policy.wakes!(item);
    else if (!this.#parts.rules.pins.has(item.pin)) this.unpin(item);
    if (this.atRest.trusted(record)) object.chunks.trustAll();
    this.atRest.remove(record);
    return item;
  }

  /** Nothing is left of what was at rest: so many bytes. */
  lost(record: number): number {
    const item = this.atRest.item(record);
    this.#leave(item);
    this.atRest.remove(record);
    return item.bytes;
  }

  #claim(item: ObjectItem): void {
    if (item.unclaimed && !item.pinned) this.#unclaimed--;
    item.unclaimed = false;
  }

  /** Sees to it that the policy has a choice of what nobody has asked for; from the start, for it goes by how long that is so. */
  bring(): void {
    if (this.#unclaimed < UNCLAIMED_LEAST && this.#parts.rowsLeft() > 0) this.#parts.bring(UNCLAIMED_LEAST);
  }

  #admits(item: ObjectItem, nowMs: number): boolean {
    this.bring();
    return this.#policy.admits(item, nowMs);
  }

  #victim(candidate: ObjectItem | undefined): ObjectItem | undefined {
    this.bring();
    return this.#policy.victim(candidate, performance.now()) as ObjectItem | undefined;
  }

  /** An object that is there is opened again. True: it is pinned by that, and its row has to say so. */
  accessed(object: CacheObject, reader: ContentReader | undefined): boolean {
    if (reader?.ahead) return false;
    const { item, key } = object;
    if (item.pinned) item.ahead = false; // of others the policy is told
    this.#claim(item);
    const { rules, keepsPinned } = this.#parts;
    const placed = item.directory !== undefined;
    if (!placed && reader !== undefined) place(item, reader.path());
    // By another of its names, or after it was renamed, it is not unpinned: who took it there said nothing of that.
    const looked = reader !== undefined && !item.pinned && (!placed || rules.pins.anyPaths);
    const rule = looked ? this.ruleOf(key.file, reader) : NO_RULE;
    const pins = isPin(rule) && keepsPinned(object);
    if (pins) this.pin(item, rule);
    else if (!item.pinned) this.#policy.accessed(item, performance.now());
    return pins && item.resident;
  }

  /** From now on it goes for nothing. */
  pin(item: ObjectItem, pin: number): void {
    if (item.resident) this.#leave(item);
    if (item.unclaimed && !item.pinned) this.#unclaimed--;
    item.pin = pin;
    if (item.resident) this.pinned.add(pin, 1, item.bytes);
  }

  /** Its pin may be gone: then it competes again, as one that was kept just now. */
  lookAtPin({ item }: CacheObject): void {
    if (item.pinned && !this.#parts.rules.pins.has(item.pin)) this.unpin(item);
  }

  /** It competes as others do. */
  unpin(item: ObjectItem): void {
    if (item.resident) this.#leave(item);
    item.pin = NO_RULE;
    if (item.unclaimed) this.#unclaimed++;
    if (item.resident) this.#take(item);
  }

  /** Bytes of an object have been kept. */
  kept(object: CacheObject, bytes: number): void {
    const { item } = object;
    item.bytes += bytes;
    if (!item.resident) this.#enter(item, object);
    else if (item.pinned) this.pinned.add(item.pin, 0, bytes);
    else this.#policy.grown(item, bytes);
  }

  /** Bytes of an object do not count any more. */
  shrunk({ item }: CacheObject, bytes: number): void {
    item.bytes -= bytes;
    if (!item.resident) return;
    if (item.pinned) this.pinned.add(item.pin, 0, -bytes);
    else this.#policy.grown(item, -bytes);
  }

  /** An object is out of the cache. */
  removed({ item }: CacheObject): void {
    if (!item.resident) return;
    item.resident = false;
    this.#claim(item);
    this.#leave(item);
  }

  /** Reserves bytes of the tier for an object, whose file is fetched already; removes others for it. False: there is no room. */
  make(object: CacheObject, bytes: number): Promise<boolean> {
    // One after the other: what one makes room for, another must not take.
    const turn = this.#turn.then(() => this.#make(object, bytes));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /**
   * Of a run of chunks of an object, how many would be kept as things are: before they are fetched. All of them; or half, a
   * quarter and so on, so that the last of the room is used too. Of a small file all or none.
   */
  takes(object: CacheObject, firstChunk: number, count: number): number {
    const { wholeBytes } = this.#parts;
    const least = object.key.size <= wholeBytes ? count : 1;
    for (let taken = count; taken >= least; taken >>= 1) {
      const bytes = object.end(firstChunk + taken - 1) - object.start(firstChunk);
      if (this.#roomFor(bytes, object.item) || this.#victimFor(object, bytes) !== undefined) return taken;
    }
    return 0;
  }

  async #make(object: CacheObject, bytes: number): Promise<boolean> {
    while (!this.#parts.tier.reserve(bytes)) {
      if (object.dropped) return false;
      const victim = this.#victimFor(object, bytes);
      if (victim === undefined) {
        this.refused[this.#fits(bytes) ? 'noRoom' : 'disk']++;
        return false;
      }
      await this.#evict(victim);
    }
    return true;
  }

  /** Of what is kept, what goes next so that bytes of an object find room. */
  #victimFor({ item }: CacheObject, bytes: number): ObjectItem | undefined {
    if (!this.#fits(bytes)) return undefined;
    return this.#parts.spare?.()?.item ?? this.#victim(item.pinned ? undefined : item);
  }

  /** Removing something could make room for so much. */
  #fits(bytes: number): boolean {
    const { tier } = this.#parts;
    return tier.takesMore && bytes <= tier.sizeBytes;
  }

  /** After the cache was made smaller. */
  shrink(): Promise<void> {
    const turn = this.#turn.then(async () => {
      const { tier, spare } = this.#parts;
      while (tier.usedBytes > tier.sizeBytes) {
        const victim = spare?.()?.item ?? this.#victim(undefined);
        if (victim === undefined) return; // what is left is pinned or in use
        await this.#evict(victim);
      }
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #evict({ object, record, bytes }: ObjectItem): Promise<void> {
    const { wake, evict } = this.#parts;
    const awake = object ?? wake(this.atRest.objectId(record));
    if (awake === undefined || !(await evict(awake))) return;
    this.evictions++;
    this.evictedBytes += bytes;
  }

  #enter(item: ObjectItem, object: CacheObject): void {
    item.object = object;
    item.owner = object;
    item.resident = true;
    this.#take(item);
  }

  /** The bytes of a resident item are the policy's, or those of its pin; and are so no more. */
  #take(item: ObjectItem): void {
    if (item.pinned) this.pinned.add(item.pin, 1, item.bytes);
    else if (item.unclaimed && this.#policy.resumed !== undefined) this.#policy.resumed(item, performance.now());
    else this.#policy.inserted(item, performance.now());
  }

  #leave(item: ObjectItem): void {
    if (item.pinned) this.pinned.add(item.pin, -1, -item.bytes);
    else this.#policy.removed(item);
  }
}

function place(item: Item, path: string): void {
  const slash = path.lastIndexOf('/');
  item.directory = slash < 0 ? '' : path.slice(0, slash);
  item.extension = extensionOf(path);
}
