/**
 * What must not be believed although it is within its lease: what was asked of a file before it was changed through this
 * mount, or before a newer answer told of other content, when no inode is left to remember that by; and what was asked
 * before a thread was answered ESTALE, when that thread comes to look again.
 */
import type { FileId } from '../store/store.ts';

/** Longer ago, the thread went elsewhere. */
const AWAITED_MS = 1000;
const MOST = 4096;

export class Distrust {
  readonly #files = new Map<FileId, number>();
  readonly #threads = new Map<number, number>();
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

  /** A thread was answered ESTALE: it walks its path again, and what made it fail must not lead it there again. */
  sentBack(thread: number, nowMs: number): void {
    if (this.#threads.size >= MOST) {
      this.#threads.clear();
      this.#floorMs = nowMs;
    }
    this.#threads.set(thread, nowMs);
  }

  /** Whether what was asked at `askedMs` may be told of a file to a thread. */
  allows(id: FileId, thread: number, askedMs: number, nowMs: number): boolean {
    if (askedMs < this.#floorMs) return false;
    if (this.#files.size > 0 && askedMs < (this.#files.get(id) ?? Number.NEGATIVE_INFINITY)) return false;
    if (this.#threads.size === 0) return true;
    const sentMs = this.#threads.get(thread);
    if (sentMs === undefined) return true;
    if (nowMs - sentMs <= AWAITED_MS) return askedMs >= sentMs;
    this.#threads.delete(thread);
    return true;
  }
}
