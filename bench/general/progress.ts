/** Where a long run is, and when it will be through. */
export class Progress {
  readonly #began = performance.now();
  readonly #left = new Map<string, number>();
  readonly #took = new Map<string, number[]>();
  readonly #total: number;
  readonly #guess: (kind: string) => number;
  #done = 0;

  /** `kinds`: of each cell to come, "work, system"; `guess`: seconds of a kind that has not been measured yet. */
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
      if (count > 0) seconds += count * (mean(this.#took.get(kind) ?? []) ?? this.#alike(kind));
    }
    return seconds;
  }

  /** What the same work took on other systems; a guess before there are any. */
  #alike(kind: string): number {
    const work = kind.split(', ')[0];
    const known = [...this.#took].filter(([other]) => other.split(', ')[0] === work).flatMap(([, took]) => took);
    return mean(known) ?? this.#guess(kind);
  }

  toString(): string {
    const left = this.secondsLeft();
    const about = this.#done === this.#total ? 'done' : `about ${clock(left)} left`;
    return `[${this.#done}/${this.#total}, ${clock((performance.now() - this.#began) / 1000)}, ${about}]`;
  }
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, one) => sum + one, 0) / values.length;
}

/** 75 -> "1:15". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
