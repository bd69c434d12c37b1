/**
 * From the addon's calls to operations and back: which arguments each call has, and in which form it wants its answer.
 *
 * Every call is answered exactly once; libfuse's thread waits for it. Buffers of a call are libfuse's memory: they are
 * handed back with the answer and must not be touched after it.
 */
import { Errno, errnoName, failed, type Outcome, type Reply } from '../sys/errno.ts';
import type { Log } from '../telemetry/log.ts';
import type { AttributeOperations } from './attribute-operations.ts';
import { type Binding, type NativeHandler, OPERATION_SLOTS, type Request } from './binding.ts';
import type { FileOperations } from './file-operations.ts';
import type { NameOperations } from './name-operations.ts';
import { NO_STAT, NO_STATISTICS, statisticsWords, statWords } from './words.ts';

export interface BridgeCounters {
  requests: Record<string, number>;
  errors: Record<string, number>;
  pending: number;
  /** Broken promises and exceptions: defects of ours, answered EIO. */
  defects: number;
}

export interface Bridge {
  readonly handlers: NativeHandler[];
  /** One word an operation: 1 where it is offered to libfuse. */
  readonly implemented: Uint32Array;
  readonly counters: BridgeCounters;
}

export interface BridgeOptions {
  attributes: AttributeOperations;
  names: NameOperations;
  files: FileOperations;
  log: Log;
  /** The kernel and libfuse have agreed: the mount answers. */
  onInit: () => void;
}

/** What the addon's answer takes: the result, then what the operation returns beside it. */
type Form<T> = (outcome: Outcome<T>, args: readonly unknown[]) => readonly unknown[];

/**
 * The addon passes the access time twice, and the modification time not at all: it is in the request's memory (the layout
 * of `fuse_thread_locals_t` on 64-bit machines), right behind the access time, by which the place is checked.
 */
const ATIME_AT = 104;
const MTIME_AT = 112;

