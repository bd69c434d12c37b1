/**
 * Files of a directory in the order of their names, and how a reader goes through them: one after the other, or every so manyth
 * where several readers share them. What the steps are, most of the last decide (as in Leap: Al Maruf and Chowdhury, USENIX
 * ATC 2020), whichever thread of the reader came first.
 */
import { setImmediate as turn } from 'node:timers/promises';

/** Names looked at in one turn of the loop: a millisecond or two. As many as there may be (next-files.ts) are sorted in 7. */
const SLICE = 256;
/** Files that a reader began last, by which its step is told. */
export const BEGUN_MOST = 8;
/** From one file to the next, in the same step: as good as certain. */
const SURE_MOVES = 3;
/** Of the files that several threads begin, those that must lie ahead of the one before. */
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

/** A file that a thread of a reader began. */
export interface Begun {
  readonly name: string;
  readonly thread: number;
}

interface Keyed {
  readonly name: string;
  readonly key: string;
}

/** The names of one directory. */
export class NameSequences {
  readonly #byShape = new Map<string, string[]>();
  readonly #positions = new Map<string, number>();

  private constructor() {}

  /** In many turns of the loop, where there are many names. */
  static async of(names: readonly string[]): Promise<NameSequences> {
    const sequences = new NameSequences();
    const byShape = new Map<string, Keyed[]>();
    for (const [at, name] of names.entries()) {
      if (at > 0 && at % SLICE === 0) await turn();
      const shape = shapeOf(name);
      const keyed = { name, key: sortKey(name) };
      const alike = byShape.get(shape);
      if (alike === undefined) byShape.set(shape, [keyed]);
      else alike.push(keyed);
    }
    for (const [shape, alike] of byShape) {
      await turn();
      const sorted = alike.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ name }) => name);
      sequences.#byShape.set(shape, sorted);
      for (const [position, name] of sorted.entries()) sequences.#positions.set(name, position);
    }
    return sequences;
  }

  /** Names like `name`, in order. */
  like(name: string): readonly string[] {
    return this.#byShape.get(shapeOf(name)) ?? [];
  }

  /** Where among those like it; undefined: it is not known. */
  positionOf(name: string): number | undefined {
    return this.#positions.get(name);
  }

  /** Of what a reader began, the newest last: where those like the last one are, and how many threads took turns at them. */
  progress(begun: readonly Begun[]): { positions: number[]; threads: number } {
    const shape = shapeOf(begun.at(-1)!.name);
    const alike = begun.filter(({ name }) => shapeOf(name) === shape);
    const positions = alike.flatMap(({ name }) => this.positionOf(name) ?? []);
    return { positions, threads: new Set(alike.map(({ thread }) => thread)).size };
  }
}

/**
 * From the positions of the files that a reader began, the newest last: the step from one to the next, negative when it goes
 * backward; 0: none can be told. `threads`: so many took turns, and may have overtaken each other. `expected`: as others step,
 * which one that steps alike needs less for. `likely`: where none does yet, what it would be: as many as there are readers.
 */
export function stepOf(positions: readonly number[], threads: number, expected: number, likely = 0): number {
  const last = positions.slice(-BEGUN_MOST);
  const moves = last.slice(1).map((position, at) => position - last[at]!);
  if (last.length === 1) return expected;
  const [first, second = first] = moves;
  if (moves.length === 1) return first === expected || first === likely ? first! : 0;
  if (threads === 1) {
    if (moves.length > 2) return mostOf(moves);
    // Two that are larger may be the same by chance.
    return first === second && (Math.abs(first!) === 1 || first === expected || first === likely) ? first! : 0;
  }
  if (moves.length < SURE_MOVES) return 0;
  const sorted = [...new Set(last)].sort((a, b) => a - b);
  const step = mostOf(sorted.slice(1).map((position, at) => position - sorted[at]!));
  const forward = moves.filter((move) => move > 0).length;
  if (forward >= moves.length * FORWARD_SHARE) return step;
  return moves.length - forward >= moves.length * FORWARD_SHARE ? -step : 0;
}

/** What more than half of them are, and no fewer than would be sure; 0: nothing. */
function mostOf(gaps: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const gap of gaps) counts.set(gap, (counts.get(gap) ?? 0) + 1);
  for (const [gap, count] of counts) if (count >= SURE_MOVES && 2 * count > gaps.length) return gap;
  return 0;
}
