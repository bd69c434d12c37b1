/**
 * What an INTERRUPT means. The kernel sends one for any signal that arrives while a request waits: also for SIGALRM,
 * SIGCHLD or the SIGURG with which Go preempts its threads. A read of a file does not end with EINTR for those on a
 * local disk, and programs do not expect it (a page fault that fails raises SIGBUS). So a request is given up only when
 * a signal is pending by which someone wants the process to end; otherwise it is looked at again while it waits, since
 * the kernel announces no second signal.
 */
import { readFileSync } from 'node:fs';

const SIGHUP = 1n << 0n;
const SIGINT = 1n << 1n;
const SIGQUIT = 1n << 2n;
const SIGABRT = 1n << 5n;
const SIGKILL = 1n << 8n;
const SIGTERM = 1n << 14n;
const ENDING = SIGHUP | SIGINT | SIGQUIT | SIGABRT | SIGKILL | SIGTERM;

function mask(status: string, field: string): bigint {
  const match = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status);
  return match ? BigInt(`0x${match[1]}`) : 0n;
}

/** Whether a thread that waits for us is asked to end. True also when that cannot be seen (another pid namespace). */
export function wantsToEnd(thread: number): boolean {
  if (thread === 0) return true;
  let status: string;
  try {
    status = readFileSync(`/proc/${thread}/status`, 'latin1');
  } catch {
    return true;
  }
  return endsBySignal(status);
}

/** The same for the text of /proc/PID/status. */
export function endsBySignal(status: string): boolean {
  const pending = mask(status, 'SigPnd') | mask(status, 'ShdPnd');
  return (pending & ~mask(status, 'SigBlk') & ENDING) !== 0n;
}
