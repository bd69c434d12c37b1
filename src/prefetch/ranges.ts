/** Ranges of a file, in order and apart from each other. */

/** More of them than this become fewer: those next to each other count as one. No file has as many that wait in memory. */
const RANGES_MOST = 1024;

export class Ranges {
  /** Beginnings and ends, by turns; in bytes. */
  #edges: number[] = [];

  get bytes(): number {
    let sum = 0;
    for (let at = 0; at < this.#edges.length; at += 2) sum += this.#edges[at + 1]! - this.#edges[at]!;
    return sum;
  }

  /** Adds from `offset` to `end`; the bytes that are new. */
  add(offset: number, end: number): number {
    if (end <= offset) return 0;
    const before = this.bytes;
    const edges = this.#edges;
    let first = 0;
    while (first < edges.length && edges[first + 1]! < offset) first += 2;
    let last = first;
    let from = offset;
    let to = end;
    for (; last < edges.length && edges[last]! <= end; last += 2) {
      from = Math.min(from, edges[last]!);
      to = Math.max(to, edges[last + 1]!);
    }
    edges.splice(first, last - first, from, to);
    const added = this.bytes - before;
    if (edges.length > 2 * RANGES_MOST) edges.splice(1, 2);
    return added;
  }

  /** Of a range, what is not in it: beginnings and ends. */
  gaps(offset: number, end: number): [from: number, to: number][] {
    const gaps: [number, number][] = [];
    let from = offset;
    for (let at = 0; at < this.#edges.length && this.#edges[at]! < end; at += 2) {
      if (this.#edges[at]! > from) gaps.push([from, this.#edges[at]!]);
      from = Math.max(from, this.#edges[at + 1]!);
    }
    if (from < end) gaps.push([from, end]);
    return gaps;
  }

  /** Takes out what is in it from `offset` to `end`; the bytes. */
  take(offset: number, end: number): number {
    let taken = 0;
    const edges = this.#edges;
    for (let at = 0; at < edges.length && edges[at]! < end; ) {
      const from = edges[at]!;
      const to = edges[at + 1]!;
      if (to <= offset) {
        at += 2;
        continue;
      }
      taken += Math.min(to, end) - Math.max(from, offset);
      const left: number[] = [];
      if (from < offset) left.push(from, offset);
      if (to > end) left.push(end, to);
      edges.splice(at, 2, ...left);
      at += left.length;
    }
    return taken;
  }
}
