/** One daemon a directory: two would count its space and drop its objects under each other. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Errno } from '../sys/errno.ts';
import * as sys from '../sys/libc.ts';

const LOCK_EX_NB = 2 | 4;

/** A descriptor that holds the lock until it is closed; or why there is none, and the process id the lock's file names. */
export type Lock = { fd: number } | { failure: 'busy' | 'error'; holder: string };

export function takeLock(directory: string): Lock {
  const file = path.join(directory, 'lock');
  for (;;) {
    const fd = fs.openSync(file, 'a+', 0o600);
    const taken = sys.flock.now(fd, LOCK_EX_NB);
    if (taken < 0) {
      const holder = fs.readFileSync(file, 'latin1').trim();
      fs.closeSync(fd);
      return { failure: taken === -Errno.EAGAIN ? 'busy' : 'error', holder };
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
