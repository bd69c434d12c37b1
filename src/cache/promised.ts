/**
 * Room of a fast tier that is spoken for by objects that are being filled. A slower tier would have taken what a faster one
 * takes, so only what can be brought there whole is begun there. Bytes are what it takes of the tier: in memory whole pages
 * each, or what is begun at once would come to more than there is.
 */
import type { CacheObject } from './object.ts';

export class Promised {
  readonly #left = new Map<CacheObject, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  has(object: CacheObject): boolean {
    return this.#left.has(object);
  }

  promise(object: CacheObject, bytes: number): void {
    this.#set(object, bytes);
  }

  /** So many bytes of it have come. */
  kept(object: CacheObject, bytes: number): void {
    const left = this.#left.get(object);
    if (left !== undefined) this.#set(object, left - bytes);
  }

  /** Nobody fills it any more. */
  end(object: CacheObject): void {
    if (this.#left.size > 0) this.#set(object, 0);
  }

  #set(object: CacheObject, bytes: number): void {
    this.#bytes += bytes - (this.#left.get(object) ?? 0);
    if (bytes > 0) this.#left.set(object, bytes);
    else this.#left.delete(object);
  }
}
