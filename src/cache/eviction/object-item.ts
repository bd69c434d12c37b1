/** A content of the cache, as the policy sees it: what is kept of it, or would be. */
import type { CacheObject } from '../object.ts';
import { NO_PIN } from './pins.ts';
import { Item } from './policy.ts';

export class ObjectItem extends Item {
  /** Undefined: nothing of it is kept (yet), or it is at rest. */
  object: CacheObject | undefined;
  /** The number of what pins it, or `NO_PIN`. */
  pin = NO_PIN;
  /** An earlier daemon kept it, and nobody has asked for it since. */
  unclaimed = false;

  get pinned(): boolean {
    return this.pin !== NO_PIN;
  }
}
