/** The objects of a tier whose file is open, kept so for the next read; of too many the longest unused is closed. */
import * as sys from '../sys/libc.ts';
import type { CacheObject } from './object.ts';

const MOST = 1024;

export class OpenObjects {
  /** The longest unused first. */
  readonly #objects = new Set<CacheObject>();

  /** It was used just now, and is about to be read: it is not the one that is closed for it. */
  touch(object: CacheObject): void {
    this.#objects.delete(object);
    this.#objects.add(object);
    if (this.#objects.size <= MOST) return;
    for (const oldest of this.#objects) {
      if (oldest.uses > 0 || oldest === object) continue;
      this.close(oldest);
      break;
    }
  }

  /** It stays open, and is not closed to make room for others. */
  leave(object: CacheObject): void {
    this.#objects.delete(object);
  }

  close(object: CacheObject): void {
    this.#objects.delete(object);
    if (object.fd >= 0) sys.close.now(object.fd);
    object.fd = -1;
  }

  /** But those from which something is being read. */
  closeAll(): void {
    for (const object of [...this.#objects]) if (object.uses === 0) this.close(object);
  }
}
