/**
 * Which system calls go through an io_uring, and as what. `later` of all others goes to libuv's pool as it always did;
 * nobody who calls notices which it was.
 */
import { Errno, errnoName } from './errno.ts';
import * as sys from './libc.ts';
import { Ring, type RingCall } from './uring.ts';

/** enum io_uring_op. */
const Operation = {
  FSYNC: 3,
  FALLOCATE: 17,
  OPENAT: 18,
  CLOSE: 19,
  STATX: 21,
  READ: 22,
  WRITE: 23,
  UNLINKAT: 36,
  FTRUNCATE: 55,
} as const;
const FSYNC_DATASYNC = 1;

/** Has the ring make every call that it can. */
function divertTo(ring: Ring): void {
  const { addressOf } = sys;
  const divert = <A extends readonly sys.Argument[]>(
    call: sys.SystemCall<A>,
    opcode: number,
    entry: (...args: A) => Omit<RingCall, 'opcode' | 'held'>,
  ): void => {
    if (ring.supports(opcode)) call.divert((args) => ring.call({ opcode, held: args, ...entry(...args) }));
  };
  const { FSYNC, FALLOCATE, OPENAT, CLOSE, STATX, READ, WRITE, UNLINKAT, FTRUNCATE } = Operation;
  divert(sys.openat, OPENAT, (fd, path, flags, mode) => ({ fd, address: addressOf(path), length: mode, flags }));
  divert(sys.statx, STATX, (fd, path, flags, mask, out) => ({
    fd,
    address: addressOf(path),
    length: mask,
    offset: addressOf(out),
    flags,
  }));
  divert(sys.pread, READ, (fd, out, size, offset) => ({
    fd,
    address: addressOf(out),
    length: Math.min(size, out.byteLength),
    offset,
  }));
  divert(sys.pwrite, WRITE, (fd, data, size, offset) => ({
    fd,
    address: addressOf(data),
    length: Math.min(size, data.byteLength),
    offset,
  }));
  divert(sys.close, CLOSE, (fd) => ({ fd }));
  divert(sys.fsync, FSYNC, (fd) => ({ fd }));
  divert(sys.fdatasync, FSYNC, (fd) => ({ fd, flags: FSYNC_DATASYNC }));
  divert(sys.unlinkat, UNLINKAT, (fd, path, flags) => ({ fd, address: addressOf(path), flags }));
  divert(sys.ftruncate, FTRUNCATE, (fd, offset) => ({ fd, offset }));
  divert(sys.fallocate, FALLOCATE, (fd, mode, offset, length) => ({ fd, address: length, length: mode, offset }));
}

const REASONS: Readonly<Record<number, string>> = {
  [Errno.ENOSYS]: 'the kernel has none that is new enough (Linux 5.15)',
  [Errno.EPERM]: 'not permitted (sysctl kernel.io_uring_disabled, or a container that filters system calls)',
};

let ringWorkers = 0;

/** Threads of the kernel that may make calls at once; 0: all calls go to the pool. */
export function ioUringWorkers(): number {
  return ringWorkers;
}

/**
 * From now on `later` makes calls by an io_uring where that can be, by at most so many threads of the kernel. Undefined, or
 * why it stays with libuv's pool.
 */
export function beginIoUring(workers: number): string | undefined {
  const ring = Ring.open(workers);
  if (typeof ring === 'number') return REASONS[-ring] ?? `io_uring_setup(2): ${errnoName(ring)}`;
  divertTo(ring);
  ringWorkers = workers;
  return undefined;
}
