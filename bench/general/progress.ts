/** Where a long run is, and when it will be through. */
export class Progress {
  readonly #began = performance.now();
  readonly #left = new Map<string, number>();
  readonly #took = new Map<string, number[]>();
  readonly #total: number;
  readonly #guess: (kind: string) => number;
  #done = 0;

  /** `kinds`: of each cell to come, work and system; `guess`: seconds of a kind that has not been measured yet. */
  constructor(kinds: readonly string[], guess: (kind: string) => number) {
    this.#total = kinds.length;
    this.#guess = guess;
    for (const kind of kinds) this.#left.set(kind, (this.#left.get(kind) ?? 0) + 1);
  }

  /** `seconds` undefined: known from before, took no time now. */
  finished(kind: string, seconds: number | undefined): void {
    this.#done++;
    this.#left.set(kind, (this.#left.get(kind) ?? 1) - 1);
    if (seconds !== undefined) this.#took.set(kind, [...(this.#took.get(kind) ?? []), seconds]);
  }

  secondsLeft(): number {
    let seconds = 0;
    for (const [kind, count] of this.#left) {
      const took = this.#took.get(kind);
      const each = took === undefined ? this.#guess(kind) : took.reduce((sum, one) => sum + one, 0) / took.length;
      seconds += count * each;
    }
    return seconds;
  }

  toString(): string {
    const left = this.secondsLeft();
    const about = this.#done === this.#total ? 'done' : `about ${clock(left)} left`;
    return `[${this.#done}/${this.#total}, ${clock((performance.now() - this.#began) / 1000)}, ${about}]`;
  }
}

/** 75 -> "1:15". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
