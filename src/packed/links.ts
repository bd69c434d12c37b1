/** Objects that records outside the heap refer to, by number. */

/** Each object once, however many records refer to it: a few for many. */
export class SharedLinks<T extends object> {
  readonly #links = new Links<T>();
  readonly #numbers = new Map<T, number>();
  /** By number: how many refer to it. */
  readonly #uses: number[] = [];

  /** One more refers to it. */
  add(object: T): number {
    let number = this.#numbers.get(object);
    if (number === undefined) {
      number = this.#links.add(object);
      this.#numbers.set(object, number);
      this.#uses[number] = 0;
    }
    this.#uses[number]!++;
    return number;
  }

  get(number: number): T {
    return this.#links.get(number)!;
  }

  /** One less does. */
  remove(number: number): void {
    if (--this.#uses[number]! > 0) return;
    this.#numbers.delete(this.get(number));
    this.#links.remove(number);
  }

  get size(): number {
    return this.#numbers.size;
  }
}

/** Objects that one record each refers to, those that have any. 0 is none. */
export class Links<T extends object> {
  readonly #objects: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];

  add(object: T | undefined): number {
    if (object === undefined) return 0;
    const number = this.#free.pop() ?? this.#objects.length;
    this.#objects[number] = object;
    return number;
  }

  get(number: number): T | undefined {
    return this.#objects[number];
  }

  remove(number: number): void {
    if (number === 0) return;
    this.#objects[number] = undefined;
    this.#free.push(number);
  }
}
