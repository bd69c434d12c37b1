/** What a microbenchmark is, and how it gets at the code it measures. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** A checkout whose src/ is measured: this one, or an older one beside it. The benchmarks themselves are always ours. */
export class Tree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** A module of src/. The type is the one ours has: an older tree may differ, and its benchmark then says so by throwing. */
  load<T>(file: string): Promise<T> {
    return import(pathToFileURL(join(this.root, 'src', file)).href) as Promise<T>;
  }
}

export interface Prepared {
  /** Does `Micro.operations` operations, at once. */
  run(): void;
  end?(): void | Promise<void>;
}

export interface Micro {
  name: string;
  /** How many operations one run is: enough that reading the clock around it is nothing. */
  operations: number;
  /**
   * What an operation may cost, in nanoseconds, where it is given more to do now and then: below it no comparison fails.
   * Without one, being more than twice as slow as before is a failure at once.
   */
  budgetNs?: number;
  /** `directory`: an empty one, in memory where the machine has such. Throws where the tree lacks what is measured. */
  prepare(tree: Tree, directory: string): Promise<Prepared>;
}

/** What one benchmark came to in one process. */
export interface Taken {
  name: string;
  /** Median of the samples, in nanoseconds an operation. */
  ns?: number;
  /** Why there is no figure. */
  reason?: string;
}
