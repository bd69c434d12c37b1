/** Opening a posix store: checks the root, finds out how fast it is, and puts the parts together. */
import { readlink } from 'node:fs/promises';
import { Errno, errnoName } from '../../sys/errno.ts';
import * as sys from '../../sys/libc.ts';
import type { Log } from '../../telemetry/log.ts';
import type { SpeedClass, Store } from '../store.ts';
import { Context } from './context.ts';
import { CredentialWorkers } from './credential-workers.ts';
import { Descriptors } from './descriptors.ts';
import { StoreError } from './error.ts';
import { AT_EMPTY_PATH, AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH, STATX_BASIC_STATS, STATX_BTIME } from './flags.ts';
import { type AnyCall, Lane } from './lane.ts';
import { PosixNode } from './node.ts';
import { PosixStore } from './posix-store.ts';
import { classify, FUSE } from './speed.ts';
import { NO_PATH, StatxBuffer, StatxBuffers } from './statx.ts';
import { Runner } from './trips.ts';

export interface PosixStoreOptions {
  /** A directory. May itself be or pass through symbolic links; nothing beneath it is followed. */
  root: string;
  /** Default 'auto': by file-system type and measured latency. */
  speed?: 'auto' | SpeedClass;
  readOnly?: boolean;
  /**
   * As whom names are resolved and files opened. 'daemon' (default): as this process; what is created belongs to who
   * asked. { uid, gid }: always as that user, for sources that do not let root in; what is created belongs to it.
   */
  identity?: 'daemon' | 'caller' | { uid: number; gid: number };
  log: Log;
  /** Directory descriptors kept at most; default: a quarter of the process's limit, at most 8192. */
  maxDescriptors?: number;
}

const DESCRIPTORS_MAX = 8192;
const RLIMIT_NOFILE = 7;
/** Threads that are another user, for good or for a creation: each makes one call at a time, and costs some 5 MB. */
const IDENTITY_THREADS = 4;

type Call = (call: AnyCall, args: readonly sys.Argument[]) => Promise<number>;

export async function openPosixStore(options: PosixStoreOptions): Promise<Store> {
  const { root: path, log } = options;
  const identity = fixedIdentity(options);
  let others = identity ? new CredentialWorkers(IDENTITY_THREADS, { identity }, log) : undefined;
  const lane = new Lane();
  const call: Call = (which, args) => (others ? others.run(which, args, undefined) : lane.run(which, args));
  let fd = -1;
  try {
    fd = await openRoot(path, call);
    const statfs = Buffer.alloc(120);
    checked(path, await call(sys.fstatfs as unknown as AnyCall, [fd, statfs]));
    const type = statfs.readUInt32LE(0);
    if (identity && type === FUSE) {
      await others?.close();
      others = new CredentialWorkers(IDENTITY_THREADS, { identity, whole: true }, log);
    }
    return await assemble(options, fd, type, call, lane, others);
  } catch (error) {
    if (fd >= 0) sys.closeNow(fd);
    await others?.close();
    log.debug({ root: path }, 'the source could not be opened');
    throw error;
  }
}

async function assemble(
  options: PosixStoreOptions,
  fd: number,
  type: number,
  call: Call,
  lane: Lane,
  others: CredentialWorkers | undefined,
): Promise<Store> {
  const path = await readlink(`/proc/self/fd/${fd}`); // the root without its links, asked of the kernel, not the source
  const kind = await classify(type, fd, path);
  const asked = options.speed ?? 'auto';
  // Switched credentials live in other threads, so such a store cannot answer at once.
  const speed = others ? 'pooled' : asked === 'auto' ? kind.speed : asked;
  if (speed === 'inline' && kind.speed === 'pooled') {
    options.log.warn({ root: path, type: kind.type }, 'the source is used as a fast one although it may wait');
  }
  options.log.info({ root: path, type: kind.type, speed, reason: kind.reason }, 'source opened');

  const inline = speed === 'inline';
  // Asking a network file system for birth times may cost a request of its own.
  const statxMask = kind.births ? STATX_BASIC_STATS | STATX_BTIME : STATX_BASIC_STATS;
  const stat = new StatxBuffer();
  checked(path, await call(sys.statx as unknown as AnyCall, [fd, NO_PATH, AT_EMPTY_PATH, statxMask, stat.bytes]));
  const found = stat.found(stat.device());
  const root = new PosixNode(found, stat.device());
  root.fd = fd;
  root.pinned = true;

  const creator = inline || others ? undefined : new CredentialWorkers(IDENTITY_THREADS, {}, options.log);
  const runner = new Runner(lane, inline, creator, others);
  const buffers = new StatxBuffers();
  const descriptors = new Descriptors({
    runner,
    buffers,
    limit: options.maxDescriptors ?? defaultLimit(),
    statxMask,
    localStat: inline || (kind.localStat && !others),
  });
  const readOnly = options.readOnly ?? false;
  const context = new Context({ root, runner, descriptors, buffers, statxMask, readOnly, pins: !kind.nfs });
  const workers = [creator, others].filter((each) => each !== undefined);
  const { memory, direct } = kind;
  return new PosixStore({ path, context, rootFound: found, memory, direct, workers });
}

function fixedIdentity({ identity, root }: PosixStoreOptions): { uid: number; gid: number } | undefined {
  if (identity === undefined || identity === 'daemon') return undefined;
  if (identity === 'caller') {
    throw new StoreError(
      Errno.EOPNOTSUPP,
      `${root}: reading a source as whoever asks is not implemented`,
      'name a user and group that may read the source',
    );
  }
  if (process.geteuid?.() !== 0 && (identity.uid !== process.geteuid?.() || identity.gid !== process.getegid?.())) {
    throw new StoreError(Errno.EPERM, `${root}: only root can read a source as another user`, 'run the daemon as root');
  }
  return process.geteuid?.() === 0 ? identity : undefined;
}

async function openRoot(path: string, call: Call): Promise<number> {
  const name = Buffer.from(`${path}\0`);
  if (path.length === 0 || name.indexOf(0) !== name.length - 1) throw rootError(path, Errno.ENOENT);
  return checked(
    path,
    await call(sys.openat as unknown as AnyCall, [AT_FDCWD, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0]),
  );
}

function checked(path: string, result: number): number {
  if (result < 0) throw rootError(path, -result);
  return result;
}

const REMEDIES: Record<number, string> = {
  [Errno.ENOENT]: 'give the path of a directory that exists',
  [Errno.ENOTDIR]: 'give the path of a directory, not of a file',
  [Errno.EACCES]: 'run as a user who may enter it, or name one with the identity option',
  [Errno.ENOTCONN]: 'the file system mounted there has lost its daemon: unmount it and mount it again',
  [Errno.ESTALE]: 'the file system mounted there has been replaced: unmount it and mount it again',
};

function rootError(path: string, errno: number): StoreError {
  const remedy = REMEDIES[errno] ?? 'check that the directory can be listed by hand';
  return new StoreError(errno, `cannot use ${path || '""'} as a source: ${errnoName(errno)}`, remedy);
}

function defaultLimit(): number {
  const limits = Buffer.alloc(16);
  if (sys.prlimit.now(0, RLIMIT_NOFILE, null, limits) < 0) return 256;
  const soft = limits.readBigUInt64LE(0);
  return Math.max(16, Math.min(DESCRIPTORS_MAX, Number(soft / 4n)));
}
