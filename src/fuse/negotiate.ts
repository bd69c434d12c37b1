/**
 * INIT: what the kernel offers, what we want, and what is switched off, capability by capability. Everything that is
 * off is off for a reason that can be shown.
 */
import { readFileSync } from 'node:fs';
import { InitFlag, KERNEL_MAJOR, KERNEL_MINOR, OLDEST_MINOR } from './abi.ts';
import { PAYLOAD } from './codec.ts';
import { InitIn, InitOut } from './structs.ts';

export type CapabilityName =
  | 'init-ext'
  | 'async-read'
  | 'big-writes'
  | 'max-pages'
  | 'readdirplus'
  | 'readdirplus-auto'
  | 'parallel-dirops'
  | 'atomic-o-trunc'
  | 'async-dio'
  | 'auto-inval-data'
  | 'killpriv-v2'
  | 'posix-acl'
  | 'dont-mask'
  | 'create-supp-group'
  | 'setxattr-ext'
  | 'cache-symlinks'
  | 'abort-error'
  | 'direct-io-allow-mmap'
  | 'resend'
  | 'passthrough'
  | 'writeback'
  | 'no-open-support'
  | 'no-opendir-support'
  | 'export-support'
  | 'splice'
  | 'posix-locks'
  | 'flock-locks'
  | 'over-io-uring';

interface Capability {
  name: CapabilityName;
  flag: bigint;
  /** Why we do not want it, however much it is offered. */
  unwanted?: string;
  /** Wanted for a mount without OPEN only. */
  withoutOpen?: true;
}

const immutableOnly = 'only a mount with ro,immutable can do without OPEN';
const localLocks = "the kernel's own locks are right on one host";

/** In the order of dependence: what excludes another comes before it. */
const capabilities: readonly Capability[] = [
  { name: 'init-ext', flag: InitFlag.INIT_EXT },
  { name: 'async-read', flag: InitFlag.ASYNC_READ },
  { name: 'big-writes', flag: InitFlag.BIG_WRITES },
  { name: 'max-pages', flag: InitFlag.MAX_PAGES },
  { name: 'readdirplus', flag: InitFlag.DO_READDIRPLUS },
  { name: 'readdirplus-auto', flag: InitFlag.READDIRPLUS_AUTO },
  { name: 'parallel-dirops', flag: InitFlag.PARALLEL_DIROPS },
  { name: 'atomic-o-trunc', flag: InitFlag.ATOMIC_O_TRUNC },
  { name: 'async-dio', flag: InitFlag.ASYNC_DIO },
  { name: 'auto-inval-data', flag: InitFlag.AUTO_INVAL_DATA },
  { name: 'killpriv-v2', flag: InitFlag.HANDLE_KILLPRIV_V2 },
  { name: 'posix-acl', flag: InitFlag.POSIX_ACL },
  { name: 'dont-mask', flag: InitFlag.DONT_MASK },
  { name: 'create-supp-group', flag: InitFlag.CREATE_SUPP_GROUP },
  { name: 'setxattr-ext', flag: InitFlag.SETXATTR_EXT },
  { name: 'cache-symlinks', flag: InitFlag.CACHE_SYMLINKS },
  { name: 'abort-error', flag: InitFlag.ABORT_ERROR },
  { name: 'direct-io-allow-mmap', flag: InitFlag.DIRECT_IO_ALLOW_MMAP },
  { name: 'resend', flag: InitFlag.HAS_RESEND },
  { name: 'writeback', flag: InitFlag.WRITEBACK_CACHE },
  { name: 'passthrough', flag: InitFlag.PASSTHROUGH },
  { name: 'no-open-support', flag: InitFlag.NO_OPEN_SUPPORT, withoutOpen: true },
  { name: 'no-opendir-support', flag: InitFlag.NO_OPENDIR_SUPPORT, unwanted: immutableOnly },
  { name: 'export-support', flag: InitFlag.EXPORT_SUPPORT, unwanted: 'lookups of "." and ".." are not served' },
  { name: 'splice', flag: InitFlag.SPLICE_WRITE },
  { name: 'posix-locks', flag: InitFlag.POSIX_LOCKS, unwanted: localLocks },
  { name: 'flock-locks', flag: InitFlag.FLOCK_LOCKS, unwanted: localLocks },
  { name: 'over-io-uring', flag: InitFlag.OVER_IO_URING, unwanted: 'frames come from the device' },
];

export const capabilityNames: readonly CapabilityName[] = capabilities.map(({ name }) => name);

export interface InitRequest {
  major: number;
  minor: number;
  maxReadahead: number;
  flags: bigint;
}

export interface Wishes {
  disable: ReadonlySet<string>;
  writeback: boolean;
  /** The file system answers ENOSYS to OPEN. */
  withoutOpen?: boolean;
  cacheSymlinks: boolean;
  /** Listings bring the attributes that are known anyway: the kernel shall always take them. */
  listsAttributes?: boolean;
  /** The daemon may register backing files (CAP_SYS_ADMIN in the first user namespace). */
  privileged: boolean;
  /** 2 also allows backing files on overlayfs; 1 lets another stacked file system be mounted on top of us. */
  maxStackDepth: number;
  /** Bytes a page. */
  pageSize: number;
  /** Most bytes of one READ or WRITE. */
  maxTransfer: number;
}

/** What came out of it. */
export interface Capabilities {
  /** Protocol version 7.`minor`. */
  readonly minor: number;
  readonly on: ReadonlySet<CapabilityName>;
  /** Why each other capability is off. */
  readonly off: ReadonlyMap<CapabilityName, string>;
  /** Bytes of the largest WRITE, and of the largest READ that `max-pages` allows. */
  readonly maxTransfer: number;
  readonly maxReadahead: number;
  readonly maxStackDepth: number;
}

