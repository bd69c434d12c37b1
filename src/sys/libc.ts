/**
 * System calls that Node has no binding for, through koffi. This file and libuv.ts alone know koffi: when Node's own
 * foreign-function interface is stable, they change and nothing else.
 *
 * Every call exists in two forms. `call.now(...)` runs on the calling thread (about 0.2 us more than the system call
 * itself). `call.later(...)` runs elsewhere, for anything that may wait for a slow store: on libuv's pool (koffi carries
 * errno back from the pool's thread), or where it was diverted to (uring-calls.ts). Both return the call's result, or the
 * negated errno.
 *
 * A buffer given to `later` is kept alive until the call has ended.
 */
import koffi from 'koffi';

// Each call on the pool has memory of its own. What exceeds the resident is mapped for the call and unmapped after it, which
// costs this thread three times the call; 32 is the most there can be.
koffi.config({ ...koffi.config(), resident_async_pools: 32, max_async_calls: 4096 });
const libc = koffi.load('libc.so.6');

export type Argument = number | bigint | Uint8Array | null;

/** Another way than the pool. It holds the buffers until the call has ended. */
export type Way<A extends readonly Argument[]> = (args: A) => Promise<number>;

export interface SystemCall<A extends readonly Argument[]> {
  now(...args: A): number;
  later(...args: A): Promise<number>;
  /** From now on `later` goes this way. */
  divert(way: Way<A>): void;
  /** `later` does not go to the pool. */
  readonly diverted: boolean;
}

function bind<A extends readonly Argument[]>(prototype: string): SystemCall<A> {
  const fn = libc.func(prototype);
  let diverted = false;
  let way: Way<A> = (args) =>
    new Promise((resolve, reject) => {
      fn.async(...args, (error: unknown, result: number) => {
        const outcome = result < 0 ? -koffi.errno() : result; // first: anything else may overwrite errno
        void args.length; // holds the buffers until here
        if (error) reject(error as Error);
        else resolve(outcome);
      });
    });
  return {
    now: (...args) => {
      const result = fn(...args) as number;
      return result < 0 ? -koffi.errno() : result;
    },
    later: (...args) => way(args),
    divert: (another) => {
      way = another;
      diverted = true;
    },
    get diverted() {
      return diverted;
    },
  };
}

type Fd = number;
type Path = Uint8Array; // NUL-terminated; see cstring()

