/** What could not be brought just now and is worth another try: a few times each, after a moment. */

const TRIES_MOST = 3;
const AFTER_MS = 200;
const ITEMS_MOST = 4096;

export class Retries {
  /** How often each was tried. */
  readonly #tries = new Map<number, number>();
  /** Those that wait, in the order of their moments. */
  readonly #waiting: { item: number; fromMs: number }[] = [];

  put(item: number, nowMs: number): void {
    const tries = (this.#tries.get(item) ?? 0) + 1;
    if (tries > TRIES_MOST || (tries === 1 && this.#tries.size >= ITEMS_MOST)) {
      this.#tries.delete(item);
      return;
    }
    this.#tries.set(item, tries);
    this.#waiting.push({ item, fromMs: nowMs + AFTER_MS });
  }

  /** It was brought, or is not to be. */
  remove(item: number): void {
    this.#tries.delete(item);
  }

  clear(): void {
    this.#tries.clear();
    this.#waiting.length = 0;
  }

  /** One whose moment is over, once each time it was put. */
  take(nowMs: number): number | undefined {
    for (let first = this.#waiting[0]; first !== undefined && first.fromMs <= nowMs; first = this.#waiting[0]) {
      this.#waiting.shift();
      if (this.#tries.has(first.item)) return first.item;
    }
    return undefined;
  }
}
