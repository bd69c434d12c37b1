/** Pins of a cache of several tiers: what is pinned is kept in the last, and copied there when it is elsewhere. */
import type { ContentKey, ContentReader, Pinning } from './cache.ts';
import type { Pin, Pins } from './eviction/pins.ts';
import { isPin, type Rules } from './eviction/rules.ts';
import { type PinningSnapshot, snapshotOf } from './pinning.ts';
import type { Moving, PlacedTier } from './tiers.ts';

export interface TieredPinningParts {
  rules: Rules;
  /** Fastest first. */
  tiers: readonly PlacedTier[];
  /** Resolves to whether the tier it is copied to has all of it. */
  copy: (moving: Moving) => Promise<boolean>;
}

export class TieredPinning implements Pinning {
  readonly #parts: TieredPinningParts;
  readonly #last: PlacedTier;

  constructor(parts: TieredPinningParts) {
    this.#parts = parts;
    this.#last = parts.tiers.at(-1)!;
  }

  get pins(): Pins {
    return this.#parts.rules.pins;
  }

  of(file: string, reader: ContentReader): Pin | undefined {
    return this.#last.cache.pinning.of(file, reader);
  }

  async apply(key: ContentKey, reader: ContentReader): Promise<boolean> {
    const { rules, tiers, copy } = this.#parts;
    const { cache } = this.#last;
    const pin = rules.of(key.file, () => reader.path());
    await cache.pinning.apply(key, reader); // of what an earlier copy left, too
    if (!isPin(pin) || this.#last.has({ key })) return true;
    const from = tiers.find((tier) => tier !== this.#last && tier.healthy && tier.has({ key }));
    const object = from?.cache.lookup(key);
    if (from === undefined || object === undefined) return true;
    const item = cache.pinning.candidate(object, pin);
    if (item !== undefined && (await copy({ object, from, to: this.#last, item, pace: undefined }))) {
      from.cache.pinning.letGo(object);
      return true;
    }
    await from.cache.pinning.apply(key, reader); // rather there than nowhere
    return false;
  }

  async noted(): Promise<boolean> {
    const noted = await Promise.all(this.#parts.tiers.map(({ cache }) => cache.pinning.noted()));
    return noted.every((each) => each);
  }

  snapshot(): PinningSnapshot {
    const tallies = this.#parts.tiers.flatMap(({ cache }) => cache.pinning.tallies);
    return snapshotOf(this.pins, tallies);
  }
}