// --- names and attributes -----------------------------------------------------------------------------------------
export const openat = bind<[dir: Fd, path: Path, flags: number, mode: number]>(
  'int openat(int, const void *, int, unsigned int)',
);
/** `how` is a struct open_how of 24 bytes. */
export const openat2 = bind<[number: number, dir: Fd, path: Path, how: Uint8Array, size: number]>(
  'long syscall(long, int, const void *, const void *, size_t)',
);
export const close = bind<[fd: Fd]>('int close(int)');
export const statx = bind<[dir: Fd, path: Path, flags: number, mask: number, out: Uint8Array]>(
  'int statx(int, const void *, int, unsigned int, void *)',
);
export const getdents64 = bind<[fd: Fd, out: Uint8Array, size: number]>('long getdents64(int, void *, size_t)');
export const readlinkat = bind<[dir: Fd, path: Path, out: Uint8Array, size: number]>(
  'long readlinkat(int, const void *, void *, size_t)',
);
export const mknodat = bind<[dir: Fd, path: Path, mode: number, rdev: number]>(
  'int mknodat(int, const void *, unsigned int, unsigned long)',
);
export const mkdirat = bind<[dir: Fd, path: Path, mode: number]>('int mkdirat(int, const void *, unsigned int)');
export const unlinkat = bind<[dir: Fd, path: Path, flags: number]>('int unlinkat(int, const void *, int)');
export const symlinkat = bind<[target: Path, dir: Fd, path: Path]>('int symlinkat(const void *, int, const void *)');
export const linkat = bind<[fromDir: Fd, from: Path, toDir: Fd, to: Path, flags: number]>(
  'int linkat(int, const void *, int, const void *, int)',
);
export const renameat2 = bind<[fromDir: Fd, from: Path, toDir: Fd, to: Path, flags: number]>(
  'int renameat2(int, const void *, int, const void *, unsigned int)',
);
export const chmod = bind<[path: Path, mode: number]>('int chmod(const void *, unsigned int)');
export const fchmod = bind<[fd: Fd, mode: number]>('int fchmod(int, unsigned int)');
export const fchownat = bind<[dir: Fd, path: Path, uid: number, gid: number, flags: number]>(
  'int fchownat(int, const void *, unsigned int, unsigned int, int)',
);
/** `times` is two struct timespec (i64 seconds, i64 nanoseconds): access, modification. */
export const utimensat = bind<[dir: Fd, path: Path | null, times: Uint8Array, flags: number]>(
  'int utimensat(int, const void *, const void *, int)',
);
export const truncate = bind<[path: Path, length: number]>('int truncate(const void *, long)');
export const ftruncate = bind<[fd: Fd, length: number]>('int ftruncate(int, long)');
export const getxattr = bind<[path: Path, name: Path, out: Uint8Array | null, size: number]>(
  'long getxattr(const void *, const void *, void *, size_t)',
);
export const setxattr = bind<[path: Path, name: Path, value: Uint8Array, size: number, flags: number]>(
  'int setxattr(const void *, const void *, const void *, size_t, int)',
);
export const listxattr = bind<[path: Path, out: Uint8Array | null, size: number]>(
  'long listxattr(const void *, void *, size_t)',
);
export const removexattr = bind<[path: Path, name: Path]>('int removexattr(const void *, const void *)');
/** `out` is a struct statfs of 120 bytes. */
export const fstatfs = bind<[fd: Fd, out: Uint8Array]>('int fstatfs(int, void *)');

// --- bytes ----------------------------------------------------------------------------------------------------------
export const read = bind<[fd: Fd, out: Uint8Array, size: number]>('long read(int, void *, size_t)');
export const write = bind<[fd: Fd, data: Uint8Array, size: number]>('long write(int, const void *, size_t)');
export const pread = bind<[fd: Fd, out: Uint8Array, size: number, offset: number]>(
  'long pread(int, void *, size_t, long)',
);
export const pwrite = bind<[fd: Fd, data: Uint8Array, size: number, offset: number]>(
  'long pwrite(int, const void *, size_t, long)',
);
export const fsync = bind<[fd: Fd]>('int fsync(int)');
export const fdatasync = bind<[fd: Fd]>('int fdatasync(int)');
export const syncfs = bind<[fd: Fd]>('int syncfs(int)');
export const fallocate = bind<[fd: Fd, mode: number, offset: number, length: number]>(
  'int fallocate(int, int, long, long)',
);
export const lseek = bind<[fd: Fd, offset: number, whence: number]>('long lseek(int, long, int)');
/** `inOffset`, `outOffset`: an i64 each, advanced by the call. */
export const copyFileRange = bind<
  [from: Fd, inOffset: Uint8Array, to: Fd, outOffset: Uint8Array, length: number, flags: number]
>('long copy_file_range(int, void *, int, void *, size_t, unsigned int)');
export const flock = bind<[fd: Fd, operation: number]>('int flock(int, int)');
export const posixFadvise = bind<[fd: Fd, offset: number, length: number, advice: number]>(
  'int posix_fadvise(int, long, long, int)',
);

koffi.struct('mlo_iovec', { base: 'const void *', length: 'size_t' });
const writevRaw = libc.func('long writev(int, const mlo_iovec *, int)');

/** RWF_NOWAIT: fail with EAGAIN instead of waiting for a disk. */
export const RWF_NOWAIT = 8;

