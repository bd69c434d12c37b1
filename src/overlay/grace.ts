/**
 * Tells when everything has ended that was under way at some moment: whoever had hold of something then has let go of it.
 * (Epoch-based reclamation: Fraser, "Practical lock-freedom", 2004; as RCU's grace periods.)
 */
export class Grace {
  #era = 0;
  /** Operations that go on, by whether their era is even or odd: no more than two eras are ever under way. */
  readonly #underWay: [number, number] = [0, 0];

  get era(): number {
    return this.#era;
  }

  /** Whatever goes on until a promise settles may hold what it was given in this era. */
  until(settled: Promise<unknown>): void {
    const parity = this.#parity(this.#era);
    this.#underWay[parity]++;
    const ended = (): void => {
      this.#underWay[parity]--;
    };
    settled.then(ended, ended);
  }

  /** Goes on to the next era, when all of the one before has ended. */
  advance(): boolean {
    if (this.#underWay[this.#parity(this.#era + 1)] > 0) return false;
    this.#era++;
    return true;
  }

  /** Whether all that was under way in an era has ended. */
  over(era: number): boolean {
    return this.#era - era >= 2;
  }

  #parity(era: number): 0 | 1 {
    return (era & 1) as 0 | 1;
  }
}
