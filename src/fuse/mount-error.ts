/** Why mounting failed, and what to do about it. */
import { errnoName } from '../sys/errno.ts';

export class MountError extends Error {
  /** Positive; 0 when no system call failed. */
  readonly errno: number;
  readonly remedy: string;

  constructor(errno: number, what: string, remedy: string) {
    super(errno === 0 ? what : `${what}: ${errnoName(errno)}`);
    this.name = 'MountError';
    this.errno = errno;
    this.remedy = remedy;
  }
}
