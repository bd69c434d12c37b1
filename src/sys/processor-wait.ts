/**
 * For how long threads could have run and had no processor (proc(5): /proc/PID/schedstat, of a thread). Tells work that takes
 * long, and sources that do not answer, from a machine that is busy with others. Zero where the kernel does not count it.
 */
import { openSync, readFileSync, readSync } from 'node:fs';

/** How long a thread could have run and had no processor, and how often it ran, in all. */
export function schedulingOf(thread: number): { delayMs: number; slices: number } {
  const [, delayNs = '0', slices = '0'] = textOf(`/proc/${thread}/schedstat`).trim().split(' ');
  return { delayMs: Number(delayNs) / 1e6, slices: Number(slices) };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

const SPACE = 0x20;
const ZERO = 0x30;

/** The same of the thread that makes it, for who asks often: some 2 us, and nothing is allocated. */
export class ProcessorWait {
  readonly #fd: number;
  readonly #text = Buffer.alloc(64);

  constructor() {
    this.#fd = opened();
  }

  /** Milliseconds since the thread began. */
  totalMs(): number {
    if (this.#fd < 0) return 0;
    const length = readSync(this.#fd, this.#text, 0, this.#text.length, 0);
    let waitedNs = 0;
    for (let at = this.#text.indexOf(SPACE) + 1; at < length; at++) {
      const digit = this.#text[at]! - ZERO;
      if (digit < 0) break;
      waitedNs = waitedNs * 10 + digit;
    }
    return waitedNs / 1e6;
  }
}

function opened(): number {
  try {
    return openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return -1; // CONFIG_SCHED_INFO is off
  }
}
