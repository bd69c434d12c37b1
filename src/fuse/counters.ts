/** What the session counts. Plain numbers in typed arrays: counting allocates nothing. */
import { OPCODE_COUNT, opcodeName } from './abi.ts';

const totals = [
  /** Frames whose header lies about its length, or that ask for a reply without a number: dropped. */
  'dropped',
  /** Requests that do not decode: answered with an error. */
  'malformed',
  /** Requests that were answered by a promise. */
  'late',
  'interrupts',
  /** Requests answered EINTR because of an interrupt. */
  'interrupted',
  /** Replies the kernel no longer wanted. */
  'undeliverable',
  /** Broken promises, exceptions, replies longer than asked: defects of ours, answered EIO. */
  'defects',
  'notifications',
] as const;

export type Total = (typeof totals)[number];

export interface SessionSnapshot extends Record<Total, number> {
  /** By name of opcode; those never seen are left out. */
  requests: Record<string, number>;
  errors: Record<string, number>;
  /** Requests whose promise has not settled. */
  pending: number;
}

export class Counters {
  readonly requests: Float64Array = new Float64Array(OPCODE_COUNT);
  readonly errors: Float64Array = new Float64Array(OPCODE_COUNT);
  dropped = 0;
  malformed = 0;
  late = 0;
  interrupts = 0;
  interrupted = 0;
  undeliverable = 0;
  defects = 0;
  notifications = 0;

  snapshot(pending: number): SessionSnapshot {
    const snapshot = { requests: byName(this.requests), errors: byName(this.errors), pending } as SessionSnapshot;
    for (const total of totals) snapshot[total] = this[total];
    return snapshot;
  }
}

function byName(counts: Float64Array): Record<string, number> {
  const named: Record<string, number> = {};
  counts.forEach((count, opcode) => {
    if (count > 0) named[opcodeName(opcode)] = (named[opcodeName(opcode)] ?? 0) + count;
  });
  return named;
}
