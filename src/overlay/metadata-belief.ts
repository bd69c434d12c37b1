/**
 * Whether what is known of names may still be told: within the lease, not from before a change through this mount, and not to
 * somebody whom it has led astray.
 */
import type { FileId } from '../store/store.ts';
import type { Core } from './core.ts';
import type { Distrust } from './distrust.ts';
import type { Inode } from './inode.ts';
import type { Known, Listing } from './metadata-listing.ts';

export class Belief {
  readonly #core: Core;
  readonly #distrust: Distrust;

  constructor(core: Core, distrust: Distrust) {
    this.#core = core;
    this.#distrust = distrust;
  }

  /** Whether a listing still says what is in the directory: within the lease, or by a version confirmed within it. */
  holds({ askedMs, version }: Listing, directory: Inode, thread: number): boolean {
    const { ttlMs } = this.#core;
    if (askedMs < directory.touchedAtMs || version === '' || version !== directory.version) return false;
    const nowMs = this.#core.nowMs();
    if (nowMs - Math.max(askedMs, directory.validatedAtMs) >= ttlMs) return false;
    return this.#allowed(directory.node.id, thread, askedMs, nowMs);
  }

  /**
   * Whether what was found may be told to a thread; 0: to any. (The inode knows of changes of its file as long as it is
   * there; `distrust` knows from then on.)
   */
  of(directory: Inode, { found, askedMs }: Known, thread: number): boolean {
    const nowMs = this.#core.nowMs();
    if (nowMs - askedMs >= this.#core.ttlMs || askedMs < directory.touchedAtMs) return false;
    if (!this.#allowed(directory.node.id, thread, askedMs, nowMs)) return false;
    if (!this.#distrust.allows(found.id, askedMs)) return false;
    const inode = this.#core.inodes.madeOf(found);
    if (inode === undefined) return true;
    // A newer answer told of something else: the file has changed, or another has its number now.
    const overtaken = askedMs < inode.attributesAtMs;
    if (overtaken && this.#core.store.version(found.attributes) !== inode.version) return false;
    return askedMs >= inode.touchedAtMs && inode.writers === 0 && inode.writersComing === 0;
  }

  /** Whoever was answered ESTALE walks its path again, and what made it fail must not lead it there again. */
  #allowed(id: FileId, thread: number, askedMs: number, nowMs: number): boolean {
    const sentAtMs = this.#core.sentBack.sentAtMs(thread, nowMs);
    return (sentAtMs === undefined || askedMs >= sentAtMs) && this.#distrust.allows(id, askedMs);
  }
}
