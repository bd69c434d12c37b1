/** How long the requests of each kind took, from their arrival to their reply. */
import { LatencyTable } from './latency.ts';

/** The kernel numbers its requests below this; a higher number counts as 0, "unknown". */
const OPCODES = 64;

export class OperationTimes {
  /** A row for each of the kernel's opcodes. */
  readonly table: LatencyTable = new LatencyTable(OPCODES);

  answered(opcode: number, begunMs: number, nowMs: number): void {
    this.table.add(opcode < OPCODES ? opcode : 0, nowMs - begunMs);
  }
}
