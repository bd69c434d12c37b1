/** The flags of open(2). Those whose value depends on the architecture come from Node. */
import { constants } from 'node:fs';

export const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECT, O_NONBLOCK } = constants;
export const O_CLOEXEC = 0o2000000;
/** The bits that say whether it is for reading, writing or both. */
export const O_ACCMODE = 3;

/** Whether a file opened so can be changed by that. */
export function mayWrite(flags: number): boolean {
  return (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
}
