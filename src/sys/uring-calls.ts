/**
 * Which system calls go through an io_uring, and as what. `later` of all others goes to libuv's pool as it always did;
 * nobody who calls notices which it was.
 */
import { Errno, errnoName } from './errno.ts';
import * as sys from './libc.ts';
import { Ring } from './uring.ts';

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

/** Has the ring make every call that it can, and in which none waits for one of another file. */
export function divertTo(ring: Pick<Ring, 'call' | 'supports' | 'writesApart'>): void {
  const { addressOf } = sys;
  const divert = <A extends readonly sys.Argument[]>(
    call: sys.SystemCall<A>,
    opcode: number,
    way: (code: number, args: A) => Promise<number>,
  ): void => {
    if (ring.supports(opcode)) call.divert((args) => way(opcode, args));
  };
  divert(sys.openat, Operation.OPENAT, (code, args) => {
    const [dir, path, flags, mode] = args;
    return ring.call(code, dir, addressOf(path), mode, 0, flags, args);
  });
  divert(sys.statx, Operation.STATX, (code, args) => {
    const [dir, path, flags, mask, out] = args;
    return ring.call(code, dir, addressOf(path), mask, addressOf(out), flags, args);
  });
  divert(sys.pread, Operation.READ, (code, args) => {
    const [fd, out, size, offset] = args;
    return ring.call(code, fd, addressOf(out), Math.min(size, out.byteLength), offset, 0, args);
  });
  divert(sys.unlinkat, Operation.UNLINKAT, (code, args) => {
    const [dir, path, flags] = args;
    return ring.call(code, dir, addressOf(path), 0, 0, flags, args);
  });
  divert(sys.close, Operation.CLOSE, (code, [fd]) => ring.call(code, fd, 0, 0, 0, 0, undefined));
  divert(sys.fsync, Operation.FSYNC, (code, [fd]) => ring.call(code, fd, 0, 0, 0, 0, undefined));
  divert(sys.fdatasync, Operation.FSYNC, (code, [fd]) => ring.call(code, fd, 0, 0, 0, FSYNC_DATASYNC, undefined));
  if (!ring.writesApart) return;
  divert(sys.pwrite, Operation.WRITE, (code, args) => {
    const [fd, data, size, offset] = args;
    return ring.call(code, fd, addressOf(data), Math.min(size, data.byteLength), offset, 0, args);
  });
  divert(sys.ftruncate, Operation.FTRUNCATE, (code, [fd, size]) => ring.call(code, fd, 0, 0, size, 0, undefined));
  divert(sys.fallocate, Operation.FALLOCATE, (code, [fd, mode, offset, length]) =>
    ring.call(code, fd, length, mode, offset, 0, undefined),
  );
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
