/** Pins of a tier: what of its objects and rows has which, and what becomes of those whose pin comes or goes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheSnapshot, ContentKey, ContentReader, Pinning } from './cache.ts';
import type { ObjectItem } from './eviction/object-item.ts';
import type { Pin, Pins, PinTally } from './eviction/pins.ts';
import type { Room } from './eviction/room.ts';
import { isPin, type Rules } from './eviction/rules.ts';
import type { CacheObject } from './object.ts';
import type { ObjectIndex } from './object-index.ts';
import type { ObjectTable } from './object-table.ts';

/** A row is written within half a second; where very many are to be, they are waited for so long. */
const NOTED_MS = 60_000;
const LOOK_MS = 50;
/** Objects at rest whose pin is gone, at once: each is read from the index, some 2 ms of the thread that serves requests. */
const SLICE = 50;
const PAUSE_MS = 5;

export type PinningSnapshot = Pick<CacheSnapshot, 'pinnedBytes' | 'pins'>;

export function snapshotOf(pins: Pins, tallies: readonly PinTally[]): PinningSnapshot {
  return { pinnedBytes: pins.total(tallies).bytes, pins: pins.snapshot(tallies) };
}

export interface TierPinningParts {
  rules: Rules;
  room: Room;
  objects: ObjectTable;
  index: () => ObjectIndex;
}

export class TierPinning implements Pinning {
  readonly #parts: TierPinningParts;
  /** Objects at rest whose pin is gone. */
  #released: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(parts: TierPinningParts) {
    this.#parts = parts;
    this.pins.onGone(() => this.#release());
  }

  get pins(): Pins {
    return this.#parts.rules.pins;
  }

  of(file: string, reader: ContentReader): Pin | undefined {
    return this.#parts.rules.pinOf(file, () => reader.path());
  }

  async apply({ file }: ContentKey, reader: ContentReader): Promise<boolean> {
    const { room, objects, index } = this.#parts;
    const rule = room.ruleOf(file, reader);
    const now = objects.awakeOf(file)?.item.pin ?? objects.rowOf(file)?.pin;
    if (!isPin(rule) || now === undefined || now === rule) return true; // a row that has it need not become an object
    const object = objects.find(file);
    if (object === undefined) return true;
    room.pin(object.item, rule);
    if (object.item.resident) index().touch(object);
    return true;
  }

  /** What an object of another tier is kept as here because it is pinned; undefined: it cannot be. */
  candidate(object: CacheObject, pin: number): ObjectItem | undefined {
    return this.#parts.room.pinnedCandidate(object.item, pin);
  }

  /** It is where pinned content is kept, and need not be here. */
  letGo({ item }: CacheObject): void {
    if (item.pinned) this.#parts.room.unpin(item);
  }

  async noted(): Promise<boolean> {
    const index = this.#parts.index();
    const until = index.batches + index.waiting;
    for (let tries = NOTED_MS / LOOK_MS; index.batches < until; tries--) {
      if (tries <= 0 || this.#ended) return false;
      await sleep(LOOK_MS);
    }
    return true;
  }

  get tallies(): PinTally[] {
    return [this.#parts.room.pinned, this.#parts.index().unloaded.pinned];
  }

  /** Rows of earlier runs that may go. */
  get unpinnedRows(): number {
    const { rows, pinned } = this.#parts.index().unloaded;
    return rows === 0 ? 0 : rows - this.pins.total([pinned]).files;
  }

  snapshot(): PinningSnapshot {
    return snapshotOf(this.pins, this.tallies);
  }

  /**
   * What pins kept that are gone is the policy's again: objects in memory at once, those at rest in slices, for there may be a
   * million. Rows of earlier runs need nothing: they are told from others no more.
   */
  #release(): void {
    const { pins } = this;
    const { room, objects } = this.#parts;
    for (const object of objects.awakeObjects()) room.lookAtPin(object);
    const { atRest } = room;
    const released = atRest.records().filter((record) => atRest.pinOf(record) > 0 && !pins.has(atRest.pinOf(record)));
    this.#released = released.map((record) => atRest.objectId(record)); // the record may be another's when its turn comes
    this.#timer ??= this.#soon();
  }

  #soon(): NodeJS.Timeout | undefined {
    return this.#ended ? undefined : setTimeout(() => this.#releaseSome(), PAUSE_MS).unref();
  }

  /** One that wakes is looked at as it does. */
  #releaseSome(): void {
    const { room, objects } = this.#parts;
    for (const id of this.#released.splice(-SLICE)) if (room.atRest.of(id) >= 0) objects.wake(id);
    this.#timer = this.#released.length > 0 ? this.#soon() : undefined;
  }

  stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