/** Why INIT cannot be answered; or 'again' when the kernel shall repeat it in our version. */
export type Refusal = { refused: string } | 'again';

const DEFAULT_MAX_PAGES = 32;

export function readInit(view: DataView, at: number, length: number): InitRequest {
  const get = InitIn.get;
  const flags = BigInt(get.flags(view, at));
  const extended = (flags & InitFlag.INIT_EXT) !== 0n && length >= InitIn.at.unused;
  return {
    major: get.major(view, at),
    minor: get.minor(view, at),
    maxReadahead: get.max_readahead(view, at),
    flags: extended ? flags | (BigInt(get.flags2(view, at)) << 32n) : flags,
  };
}

export function negotiate(offer: InitRequest, wishes: Wishes): Capabilities | Refusal {
  if (offer.major > KERNEL_MAJOR) return 'again';
  if (offer.major < KERNEL_MAJOR || offer.minor < OLDEST_MINOR) {
    return {
      refused: `the kernel speaks FUSE ${offer.major}.${offer.minor}; ${KERNEL_MAJOR}.${OLDEST_MINOR} (Linux 5.4) is the oldest supported`,
    };
  }
  const on = new Set<CapabilityName>();
  const off = new Map<CapabilityName, string>();
  for (const capability of capabilities) {
    const why = objection(capability, offer, wishes, on);
    if (why === undefined) on.add(capability.name);
    else off.set(capability.name, why);
  }
  const pages = on.has('max-pages') ? Math.ceil(wishes.maxTransfer / wishes.pageSize) : DEFAULT_MAX_PAGES;
  return {
    minor: Math.min(offer.minor, KERNEL_MINOR),
    on,
    off,
    maxTransfer: Math.min(wishes.maxTransfer, pages * wishes.pageSize),
    maxReadahead: offer.maxReadahead,
    maxStackDepth: on.has('passthrough') ? wishes.maxStackDepth : 0,
  };
}

function objection(
  { name, flag, unwanted, withoutOpen }: Capability,
  offer: InitRequest,
  wishes: Wishes,
  on: ReadonlySet<CapabilityName>,
): string | undefined {
  if (unwanted !== undefined) return unwanted;
  if (wishes.disable.has(name)) return 'disabled by option';
  if (withoutOpen && !wishes.withoutOpen) return immutableOnly;
  if (name === 'writeback' && !wishes.writeback) return 'not asked for';
  if (name === 'cache-symlinks' && !wishes.cacheSymlinks) return 'not asked for';
  if ((offer.flags & flag) !== flag) return 'the kernel does not offer it';
  if (name === 'passthrough') {
    if (on.has('writeback')) return 'excluded by writeback';
    if (wishes.withoutOpen) return 'without OPEN there is no handle to attach it to';
    if (!on.has('init-ext')) return 'needs init-ext';
    if (!wishes.privileged) return 'not permitted: needs CAP_SYS_ADMIN';
  }
  if (flag >> 32n !== 0n && !on.has('init-ext')) return 'needs init-ext';
  if (name === 'readdirplus-auto') {
    if (!on.has('readdirplus')) return 'needs readdirplus';
    if (wishes.listsAttributes) return 'listings bring what is known of their entries, every time';
  }
  return undefined;
}

/** Requests the kernel may have under way on its own account (readahead, asynchronous I/O); 12 unless told. */
const MAX_BACKGROUND = 128;
/** From here on the kernel considers us congested and holds back readahead. */
const CONGESTION_THRESHOLD = 96;

/** Writes fuse_init_out; returns its length. */
export function writeInit(bytes: Buffer, view: DataView, agreed: Capabilities, pageSize: number): number {
  const at = PAYLOAD;
  const set = InitOut.set;
  let flags = 0n;
  for (const { name, flag } of capabilities) if (agreed.on.has(name)) flags |= flag;
  bytes.fill(0, at, at + InitOut.size);
  set.major(view, at, KERNEL_MAJOR);
  set.minor(view, at, agreed.minor);
  set.max_readahead(view, at, agreed.maxReadahead);
  set.flags(view, at, Number(flags & 0xffff_ffffn));
  set.flags2(view, at, Number(flags >> 32n));
  set.max_background(view, at, MAX_BACKGROUND);
  set.congestion_threshold(view, at, CONGESTION_THRESHOLD);
  set.max_write(view, at, agreed.maxTransfer);
  set.time_gran(view, at, 1); // nanoseconds
  set.max_pages(view, at, agreed.on.has('max-pages') ? agreed.maxTransfer / pageSize : 0);
  set.max_stack_depth(view, at, agreed.maxStackDepth);
  return InitOut.size;
}

const CAP_SYS_ADMIN = 21n;

/** Whether this process may register backing files: CAP_SYS_ADMIN, and not merely within a user namespace. */
export function maySetBacking(): boolean {
  try {
    const capabilitySet = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    const wholeRange = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
    return wholeRange && ((BigInt(`0x${capabilitySet?.[1] ?? '0'}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
  } catch {
    return false;
  }
}

const AT_PAGESZ = 6n;

/** Bytes a page, from the vector the kernel gave this process. */
export function pageSize(): number {
  try {
    const vector = readFileSync('/proc/self/auxv');
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      if (vector.readBigUInt64LE(at) === AT_PAGESZ) return Number(vector.readBigUInt64LE(at + 8));
    }
  } catch {
    // Without /proc: what nearly every machine has.
  }
  return 4096;
}
