/**
 * One reader of one file, a process by a handle: how it reads, from its last READs. A descriptor that several processes share, or
 * a mapping, is several streams.
 */
import type { Run, Runs } from './detectors/sequential.ts';
import { Strides } from './detectors/stride.ts';
import type { AccessedFile } from './observer.ts';

export const READ_PATTERNS = ['sequential', 'backward', 'strided', 'random', 'unknown'] as const;
export type ReadPattern = (typeof READ_PATTERNS)[number];

/** READs looked at: as many as an integer has bits. */
export const LOOKED = 32;
/** Fewer say nothing. */
const READS_LEAST = 4;
const JUMPS_LEAST = 3;
/** On and on is who jumps less often than with every fourth READ. */
const JUMPS_SHARE = 1 / 4;
/** Of the jumps that could be foretold, those that were: it strides. */
const FORETOLD_SHARE = 1 / 2;

export class Stream {
  readonly file: AccessedFile;
  readonly handle: number;
  /** Its process, or its thread where that cannot be seen. */
  readonly process: number;
  readonly strides: Strides = new Strides();
  reads = 0;
  bytes = 0;
  usedAt = 0;
  /** A bit for each of the last READs, the latest lowest: it jumped; it jumped where the stride led. */
  #jumped = 0;
  #foretold = 0;
  /** The run that the last jump began, by its number. */
  #jumpBegun = 0;

  constructor(file: AccessedFile, handle: number, process: number) {
    this.file = file;
    this.handle = handle;
    this.process = process;
  }

  /** A READ of its own, which `runs` takes for part of `run`. True: it jumped. */
  came(run: Run, runs: Runs, offset: number, size: number): boolean {
    this.reads++;
    this.bytes += size;
    if (runs.joined !== 0 && runs.joined === this.#jumpBegun) {
      this.strides.withdraw();
      this.#jumped &= ~lowest(this.#jumped);
      this.#jumpBegun = run.begun;
    }
    const jumped = run.reads === 1;
    if (jumped) {
      this.strides.jumped(offset, size);
      this.#jumpBegun = run.begun;
    } else if (run.begun === this.#jumpBegun) this.strides.wentOn(run.bytes);
    this.#jumped = (this.#jumped << 1) | (jumped ? 1 : 0);
    this.#foretold = (this.#foretold << 1) | (jumped && this.strides.expected > 0 ? 1 : 0);
    return jumped;
  }

  get pattern(): ReadPattern {
    const looked = Math.min(this.reads, LOOKED);
    if (looked < READS_LEAST) return 'unknown';
    const jumps = ones(this.#jumped);
    const { strides } = this;
    if (strides.period > 0 && jumps >= JUMPS_LEAST) {
      // The jumps by which a stride was found could not be foretold.
      const could = jumps - Math.min(jumps - 1, looked < LOOKED ? 2 * strides.period + 1 : 0);
      if (ones(this.#foretold) >= could * FORETOLD_SHARE) return strides.backward ? 'backward' : 'strided';
    }
    if (jumps <= looked * JUMPS_SHARE) return 'sequential';
    return jumps >= JUMPS_LEAST ? 'random' : 'unknown';
  }
}

function lowest(bits: number): number {
  return bits & -bits;
}

function ones(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count++;
  return count;
}
