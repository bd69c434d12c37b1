/** What could not be brought just now and is worth another try: a few times each, after a moment. */

const TRIES_MOST = 3;
const AFTER_MS = 200;
const ITEMS_MOST = 4096;

export class Retries {
  /** In the order they were put. */
  readonly #items = new Map<number, { tries: number; fromMs: number }>();

  put(item: number, nowMs: number): void {
    const tries = (this.#items.get(item)?.tries ?? 0) + 1;
    this.#items.delete(item);
    if (tries <= TRIES_MOST && this.#items.size < ITEMS_MOST)
      this.#items.set(item, { tries, fromMs: nowMs + AFTER_MS });
  }

  /** It was brought, or is not to be. */
  remove(item: number): void {
    this.#items.delete(item);
  }

  clear(): void {
    this.#items.clear();
  }

  /** One whose moment is over. It stays until it is put again or removed, but is not taken twice before. */
  take(nowMs: number): number | undefined {
    for (const [item, entry] of this.#items) {
      if (entry.fromMs > nowMs) return undefined;
      this.#items.delete(item);
      this.#items.set(item, { tries: entry.tries, fromMs: Number.POSITIVE_INFINITY });
      return item;
    }
    return undefined;
  }
}