const preadv2Direct = libc.func('long preadv2(int, size_t, int, long, int)');
const vector = new Uint32Array(4); // struct iovec: address, length; in halves, which is cheaper than bigints
const vectorAddress = Number(koffi.address(vector));
const bases = new WeakMap<ArrayBufferLike, number>();
let lastBuffer: ArrayBufferLike | undefined;
let lastBase = 0;

/**
 * Where a buffer's bytes are. The memory behind an ArrayBuffer never moves, so its address is asked for once; it is
 * valid only as long as someone holds the buffer.
 */
export function addressOf(bytes: Uint8Array): number {
  const buffer = bytes.buffer;
  if (buffer !== lastBuffer) {
    let base = bases.get(buffer);
    if (base === undefined) {
      base = Number(koffi.address(bytes)) - bytes.byteOffset;
      bases.set(buffer, base);
    }
    lastBuffer = buffer;
    lastBase = base;
  }
  return lastBase + bytes.byteOffset;
}

/** preadv2 into one buffer, on the calling thread. Never writes beyond `out`, whatever `size` says. */
export function preadFlags(fd: Fd, out: Uint8Array, size: number, offset: number, flags: number): number {
  const address = addressOf(out);
  vector[0] = address;
  vector[1] = address / 2 ** 32;
  vector[2] = Math.min(size, out.byteLength);
  const result = preadv2Direct(fd, vectorAddress, 1, offset, flags) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** writev of two buffers, on the calling thread: a reply's header and bytes that live elsewhere. */
export function writePair(
  fd: Fd,
  first: Uint8Array,
  firstSize: number,
  second: Uint8Array,
  secondSize: number,
): number {
  const parts = [
    { base: first, length: firstSize },
    { base: second, length: secondSize },
  ];
  const result = writevRaw(fd, parts, 2) as number;
  return result < 0 ? -koffi.errno() : result;
}

// --- waiting --------------------------------------------------------------------------------------------------------
/** `fds` is an array of struct pollfd of 8 bytes each (i32 fd, i16 events, i16 revents). */
export const poll = bind<[fds: Uint8Array, count: number, timeoutMs: number]>('int poll(void *, unsigned long, int)');

// --- devices, mounts, credentials -----------------------------------------------------------------------------------
export const ioctl = bind<[fd: Fd, request: number, argument: Uint8Array]>('int ioctl(int, unsigned long, void *)');
export const mount = bind<[source: Path, target: Path, type: Path, flags: number, data: Path | null]>(
  'int mount(const void *, const void *, const void *, unsigned long, const void *)',
);
/** The calls that make a file system without mounting it anywhere (Linux >= 5.2); their numbers are the same everywhere. */
export const fsopen = bind<[number: number, type: Path, flags: number]>(
  'long syscall(long, const void *, unsigned int)',
);
export const SYS_fsopen = 430;
export const fsconfig = bind<
  [number: number, fd: Fd, command: number, key: Path | null, value: Path | null, aux: number]
>('long syscall(long, int, unsigned int, const void *, const void *, int)');
export const SYS_fsconfig = 431;
export const fsmount = bind<[number: number, fd: Fd, flags: number, attributes: number]>(
  'long syscall(long, int, unsigned int, unsigned int)',
);
export const SYS_fsmount = 432;
export const fspick = bind<[number: number, dir: Fd, path: Path, flags: number]>(
  'long syscall(long, int, const void *, unsigned int)',
);
export const SYS_fspick = 433;
export const umount2 = bind<[target: Path, flags: number]>('int umount2(const void *, int)');
export const socketpair = bind<[domain: number, type: number, protocol: number, out: Uint8Array]>(
  'int socketpair(int, int, int, void *)',
);
export const fcntl = bind<[fd: Fd, command: number, argument: number]>('int fcntl(int, int, long)');
export const prctl = bind<[option: number, a: number, b: number, c: number, d: number]>(
  'int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)',
);
export const unshare = bind<[flags: number]>('int unshare(int)');
/** `limits` are struct rlimit (u64 soft, u64 hard); null leaves that side out. */
export const prlimit = bind<[pid: number, resource: number, set: Uint8Array | null, get: Uint8Array | null]>(
  'int prlimit(int, int, const void *, void *)',
);

const umaskRaw = libc.func('unsigned int umask(unsigned int)');
/** Sets the umask of this thread's file-system context; returns the one before. */
export function umask(mask: number): number {
  return umaskRaw(mask) as number;
}

const syscallRaw = libc.func('long syscall(long, long, long)');
const syscallPointer = libc.func('long syscall(long, long, const void *)');
const numbers =
  process.arch === 'arm64'
    ? { setgroups: 159, setfsuid: 151, setfsgid: 152, openat2: 437 }
    : { setgroups: 116, setfsuid: 122, setfsgid: 123, openat2: 437 };

export const SYS_openat2 = numbers.openat2;

/**
 * Per-thread credentials, by raw system call: glibc's wrappers of setgroups would change every thread of the process.
 * setfsuid and setfsgid cannot report failure; the caller checks by reading back (an argument of -1 changes nothing).
 */
export const threadCredentials = {
  setFsUid: (uid: number): number => syscallRaw(numbers.setfsuid, uid, 0) as number,
  setFsGid: (gid: number): number => syscallRaw(numbers.setfsgid, gid, 0) as number,
  setGroups: (groups: readonly number[]): number => {
    const list = Uint32Array.from(groups);
    const result = syscallPointer(numbers.setgroups, groups.length, new Uint8Array(list.buffer)) as number;
    return result < 0 ? -koffi.errno() : 0;
  },
};

// --- descriptors over sockets ---------------------------------------------------------------------------------------
koffi.struct('mlo_msghdr', {
  name: 'void *',
  nameLength: 'uint32_t',
  parts: 'mlo_iovec *',
  partCount: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
const recvmsgRaw = libc.func('long recvmsg(int, mlo_msghdr *, int)');

/** Receives one descriptor sent with SCM_RIGHTS; returns it or a negated errno (EPROTO: the message carried none). */
export function receiveDescriptor(socket: Fd): number {
  const byte = Buffer.alloc(8);
  const control = Buffer.alloc(32); // cmsghdr (16 bytes) + one int, padded
  const message = {
    name: null,
    nameLength: 0,
    parts: [{ base: byte, length: 1 }],
    partCount: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
  const result = recvmsgRaw(socket, message, 0x40000000 /* MSG_CMSG_CLOEXEC */) as number;
  if (result < 0) return -koffi.errno();
  const SOL_SOCKET = 1;
  const SCM_RIGHTS = 1;
  if (control.readUInt32LE(0) < 20 || control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) {
    return -71; // EPROTO
  }
  return control.readInt32LE(16);
}

/** A NUL-terminated copy of a name held as a byte string ("latin1": one character a byte). */
export function cstring(name: string): Buffer {
  const bytes = Buffer.allocUnsafe(name.length + 1);
  bytes.write(name, 0, 'latin1');
  bytes[name.length] = 0;
  return bytes;
}

// --- the hottest calls, without conversions ---------------------------------------------------------------------------
// These take addresses (see addressOf) of buffers that the caller keeps; on the calling thread only.
const statxDirect = libc.func('int statx(int, size_t, int, unsigned int, size_t)');
const openatDirect = libc.func('int openat(int, size_t, int, unsigned int)');
const unlinkatDirect = libc.func('int unlinkat(int, size_t, int)');
const closeDirect = libc.func('int close(int)');
const preadDirect = libc.func('long pread(int, size_t, size_t, long)');
const pwriteDirect = libc.func('long pwrite(int, size_t, size_t, long)');

export function statxNow(dir: Fd, path: number, flags: number, mask: number, out: number): number {
  return (statxDirect(dir, path, flags, mask, out) as number) < 0 ? -koffi.errno() : 0;
}

export function openatNow(dir: Fd, path: number, flags: number, mode: number): number {
  const result = openatDirect(dir, path, flags, mode) as number;
  return result < 0 ? -koffi.errno() : result;
}

export function unlinkatNow(dir: Fd, path: number, flags: number): number {
  return (unlinkatDirect(dir, path, flags) as number) < 0 ? -koffi.errno() : 0;
}

export function closeNow(fd: Fd): number {
  return (closeDirect(fd) as number) < 0 ? -koffi.errno() : 0;
}

export function preadNow(fd: Fd, out: Uint8Array, size: number, offset: number): number {
  const result = preadDirect(fd, addressOf(out), Math.min(size, out.byteLength), offset) as number;
  return result < 0 ? -koffi.errno() : result;
}

export function pwriteNow(fd: Fd, data: Uint8Array, offset: number): number {
  const result = pwriteDirect(fd, addressOf(data), data.byteLength, offset) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** chmod by descriptor, O_PATH included (Linux >= 6.6; ENOSYS before): flags AT_EMPTY_PATH with an empty path. */
export const fchmodat2 = bind<[number: number, fd: Fd, path: Path, mode: number, flags: number]>(
  'long syscall(long, int, const void *, unsigned int, int)',
);
export const SYS_fchmodat2 = 452; // the same number on every architecture, as for all calls since 5.1

const syscallThree = libc.func('long syscall(long, long, long, long)');
/** Changes all three user and group ids of this thread alone, for good. 0 or a negated errno. */
export function becomeOnThisThread(uid: number, gid: number, groups: readonly number[]): number {
  const arm = process.arch === 'arm64';
  const outcome = threadCredentials.setGroups(groups);
  if (outcome < 0) return outcome;
  if ((syscallThree(arm ? 149 : 119, gid, gid, gid) as number) < 0) return -koffi.errno(); // setresgid
  if ((syscallThree(arm ? 147 : 117, uid, uid, uid) as number) < 0) return -koffi.errno(); // setresuid
  return 0;
}

const syscallAttributes = libc.func('long syscall(long, long, void *, long, long)');
/** Fills `attributes`, a struct sched_attr, with those of this thread. 0 or a negated errno. */
export function schedGetAttributes(attributes: Uint8Array): number {
  const number = process.arch === 'arm64' ? 275 : 315;
  return (syscallAttributes(number, 0, attributes, attributes.length, 0) as number) < 0 ? -koffi.errno() : 0;
}

/** Gives this thread, and those it starts from then on, the attributes. 0 or a negated errno. */
export function schedSetAttributes(attributes: Uint8Array): number {
  const number = process.arch === 'arm64' ? 274 : 314;
  return (syscallAttributes(number, 0, attributes, 0, 0) as number) < 0 ? -koffi.errno() : 0;
}

// --- a device's frames ------------------------------------------------------------------------------
const readDirect = libc.func('long read(int, size_t, size_t)');
const writeDirect = libc.func('long write(int, size_t, size_t)');
const writevDirect = libc.func('long writev(int, size_t, int)');
const pollDirect = libc.func('int poll(size_t, unsigned long, int)');
const pairVector = new BigUint64Array(4);
const pairAddress = Number(koffi.address(pairVector));

/** read(2) to an address (see addressOf). */
export function readNow(fd: Fd, out: number, size: number): number {
  const result = readDirect(fd, out, size) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** write(2) from an address. */
export function writeNow(fd: Fd, data: number, size: number): number {
  const result = writeDirect(fd, data, size) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** writev(2) of two pieces, from addresses. */
export function writePairNow(fd: Fd, first: number, firstSize: number, second: number, secondSize: number): number {
  pairVector[0] = BigInt(first);
  pairVector[1] = BigInt(firstSize);
  pairVector[2] = BigInt(second);
  pairVector[3] = BigInt(secondSize);
  const result = writevDirect(fd, pairAddress, 2) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** poll(2) on an array of struct pollfd at an address. */
export function pollNow(fds: number, count: number, timeoutMs: number): number {
  const result = pollDirect(fds, count, timeoutMs) as number;
  return result < 0 ? -koffi.errno() : result;
}

// --- io_uring (see uring.ts); the numbers are the same on every architecture ------------------------------------------
export const ioUringSetup = bind<[number: number, entries: number, parameters: Uint8Array]>(
  'long syscall(long, unsigned int, void *)',
);
export const SYS_io_uring_setup = 425;
const ioUringEnterDirect = libc.func(
  'long syscall(long, int, unsigned int, unsigned int, unsigned int, size_t, size_t)',
);
const SYS_io_uring_enter = 426;
export const ioUringRegister = bind<[number: number, ring: Fd, operation: number, argument: Uint8Array, count: number]>(
  'long syscall(long, int, unsigned int, void *, unsigned int)',
);
export const SYS_io_uring_register = 427;

/** Hands queued operations to the kernel, and waits for none: how many it took, or a negated errno. */
export function ioUringSubmitNow(ring: Fd, count: number): number {
  const result = ioUringEnterDirect(SYS_io_uring_enter, ring, count, 0, 0, 0, 0) as number;
  return result < 0 ? -koffi.errno() : result;
}

const mmapDirect = libc.func('intptr_t mmap(size_t, size_t, int, int, int, long)');
const READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_POPULATE = 0x8000;

/** Memory shared with the kernel through a descriptor, for as long as the process lives; or a negated errno. */
export function shareMemory(fd: Fd, offset: number, length: number): ArrayBuffer | number {
  const address = mmapDirect(0, length, READ_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset) as number;
  return address === -1 ? -koffi.errno() : koffi.view(address, length);
}

// --- bytes that do not come by here -----------------------------------------------------------------------------------
const pipe2Direct = libc.func('int pipe2(void *, int)');
const spliceDirect = libc.func('long splice(int, size_t, int, size_t, size_t, unsigned int)');
const cachestatDirect = libc.func('long syscall(long, int, size_t, size_t, unsigned int)');
const SPLICE_F_NONBLOCK = 2; // of the pipe: a file's pages are waited for
const SYS_cachestat = 451; // the same number on every architecture
/** An offset; or struct cachestat_range (u64 offset, u64 length), then struct cachestat (five u64). In halves, as `vector`. */
const words = new Uint32Array(14);
const wordsAddress = Number(koffi.address(words));
const CACHESTAT = 4;

function setWord(at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / 2 ** 32;
}

/** pipe2(2): the end to read from and the end to write to, or a negated errno. */
export function pipeNow(flags: number): [Fd, Fd] | number {
  const ends = new Uint8Array(8);
  if ((pipe2Direct(ends, flags) as number) < 0) return -koffi.errno();
  const view = new DataView(ends.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** splice(2) from a place in a file to a pipe: the bytes moved, fewer at the file's end or when the pipe is full. */
export function spliceFromNow(file: Fd, offset: number, pipe: Fd, size: number): number {
  setWord(0, offset);
  const result = spliceDirect(file, wordsAddress, pipe, 0, size, SPLICE_F_NONBLOCK) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** splice(2) from a pipe to a device. */
export function spliceToNow(pipe: Fd, device: Fd, size: number): number {
  const result = spliceDirect(pipe, 0, device, 0, size, SPLICE_F_NONBLOCK) as number;
  return result < 0 ? -koffi.errno() : result;
}

/** cachestat(2): how many pages of a range of a file are in the page cache, or a negated errno. */
export function cachestatNow(fd: Fd, offset: number, length: number): number {
  setWord(0, offset);
  setWord(2, length);
  const result = cachestatDirect(SYS_cachestat, fd, wordsAddress, wordsAddress + 4 * CACHESTAT, 0) as number;
  return result < 0 ? -koffi.errno() : words[CACHESTAT]! + words[CACHESTAT + 1]! * 2 ** 32;
}

const yieldDirect = libc.func('int sched_yield()');

/** Lets another thread have this processor, where one waits for it. */
export function yieldNow(): void {
  yieldDirect();
}