export function bridge(binding: Binding, { attributes, names, files, log, onInit }: BridgeOptions): Bridge {
  const handlers: NativeHandler[] = new Array(OPERATION_SLOTS - 1).fill(unexpected);
  const implemented = new Uint32Array(OPERATION_SLOTS);
  const counters: BridgeCounters = { requests: {}, errors: {}, pending: 0, defects: 0 };

  function on<A extends readonly unknown[], T>(
    name: string,
    form: Form<T>,
    run: (...args: A) => Reply<T>,
    withRequest?: (request: Request, ...args: A) => Reply<T>,
  ): void {
    const opcode = binding[`op_${name}`] as number;
    const signal = binding[`fuse_native_signal_${name}`] as (request: Request, ...answer: unknown[]) => void;
    counters.requests[name] = 0;
    counters.errors[name] = 0;
    const handle = async (request: Request, _opcode: number, ...args: unknown[]): Promise<void> => {
      counters.requests[name]!++;
      counters.pending++;
      let outcome: Outcome<T>;
      try {
        const own = args as unknown as A;
        outcome = await (withRequest === undefined ? run(...own) : withRequest(request, ...own));
      } catch (error) {
        counters.defects++;
        log.error({ err: error, operation: name }, 'an operation threw: answered EIO');
        outcome = -Errno.EIO;
      }
      if (failed(outcome)) {
        counters.errors[name]!++;
        log.debug({ operation: name, path: args[0], error: errnoName(outcome) }, 'answered with an error');
      }
      counters.pending--;
      signal(request, ...form(outcome, args));
    };
    handlers[opcode] = handle as unknown as NativeHandler;
    implemented[opcode] = 1;
  }

  on('init', status, (): Reply<0> => {
    onInit();
    return 0;
  });

  on('getattr', stat, (path: string) => attributes.getattr(path));
  on('fgetattr', stat, (path: string, fd: number) => attributes.fgetattr(path, fd));
  on('access', status, (path: string, mask: number) => attributes.access(path, mask));
  on(
    'statfs',
    (outcome, _) => [code(outcome), failed(outcome) ? NO_STATISTICS : statisticsWords(outcome)],
    (path: string) => attributes.statfs(path),
  );
  on('chmod', status, (path: string, mode: number) => attributes.chmod(path, mode));
  on('chown', status, (path: string, uid: number, gid: number) => attributes.chown(path, uid, gid));
  on('truncate', status, (path: string, low: number, high: number) => attributes.truncate(path, join(low, high)));
  on('ftruncate', status, (path: string, fd: number, low: number, high: number) =>
    attributes.ftruncate(path, fd, join(low, high)),
  );
  on<[path: string, low: number, high: number], 0>(
    'utimens',
    status,
    () => -Errno.EOPNOTSUPP,
    (request, path, low, high) => {
      const atime = request.readBigInt64LE(ATIME_AT);
      if (BigInt.asUintN(64, atime) !== BigInt(high) * 2n ** 32n + BigInt(low)) return -Errno.EOPNOTSUPP;
      return attributes.utimens(path, Number(atime), Number(request.readBigInt64LE(MTIME_AT)));
    },
  );
  on(
    'readlink',
    (outcome, _) => [code(outcome), failed(outcome) ? '' : outcome],
    (path: string) => attributes.readlink(path),
  );
  on('setxattr', memory(2), (path: string, name: string, value: Buffer, _position: number, flags: number) =>
    attributes.setxattr(path, name, value, flags),
  );
  on('getxattr', memory(2), (path: string, name: string, into: Buffer) => attributes.getxattr(path, name, into));
  on('listxattr', memory(1), (path: string, into: Buffer) => attributes.listxattr(path, into));
  on('removexattr', status, (path: string, name: string) => attributes.removexattr(path, name));

  on('mknod', status, (path: string, mode: number, rdev: number) => names.mknod(path, mode, rdev));
  on('mkdir', status, (path: string, mode: number) => names.mkdir(path, mode));
  on('symlink', status, (target: string, path: string) => names.symlink(target, path));
  on('link', status, (path: string, newPath: string) => names.link(path, newPath));
  on('unlink', status, (path: string) => names.unlink(path));
  on('rmdir', status, (path: string) => names.rmdir(path));
  on('rename', status, (path: string, newPath: string) => names.rename(path, newPath));

  on(
    'open',
    (outcome, _) => (failed(outcome) ? [outcome, 0] : [0, outcome]),
    (path: string, flags: number) => files.open(path, flags),
  );
  on('release', status, (_path: string, fd: number) => files.release(fd));
  on('read', transfer, (_path: string, fd: number, into: Buffer, size: number, low: number, high: number) =>
    files.read(fd, into, size, join(low, high)),
  );
  on('write', transfer, (_path: string, fd: number, data: Buffer, size: number, low: number, high: number) =>
    files.write(fd, data, size, join(low, high)),
  );
  on('flush', status, (_path: string, fd: number) => files.flush(fd));
  on('fsync', status, (_path: string, dataOnly: number, fd: number) => files.fsync(fd, dataOnly !== 0));
  on(
    'readdir',
    (outcome, _) => (failed(outcome) ? [outcome, [], []] : [0, outcome.names, outcome.entries]),
    (path: string) => files.readdir(path),
  );
  on('fsyncdir', status, (path: string, dataOnly: number) => files.fsyncdir(path, dataOnly !== 0));

  return { handlers, implemented, counters };
}

/** The addon takes a function for each of its operations, and calls only those that are offered. */
function unexpected(): void {
  throw new Error('libfuse asked for an operation that was not offered');
}

function join(low: number, high: number): number {
  return low + high * 2 ** 32;
}

/** The result where success carries nothing. */
function code(outcome: unknown): number {
  return failed(outcome) ? outcome : 0;
}

function status(outcome: unknown): readonly unknown[] {
  return [code(outcome)];
}

const stat: Form<Parameters<typeof statWords>[0]> = (outcome) =>
  failed(outcome) ? [outcome, NO_STAT] : [0, statWords(outcome)];

/** The result is a count; the memory at argument `index` goes back. */
function memory(index: number): Form<number> {
  return (outcome, args) => [outcome, (args[index] as Buffer).buffer];
}

/** Reads and writes: path, number, buffer. */
const transfer: Form<number> = (outcome, args) => [outcome, 0, (args[2] as Buffer).buffer];
