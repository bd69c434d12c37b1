/** What a transport tells of every request while it serves it; see access/observer.ts for what else is told. */
export interface RequestObserver {
  /** A request has arrived: from now on `thread` waits, unless it is a read-ahead. `opcode`: the kernel's. Monotonic ms. */
  asked(thread: number, opcode: number, nowMs: number): void;
  /** Its reply was handed to the kernel. */
  answered(thread: number, opcode: number, begunMs: number, nowMs: number): void;
}
