/** So much at once and no more, in the order of arrival: requests under way, and the bytes they bring. */

interface Waiting {
  bytes: number;
  start: () => void;
}

/** Where work gets its turn; `bytes`: what it holds in memory meanwhile. */
export interface Turns {
  run<T>(bytes: number, work: () => T | Promise<T>): Promise<T>;
}

export class Slots implements Turns {
  readonly #most: () => number;
  readonly #mostBytes: number;
  /** Short: who works through many files waits for a few before it begins the next. */
  readonly #waiting: Waiting[] = [];
  #underWay = 0;
  #bytes = 0;

  /** `most`: asked each time, at least 1. `mostBytes`: one request alone may have more. */
  constructor(most: () => number, mostBytes = Number.POSITIVE_INFINITY) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  get underWay(): number {
    return this.#underWay;
  }

  async run<T>(bytes: number, work: () => T | Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#room(bytes)) {
      await new Promise<void>((resolve) => this.#waiting.push({ bytes, start: resolve }));
    } else this.#take(bytes);
    try {
      return await work();
    } finally {
      this.#underWay--;
      this.#bytes -= bytes;
      this.#next();
    }
  }

  #room(bytes: number): boolean {
    return this.#underWay === 0 || (this.#underWay < this.#most() && this.#bytes + bytes <= this.#mostBytes);
  }

  #take(bytes: number): void {
    this.#underWay++;
    this.#bytes += bytes;
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined && this.#room(first.bytes); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.bytes); // here and not when it wakes: others ask meanwhile
      first.start();
    }
  }
}
