/**
 * How long a mount has to answer. What the command and the daemon wait for a processor does not count: a machine that is busy
 * with others is no source that hangs, and a mount that comes later is better than none.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MloError } from '../errors.ts';

/** From the start of a mount to its answering; what is then undone shall be so within ten seconds. */
export const LIMIT_MS = 9_000;
/** With what was waited for a processor. */
export const BUSY_LIMIT_MS = 40_000;
/** Who waited that much of the time was late for that, and not for the source. */
const BUSY_SHARE = 1 / 3;

export interface MountLimitParts {
  source: string;
  mountpoint: string;
  /** When the mount was begun, as performance.now() counts. */
  startedMs: number;
  /** For how long those who mount have waited for a processor so far. */
  waitedMs: () => number;
  signal: AbortSignal;
}

/** Rejects when it has taken too long, with what is to be done about it. */
export async function tooLate({ source, mountpoint, startedMs, waitedMs, signal }: MountLimitParts): Promise<never> {
  for (;;) {
    const limitMs = Math.min(LIMIT_MS + waitedMs(), BUSY_LIMIT_MS);
    const leftMs = startedMs + limitMs - performance.now();
    if (leftMs <= 0) break;
    await sleep(leftMs, undefined, { signal });
  }
  const tookMs = performance.now() - startedMs;
  const what = `${mountpoint} did not answer within ${seconds(tookMs)} s`;
  const queuedMs = waitedMs();
  const busy = queuedMs > tookMs * BUSY_SHARE;
  const remedy = busy
    ? `the machine is busy (${seconds(queuedMs)} s were waited for a processor): mount again when less runs on it`
    : `look whether the source answers: ls ${source}`;
  throw new MloError('MLO_MOUNT_TIMEOUT', what, remedy);
}

function seconds(ms: number): string {
  return (Math.ceil(ms / 100) / 10).toFixed(0);
}
