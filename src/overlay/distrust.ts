/**
 * What must not be believed although it is within its lease: what was asked of a file before it was changed through this
 * mount, or before a newer answer told of other content, when no inode is left to remember that by.
 */
import type { FileId } from '../store/store.ts';

const MOST = 4096;

export class Distrust {
  readonly #files = new Map<FileId, number>();
  /** Nothing that was asked before is believed, of no file: more was to be remembered than there is room for. */
  #floorMs = Number.NEGATIVE_INFINITY;

  /** From `sinceMs` on: Infinity until it is said again. */
  file(id: FileId, sinceMs: number): void {
    this.#files.set(id, sinceMs);
    if (this.#files.size <= MOST) return;
    for (const [one, atMs] of this.#files) {
      if (atMs === Number.POSITIVE_INFINITY) continue;
      this.#floorMs = Math.max(this.#floorMs, atMs);
      this.#files.delete(one);
    }
  }

  /** What was asked of a file before is not believed. */
  since(id: FileId): number {
    return this.#files.get(id) ?? Number.NEGATIVE_INFINITY;
  }

  /** Whether what was asked at `askedMs` may be told of a file. */
  allows(id: FileId, askedMs: number): boolean {
    return askedMs >= this.#floorMs && (this.#files.size === 0 || askedMs >= this.since(id));
  }
}
