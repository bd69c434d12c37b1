/** A content of the cache, as the policy sees it: what is kept of it, or would be. */
import type { CacheObject } from '../object.ts';
import { Item } from './policy.ts';

export class ObjectItem extends Item {
  /** Undefined: nothing of it is kept (yet), or it is at rest. */
  object: CacheObject | undefined;
  pinned = false;
  /** An earlier daemon kept it, and nobody has asked for it since. */
  unclaimed = false;
}
