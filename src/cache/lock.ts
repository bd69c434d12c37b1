/** One daemon a directory: two would count its space and drop its objects under each other. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isEnding } from '../sys/ending.ts';
import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';

const LOCK_EX_NB = 2 | 4;
/** Less than what a mount may take. */
const ENDING_MOST_MS = 5000;
const AGAIN_MS = 20;

/**
 * A descriptor that holds the lock until it is closed; or why there is none, and the process id the lock's file names. Ending:
 * that process is on its way out, or one of another container.
 */
export type Lock = { fd: number } | { failure: 'busy' | 'ending' | 'error'; holder: string };

/** As `takeLock`. A daemon that was killed while its disk was busy lets go of its files when that has answered. */
export async function takeLockOfEnded(directory: string): Promise<Lock> {
  for (const deadlineMs = performance.now() + ENDING_MOST_MS; ; await sleep(AGAIN_MS)) {
    const lock = takeLock(directory);
    if ('fd' in lock || lock.failure !== 'ending' || performance.now() >= deadlineMs) return lock;
  }
}

export function takeLock(directory: string): Lock {
  const file = path.join(directory, 'lock');
  for (;;) {
    const fd = fs.openSync(file, 'a+', 0o600);
    const taken = sys.flock.now(fd, LOCK_EX_NB);
    if (taken < 0) {
      const holder = fs.readFileSync(file, 'latin1').trim();
      fs.closeSync(fd);
      if (taken !== -Errno.EAGAIN) return { failure: 'error', holder };
      const pid = Number(holder);
      return { failure: pid > 0 && isEnding(pid) ? 'ending' : 'busy', holder };
    }
    if (isStill(file, fd)) {
      try {
        fs.ftruncateSync(fd, 0);
        fs.writeSync(fd, `${process.pid}\n`);
      } catch {
        // the disk is full: the lock holds all the same, and does not say whose it is
      }
      return { fd };
    }
    fs.closeSync(fd); // whoever held it has removed the file: what was locked is nobody's
  }
}

/** The lock's file is the one that a descriptor is of: not removed, nor made anew. */
export function isStill(file: string, fd: number): boolean {
  const now = fs.statSync(file, { throwIfNoEntry: false });
  const held = fs.fstatSync(fd);
  return now !== undefined && now.ino === held.ino && now.dev === held.dev;
}
