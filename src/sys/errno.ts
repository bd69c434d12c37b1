/**
 * Error numbers as Linux numbers them, and the one convention every layer below the command line follows:
 * a failed operation *returns* a negated errno instead of throwing. ENOENT on a lookup is the commonest answer a
 * file system gives; building a JavaScript error for it would cost more than the operation.
 */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  ETIME: 62,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ECONNABORTED: 103,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

export type ErrnoName = keyof typeof Errno;

/** A negated errno (`-Errno.ENOENT`). Only ever negative. */
export type Failure = number;

/** A value or a negated errno. Where T is itself a number, T is never negative. */
export type Outcome<T> = T | Failure;

/** What an operation returns: at once when it could be answered without waiting, else a promise (which never rejects by design). */
export type Reply<T> = Outcome<T> | Promise<Outcome<T>>;

const names = new Map<number, ErrnoName>(Object.entries(Errno).map(([name, value]) => [value, name as ErrnoName]));

/** `-2`, `2` -> "ENOENT". Unknown numbers read "errno 4711". */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}

/** True when an outcome is a failure. */
export function failed(outcome: unknown): outcome is Failure {
  return typeof outcome === 'number' && outcome < 0;
}

/** An answer about the file: its name does not lead to it any more. Other failures say that this could not be found out. */
export function isGone(failure: Failure): boolean {
  return GONE.has(failure);
}

const GONE: ReadonlySet<Failure> = new Set(
  [Errno.ENOENT, Errno.ENOTDIR, Errno.ESTALE, Errno.ELOOP].map((errno) => -errno),
);

/** Continues with a reply's value, at once when it is there already; failures pass through untouched. */
export function andThen<T, U>(reply: Reply<T>, next: (value: T) => Reply<U>): Reply<U> {
  if (reply instanceof Promise) return reply.then((outcome) => (failed(outcome) ? outcome : next(outcome as T)));
  return failed(reply) ? reply : next(reply as T);
}

/** Continues with a reply whatever its outcome: for undoing what had been taken. */
export function settle<T, U>(reply: Reply<T>, next: (outcome: Outcome<T>) => Reply<U>): Reply<U> {
  return reply instanceof Promise ? reply.then(next) : next(reply);
}

/** The errno of an error thrown by `node:fs`, negated; EIO when it carries none. */
export function failureOf(error: unknown): Failure {
  const errno = (error as { errno?: unknown } | null)?.errno;
  return typeof errno === 'number' && errno < 0 ? errno : -Errno.EIO;
}
