/** Paths that plans name by their number in it: what a job reads again and again is announced once. */
import { Paths } from './paths.ts';

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;

export class Listing {
  readonly name: string;
  readonly paths: Paths = new Paths();
  /** By line, numbers of `paths`. */
  readonly #pages: Uint32Array[] = [];
  length = 0;
  usedAtMs: number;

  constructor(name: string, nowMs: number) {
    this.name = name;
    this.usedAtMs = nowMs;
  }

  get bytes(): number {
    return this.paths.bytes + this.#pages.length * PAGE * 4;
  }

  add(path: string): void {
    if ((this.length & (PAGE - 1)) === 0) this.#pages.push(new Uint32Array(PAGE));
    this.#pages[this.length >>> PAGE_BITS]![this.length & (PAGE - 1)] = this.paths.hold(path);
    this.length++;
  }

  /** The number in `paths` of a line, counted from 0; -1: there is no such line. */
  at(line: number): number {
    return line < this.length ? this.#pages[line >>> PAGE_BITS]![line & (PAGE - 1)]! : -1;
  }
}
