/** Reader processes that stay, and read a list of files beneath one mount or another when they are told (bench/loader). */
import { scripts } from '../support/loader.ts';
import { lineProcess } from '../support/processes.ts';
import type { Scope } from '../support/scope.ts';
import type { Work } from './works.ts';

/** Enough that a request is always waiting: a daemon without one looks for the next for a while, which is not work. */
const READERS = 4;
const PASS_LIMIT_SECONDS = 120;

export interface Pass {
  files: number;
  bytes: number;
  seconds: number;
}

export class Readers {
  readonly #read: (order: object) => Promise<Pass>;
  #seed = 0;

  constructor(scope: Scope, python: string) {
    const child = lineProcess(scope, python, [scripts.readInTurn, '--readers', String(READERS)]);
    this.#read = async (order) => {
      child.send(JSON.stringify(order));
      return JSON.parse(await child.line(PASS_LIMIT_SECONDS)) as Pass;
    };
  }

  /** Every file of it once, each time in another order. */
  read({ list, bufferBytes }: Work, root: string): Promise<Pass> {
    return this.#read({ list, root, seed: ++this.#seed, buffer: bufferBytes });
  }
}
