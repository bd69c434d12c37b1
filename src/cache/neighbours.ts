/** What a tier tells those beside it, and asks of them; see tiers.ts. A tier that is alone has none. */
import type { CacheObject } from './object.ts';

export interface Neighbours {
  /** An object is about to go for the room it takes. True: another tier has it, by now. */
  leaving(object: CacheObject): Promise<boolean>;
  /** One that a faster tier has as well. */
  spare(): CacheObject | undefined;
  /** One that was parked is in use again. */
  reused(object: CacheObject): void;
  /** A slower tier has it as well, and keeps it when it is pinned. */
  keptBelow(object: CacheObject): boolean;
  /** It is to be moved, or let go of. */
  queued(object: CacheObject): boolean;
  /** Its last byte has come. */
  completed(object: CacheObject): void;
  /** It is out of this tier. */
  removed(object: CacheObject): void;
}
