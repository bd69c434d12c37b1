/** The share of the loop's time that answers may have, as time left free after each: 4 to 1. */
const FREE_FOR_EACH = 4;

/**
 * Makes answers one after the other, and after each leaves the loop to the mount for four times as long as it took. Without
 * that a client that asks for statistics again and again would have as much of the loop as it likes.
 */
export class Pace {
  readonly #waiting: (() => void)[] = [];
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  run<T>(make: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(make());
        } catch (error) {
          reject(error);
        }
      });
      this.#plan();
    });
  }

  #plan(): void {
    if (this.#timer !== undefined || this.#waiting.length === 0) return;
    const waitMs = Math.max(0, Math.ceil(this.#freeAtMs - performance.now()));
    if (waitMs === 0) this.#next();
    else this.#timer = setTimeout(() => this.#next(), waitMs);
  }

  /** By the time of the CPU: a machine with too much to do must not make answers seem dear. */
  #next(): void {
    this.#timer = undefined;
    const before = busyMs();
    this.#waiting.shift()?.();
    this.#freeAtMs = performance.now() + FREE_FOR_EACH * (busyMs() - before);
    this.#plan();
  }
}

function busyMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
