/**
 * Files of a directory in the order of their names, and how a reader goes through them: one after the other, or every so manyth
 * where several readers share them. What the steps are, most of the last decide (as in Leap: Al Maruf and Chowdhury, USENIX
 * ATC 2020), whichever thread of the reader came first.
 */

/** Files that a reader began last, by which its step is told. */
const REMEMBERED = 8;
/** Of the files a reader begins, those that must lie ahead of the one before. */
const FORWARD_SHARE = 2 / 3;
const DIGITS = /\d+/g;
/** More than any number in a name has. */
const WIDTH = 20;

/** What names have in common that belong together: all but their numbers, or the extension where there are none. */
function shapeOf(name: string): string {
  const shape = name.replace(DIGITS, '#');
  return shape === name ? name.slice(name.lastIndexOf('.') + 1) : shape;
}

/** Compares as the numbers in the names do: shard 9 is before shard 10. */
function sortKey(name: string): string {
  return name.replace(DIGITS, (digits) => digits.padStart(WIDTH, '0'));
}

/** The names of one directory. */
export class NameSequences {
  readonly #byShape = new Map<string, string[]>();
  readonly #positions = new Map<string, number>();

  constructor(names: readonly string[]) {
    for (const name of names) {
      const shape = shapeOf(name);
      const alike = this.#byShape.get(shape);
      if (alike === undefined) this.#byShape.set(shape, [name]);
      else alike.push(name);
    }
    for (const alike of this.#byShape.values()) {
      const keys = new Map(alike.map((name) => [name, sortKey(name)]));
      alike.sort((a, b) => (keys.get(a)! < keys.get(b)! ? -1 : 1));
      for (const [position, name] of alike.entries()) this.#positions.set(name, position);
    }
  }

  /** Names like `name`, in order. */
  like(name: string): readonly string[] {
    return this.#byShape.get(shapeOf(name)) ?? [];
  }

  /** Where among those like it; undefined: it is not known. */
  positionOf(name: string): number | undefined {
    return this.#positions.get(name);
  }

  static alike(one: string, other: string): boolean {
    return shapeOf(one) === shapeOf(other);
  }
}

/**
 * From the positions of the files that a reader began, the newest last: the step from one to the next, negative when it goes
 * backward; 0: none can be told. `expected`: as others step, which one that steps alike needs less for.
 */
export function stepOf(positions: readonly number[], expected = 0): number {
  const last = positions.slice(-REMEMBERED);
  if (last.length < 3) return stepOfFew(last, expected);
  const sorted = [...new Set(last)].sort((a, b) => a - b);
  const gaps = sorted.slice(1).map((position, at) => position - sorted[at]!);
  const step = mostOf(gaps);
  const forward = last.slice(1).filter((position, at) => position > last[at]!).length;
  const moves = last.length - 1;
  if (step === 0) return 0;
  if (forward >= moves * FORWARD_SHARE) return step;
  return moves - forward >= moves * FORWARD_SHARE ? -step : 0;
}

function stepOfFew(positions: readonly number[], expected: number): number {
  const [first, second] = positions;
  if (first === undefined) return 0;
  if (second === undefined) return expected;
  const step = second - first;
  // From the first of them to the second: as good as certain.
  return step === expected || (first === 0 && step === 1) ? step : 0;
}

/** What more than half of them are; 0: nothing, or there are fewer than two. */
function mostOf(gaps: readonly number[]): number {
  if (gaps.length < 2) return 0;
  const counts = new Map<number, number>();
  for (const gap of gaps) counts.set(gap, (counts.get(gap) ?? 0) + 1);
  for (const [gap, count] of counts) if (2 * count > gaps.length) return gap;
  return 0;
}
