/** Numbers in the order in which they came, 8 bytes each. */

/** As many that have gone are cut off at once, at least. */
const CUT = 1024;

export class NumberQueue {
  #numbers: number[] = [];
  #first = 0;

  get size(): number {
    return this.#numbers.length - this.#first;
  }

  push(number: number): void {
    this.#numbers.push(number);
  }

  shift(): number | undefined {
    const number = this.#numbers[this.#first];
    if (number !== undefined) this.#first++;
    if (this.#first >= CUT && this.#first * 2 >= this.#numbers.length) {
      this.#numbers = this.#numbers.slice(this.#first);
      this.#first = 0;
    }
    return number;
  }
}
