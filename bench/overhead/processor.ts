/** Processor time of processes, as exactly as the kernel counts it. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What still runs is counted up to its last tick of the clock only; a daemon that has nothing to do sleeps before this. */
const SETTLE_MS = 8;

/** User and system time so far of every thread, in microseconds. The scheduler's nanoseconds: /proc/PID/stat has 10 ms. */
export async function cpuMicroseconds(pids: readonly number[]): Promise<number> {
  await sleep(SETTLE_MS);
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    }
  }
  return nanoseconds / 1000;
}
