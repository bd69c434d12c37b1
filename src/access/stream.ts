/**
 * One reader of one file, a process by a handle: how it reads, from its last READs. A descriptor that several processes share, or
 * a mapping, is several streams.
 */
import type { Run } from './detectors/sequential.ts';
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
  /** The same: it went on backward. */
  #backward = 0;
  /** The run that the last jump began, and its number then: the object is used again. */
  #jump: Run | undefined = undefined;
  #jumpBegun = 0;

  constructor(file: AccessedFile, handle: number, process: number) {
    this.file = file;
    this.handle = handle;
    this.process = process;
  }

  /** A READ of its own, which is part of `run`. True: it jumped. */
  came(run: Run, offset: number, size: number): boolean {
    this.reads++;
    this.bytes += size;
    this.#withdraw();
    const jumped = run.reads === 1;
    if (jumped) {
      this.strides.jumped(offset, size);
      this.#jump = run;
      this.#jumpBegun = run.begun;
    } else if (run.begun === this.#jumpBegun) this.strides.wentOn(run.begin, run.bytes);
    this.#jumped = (this.#jumped << 1) | (jumped ? 1 : 0);
    this.#foretold = (this.#foretold << 1) | (jumped && this.strides.expected > 0 ? 1 : 0);
    this.#backward = (this.#backward << 1) | (!jumped && run.backward ? 1 : 0);
    return jumped;
  }

  /** What its last jump began is part of another run since, whoever closed the gap: it only came early. */
  #withdraw(): void {
    const whole = this.#jump?.partOf;
    if (whole === undefined || this.#jump?.begun !== this.#jumpBegun) return;
    this.strides.withdraw();
    const jump = lowest(this.#jumped);
    this.#jumped &= ~jump;
    if (whole.backward) this.#backward |= jump | (jump - 1); // and all READs since
    this.#jump = whole;
    this.#jumpBegun = whole.begun;
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
    if (jumps <= looked * JUMPS_SHARE) {
      return ones(this.#backward) > (looked - jumps) / 2 ? 'backward' : 'sequential';
    }
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
